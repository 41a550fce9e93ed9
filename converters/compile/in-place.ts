import { elementCount } from "../dims.ts";
import type { EmittedNode, GraphValue } from "./graph-builder.ts";
import { type Knowledge, makersOf, readersOf } from "./lookups.ts";

/** Index of FusedConv's operand `Sum`, which it adds the convolution to, in place. */
const SUM = 3;
/** Operators that always compute a new value, never a view of an operand. */
const READS_ONLY = new Set(["Add", "Sub", "Mul", "Div", "Sum", "FusedConv", "Gemm", "MatMul", "FusedMatMul"]);
/**
 * Those of them that read an element before they write the result there. FusedConv does so only for `Sum`.
 */
const BY_ELEMENT = new Set(["Add", "Sub", "Mul", "Div"]);

/** The operands that a node may still read after it has begun to write its result. */
const readAnywhere = ({ opType, inputs }: EmittedNode): readonly string[] =>
  BY_ELEMENT.has(opType) ? [] : opType === "FusedConv" ? inputs.slice(0, SUM) : inputs;

/**
 * Decides whether a graph output may be written into the memory of a graph input of the same size. In any
 * order in which ONNX Runtime may run the nodes, every reader of the input must have run before the node that
 * makes the output: each reader is an ancestor of that node, or is that node and works element by element.
 * @param outputs names of the graph's outputs
 */
export function overwritable(
  nodes: readonly EmittedNode[],
  outputs: ReadonlySet<string>,
): (input: string, output: string) => boolean {
  const maker = makersOf(nodes);
  const readers = readersOf(nodes);
  const isView = ({ opType, outputs: [name] }: EmittedNode) => opType === "Reshape" && !outputs.has(name!);
  /** A value and its views: a Reshape's result has its operand's memory. */
  const namesOf = (name: string): readonly string[] => [
    name,
    ...(readers.get(name) ?? []).filter(isView).flatMap((node) => namesOf(node.outputs[0]!)),
  ];
  return (input, output) => {
    const writer = maker.get(output);
    const names = namesOf(input);
    const wanted = new Set(names.flatMap((name) => readers.get(name) ?? []).filter((node) => !isView(node)));
    if (!writer || wanted.size === 0) return false;
    if (![...wanted].every(({ opType }) => READS_ONLY.has(opType))) return false;
    if (wanted.delete(writer) && readAnywhere(writer).some((name) => names.includes(name))) return false;
    const seen = new Set<EmittedNode>([writer]);
    const open = [writer];
    while (open.length > 0 && wanted.size > 0) {
      for (const name of open.pop()!.inputs) {
        const node = maker.get(name);
        if (!node || seen.has(node)) continue;
        seen.add(node);
        wanted.delete(node);
        open.push(node);
      }
    }
    return wanted.size === 0;
  };
}

/** A value that must be computed in the memory of a graph output, which is computed from it in place. */
export interface Precursor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly output: string;
}

/**
 * The values from which these outputs are computed in place through FusedConv's `Sum`, first to last for each
 * output. Each has a single reader, which adds to it in place; the output is a view of the last. The first
 * must be in the output's memory already, or it would have to be copied there.
 * @param graphOutputs names of all outputs of the graph
 */
export function precursors(
  nodes: readonly EmittedNode[],
  graphOutputs: ReadonlySet<string>,
  outputs: Iterable<string>,
): readonly Precursor[] {
  const maker = makersOf(nodes);
  const readers = readersOf(nodes);
  const own = (name: string) => readers.get(name)?.length === 1 && !graphOutputs.has(name);
  /** The nodes that write a value's memory, first to last, without views. */
  const makers = (name: string): readonly EmittedNode[] => {
    const node = maker.get(name);
    if (!node) return [];
    const isView = node.opType === "Reshape";
    const before = isView ? node.inputs[0] : node.opType === "FusedConv" ? node.inputs[SUM] : undefined;
    const earlier = before && own(before) ? makers(before) : [];
    return isView ? earlier : [...earlier, node];
  };
  return [...outputs].flatMap((output) => {
    const [last] = maker.get(output)?.inputs ?? [];
    if (!last || maker.get(output)?.opType !== "Reshape" || maker.get(last)?.opType !== "FusedConv")
      return [];
    return makers(last).map(({ outputs: [name], shapes: [shape] }) => ({
      name: name!,
      shape: shape!,
      output,
    }));
  });
}

/** The first rows of a graph input: the beginning of its memory, so they need no copy. */
export interface LeadingRows extends GraphValue {
  readonly of: string;
}

/** From this many elements on, a copy costs more than another graph input. */
const MIN_ELEMENTS = 2 ** 12;

/**
 * Replaces every Slice that takes the first rows of a batch input by a graph input of its own.
 * @param batchInputs inputs whose memory no output is written into
 */
export function cutLeadingRows(
  nodes: readonly EmittedNode[],
  graphOutputs: ReadonlySet<string>,
  batchInputs: ReadonlySet<string>,
  { intsOf }: Knowledge,
): { readonly nodes: readonly EmittedNode[]; readonly leadingRows: readonly LeadingRows[] } {
  const isLeading = ({
    opType,
    inputs: [of, starts, , axes, steps],
    outputs: [name],
    shapes: [shape],
  }: EmittedNode) =>
    opType === "Slice" &&
    batchInputs.has(of!) &&
    !graphOutputs.has(name!) &&
    intsOf(starts!)?.join() === "0" &&
    axes !== undefined &&
    intsOf(axes)?.join() === "0" &&
    (steps === undefined || intsOf(steps)?.join() === "1") &&
    elementCount(shape!) >= MIN_ELEMENTS;
  const found = nodes.filter(isLeading);
  return {
    nodes: nodes.filter((node) => !isLeading(node)),
    leadingRows: found.map(({ inputs: [of], outputs: [name], shapes: [shape], dtypes: [dtype] }) => ({
      ...{ name: name!, of: of!, shape: shape!, dtype: dtype! },
    })),
  };
}

/**
 * A weight stored between two copies of its velocity, [v0 | w | v1], so that one node can read both at once.
 * Steps alternate between reading v0 and writing v1, and reading v1 and writing v0; the weight is updated in
 * place. A step reads one value of two rows, [v0 | w] or [w | v1].
 */
export interface VelocityPair {
  readonly velocity: string;
  readonly weight: string;
  /** Graph input float32 [1, 2, elements]: the two rows. */
  readonly both: string;
  /** Graph input float32 [1, 2, 1]: the factor of each row. Its order alternates with the rows'. */
  readonly rowFactors: string;
  /** Factor of the velocity (momentum) and of the weight (decay). */
  readonly factors: readonly [number, number];
}
