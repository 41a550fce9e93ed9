import picomatch from "picomatch";
import { notTrainable } from "../errors.ts";
import { constantTensor } from "../graph/constants.ts";
import type { QuantisedWeight } from "../graph/quantised-weights.ts";
import { isFloatType, type OnnxNode, type OnnxTensor } from "../onnx/model.ts";
import type { ImportOptions, Parameter } from "./model.ts";
import { factsOf } from "./registry.ts";

/** Whether a node computes with the values of an input, not only with its shape. */
function readsValues(node: OnnxNode, index: number): boolean {
  const facts = factsOf(node);
  return !facts?.readsShapeOnly && !facts?.ignores?.(node.attributes).includes(index);
}

/** What the selection of weights needs besides the graph. */
export interface WeightFacts {
  /** Integer tensors that hold quantised weights. */
  readonly quantised?: ReadonlyMap<string, QuantisedWeight>;
  /** Whether the exporter can write new values for this tensor. */
  readonly isWritable?: (name: string) => boolean;
  /** Tensors that must not change, and why. */
  readonly fixed?: ReadonlyMap<string, string>;
}

const toFloat32 = (tensor: OnnxTensor): Float32Array =>
  tensor.data instanceof Float32Array ? tensor.data : Float32Array.from(tensor.data as ArrayLike<number>);

const FLOAT32_MAX = 3.4028234663852886e38;

/** What is wrong with the values of a tensor: NaN, or doubles that float32 cannot hold. */
function unfitness(values: Float32Array, { dtype, data }: OnnxTensor): string | undefined {
  const of = `of its ${values.length} values`;
  const nan = values.reduce((count, v) => count + Number(Number.isNaN(v)), 0);
  if (nan > 0) return `${nan} ${of} ${nan === 1 ? "is" : "are"} NaN`;
  if (dtype !== "float64") return undefined;
  // The lowest double is how a mask of such a model spells −∞, which it becomes.
  const isBeyond = (v: number) => Math.abs(v) > FLOAT32_MAX && Math.abs(v) < Number.MAX_VALUE;
  const beyond = Array.prototype.filter.call(data, isBeyond) as number[];
  if (beyond.length === 0) return undefined;
  return `${beyond.length} ${of} (${beyond[0]} the first) ${beyond.length === 1 ? "is" : "are"} beyond the range of float32, in which training computes`;
}

/**
 * @throws notTrainable WEIGHT_NOT_FINITE where a weight on the way to the logits holds NaN, or a double that
 *   float32 cannot hold
 */
export function requireFinite(parameters: readonly Parameter[]): void {
  const unfit = parameters.filter((p) => p.unfit !== undefined);
  if (unfit.length === 0) return;
  const more = unfit.length > 3 ? `; and ${unfit.length - 3} weights more` : "";
  throw notTrainable(
    "WEIGHT_NOT_FINITE",
    `The model's weights are damaged: ${unfit
      .slice(0, 3)
      .map(({ name, unfit: why }) => `"${name}": ${why}`)
      .join("; ")}${more}; export the model again.`,
  );
}

/**
 * Most elements of a constant in shape arithmetic; longer vectors are tables, such as position embeddings.
 */
const ARITHMETIC = 16;
/**
 * Values that are computed from shapes and small constants alone.
 * @param nodes in topological order
 */
function shapeArithmetic(nodes: readonly OnnxNode[], tensors: ReadonlyMap<string, OnnxTensor>): Set<string> {
  const found = new Set<string>();
  const isSmall = (name: string) =>
    (tensors.get(name)?.data.length ?? Number.POSITIVE_INFINITY) <= ARITHMETIC;
  for (const node of nodes) {
    const { inputs, outputs } = node;
    const starts = factsOf(node)?.readsShapeOnly === true;
    const goesOn =
      inputs.some((name) => found.has(name)) &&
      inputs.every((name) => !name || found.has(name) || isSmall(name));
    if (starts || goesOn) for (const name of outputs) found.add(name);
  }
  return found;
}

/**
 * Every float weight of the nodes, and whether it is trained. Frozen by default: statistics, scales and
 * bounds; single numbers in element-wise operators, which are constants of the architecture, such as 1/√d;
 * and what is combined with the raw model input (preprocessing).
 * @throws notTrainable NO_WEIGHTS / GLOB_MATCHES_NOTHING
 */
export function selectParameters(
  nodes: readonly OnnxNode[],
  initializers: ReadonlyMap<string, OnnxTensor>,
  modelInputs: ReadonlySet<string>,
  options: ImportOptions,
  { quantised = new Map(), isWritable = () => true, fixed = new Map() }: WeightFacts = {},
): Parameter[] {
  const tensors = new Map<string, OnnxTensor>();
  for (const [name, tensor] of initializers)
    if (isFloatType(tensor.dtype) || quantised.has(name)) tensors.set(name, tensor);
  for (const node of nodes) {
    const tensor = constantTensor(node);
    const name = node.outputs[0]!;
    if (tensor && (isFloatType(tensor.dtype) || quantised.has(name))) tensors.set(name, tensor);
  }
  const users = new Map<string, { node: OnnxNode; index: number }[]>();
  for (const node of nodes)
    node.inputs.forEach((name, index) => {
      if (!tensors.has(name) || !readsValues(node, index)) return;
      const list = users.get(name) ?? [];
      list.push({ node, index });
      users.set(name, list);
    });

  const shapes = shapeArithmetic(nodes, new Map([...initializers, ...tensors]));
  const whyFrozen = (name: string, tensor: OnnxTensor): string | undefined => {
    const uses = users.get(name);
    if (!uses) return "not used on the way to the logits";
    for (const { node, index } of uses) {
      const facts = factsOf(node);
      const reason = facts?.frozen?.[index];
      if (reason) return reason;
      if (facts?.freezesNumbers) {
        if (tensor.data.length === 1) return `a single number in ${node.opType}`;
        if (node.inputs.some((other) => modelInputs.has(other))) return "preprocessing of the model input";
        if (node.inputs.some((other) => shapes.has(other))) return "arithmetic on shapes";
      }
    }
    return undefined;
  };
  const train = options.train?.length ? picomatch([...options.train]) : undefined;
  const freeze = options.freeze?.length ? picomatch([...options.freeze]) : undefined;
  for (const glob of [...(options.train ?? []), ...(options.freeze ?? [])]) {
    const matches = picomatch(glob);
    if (![...users.keys()].some((name) => matches(name)))
      throw notTrainable(
        "GLOB_MATCHES_NOTHING",
        `"${glob}" matches no weight; this model's weights are: ${[...users.keys()].slice(0, 20).join(", ")}${users.size > 20 ? ", …" : ""}.`,
      );
  }
  const parameters = [...tensors].map(([name, tensor]): Parameter => {
    const unused = !users.has(name);
    const data = quantised.get(name)?.decode() ?? toFloat32(tensor);
    const finite = data.every((v) => Number.isFinite(v));
    const wrong = finite ? undefined : unfitness(data, tensor);
    const frozenBecause = unused
      ? (fixed.get(name) ?? `not used on the way to the logits${wrong ? `; ${wrong}` : ""}`)
      : !isWritable(name)
        ? "stored in a form that cannot be written back"
        : fixed.has(name)
          ? fixed.get(name)
          : freeze?.(name)
            ? "the option freeze"
            : !finite && !wrong
              ? "holds infinity, as masks do"
              : train
                ? train(name)
                  ? undefined
                  : "not selected by the option train"
                : whyFrozen(name, tensor);
    // A single frozen NaN may be meant: what Where puts for a missing value.
    const isUnfit = wrong && !unused && (frozenBecause === undefined || data.length > 1);
    return {
      name,
      dims: tensor.dims,
      dtype: tensor.dtype,
      data,
      trainable: frozenBecause === undefined,
      frozenBecause,
      ...(isUnfit ? { unfit: wrong } : {}),
    };
  });
  if (!parameters.some(({ trainable }) => trainable))
    throw notTrainable("NO_WEIGHTS", whyNoWeights(nodes, parameters));
  return parameters;
}

/** Why a model of trees or support vectors cannot be trained; undefined for others. */
export function decidesWithoutWeights(nodes: readonly OnnxNode[]): string | undefined {
  const ensemble = nodes.find(({ opType }) => /^(TreeEnsemble|SVM)/.test(opType));
  if (!ensemble) return undefined;
  const by = ensemble.opType.startsWith("SVM") ? "support vectors" : "trees";
  return `${ensemble.opType} "${ensemble.name || ensemble.outputs[0]}" decides by ${by}, which no gradient can move; unlearning works on models with trained weights.`;
}

/** The reason why no weight is trained, as a sentence. */
function whyNoWeights(nodes: readonly OnnxNode[], parameters: readonly Parameter[]): string {
  const without = decidesWithoutWeights(nodes);
  if (without) return without;
  if (nodes.some(({ opType }) => opType === "ConstantOfShape") && parameters.every((p) => !p.trainable)) {
    const skeleton = nodes.filter(({ opType }) => opType === "ConstantOfShape").length;
    if (parameters.every(({ frozenBecause }) => frozenBecause === "not used on the way to the logits"))
      return `The graph holds no weights: ${skeleton} tensors are filled with one number when it runs (ConstantOfShape), as in a skeleton without its training; use the real model.`;
  }
  if (parameters.length === 0)
    return "The graph holds no float tensor besides its inputs: there is no weight to train on the way to the logits.";
  const reasons = parameters.slice(0, 5).map((p) => `${p.name}: ${p.frozenBecause}`);
  return `No weight on the way to the logits is trained (${reasons.join("; ")}${parameters.length > 5 ? "; …" : ""}); choose some if that is wrong.`;
}
