// Registers the gradients of all tfjs kernels, as the product does.
import "@tensorflow/tfjs-layers";
import "@tensorflow/tfjs-backend-cpu";
import * as tf from "@tensorflow/tfjs-core";
import type { onnx as Onnx } from "onnx-proto";
import pkg from "onnx-proto";
import { compileStep } from "../../converters/compile/compile.ts";
import { OnnxUnlearnError } from "../../converters/errors.ts";
import { normalizeGraph } from "../../converters/import/normalize.ts";
import { planGraph, runGraph } from "../../converters/import/run.ts";
import { hostFromOnnx, isHost, tensorTypeOf, toTensor, type Value } from "../../converters/import/value.ts";
import type { OnnxGraph, OnnxModel, OnnxTensor } from "../../converters/onnx/model.ts";
import { readModel } from "../../converters/onnx/read.ts";
import * as ort from "../../src/runtime.ts";
import type { NodeTest } from "./archive.ts";

const { onnx } = pkg;

/** Tolerances of onnx.backend.test: |a − b| ≤ 1e-7 + 1e-3 |b|. */
const RTOL = 1e-3;
const ATOL = 1e-7;

/**
 * Which inputs of a test are imported as constants. The tests make every value a graph input, even axes,
 * shapes and scales, which real models hold in initializers. Each test is first tried with all inputs as
 * tensors. The next entry is tried only if an operator *refuses* an operand that is not constant; a wrong
 * value fails the test at once.
 */
export const LANES = [
  "all inputs are tensors",
  "integers are constants",
  "integers, and vectors and scalars after the first input, are constants",
  "all inputs are constants",
] as const;
/** Error codes that mean "this operand must be a constant". */
const KNOWN_ONLY: ReadonlySet<string> = new Set(["OPERAND_NOT_CONSTANT", "BITCAST"]);
export type Lane = (typeof LANES)[number];

export type Outcome =
  | { readonly kind: "passed"; readonly lane: Lane }
  | { readonly kind: "failed"; readonly why: string }
  | { readonly kind: "not listed"; readonly why: string };

export interface TestResult {
  readonly name: string;
  /**
   * The operator under test; if its function body was expanded into nodes, the operator that the body
   * defines.
   */
  readonly operator: string;
  readonly outcome: Outcome;
}

const RANDOM = new Set([
  "Bernoulli",
  "Multinomial",
  "RandomNormal",
  "RandomNormalLike",
  "RandomUniform",
  "RandomUniformLike",
]);

const typeName = (code: number) =>
  Object.entries(onnx.TensorProto.DataType)
    .find(([, value]) => value === code)?.[0]
    .toLowerCase() ?? `element type ${code}`;
const LISTED_CODES = new Set([1, 6, 7, 9]);

/**
 * Why a test is excluded from the set of tests with only float32, bool, int32 and int64 tensors; undefined if
 * it belongs to it.
 */
function exclusion(proto: Onnx.ModelProto, tensors: readonly Onnx.TensorProto[]): string | undefined {
  const graph = proto.graph!;
  for (const value of [...(graph.input ?? []), ...(graph.output ?? [])]) {
    const type = value.type as (Onnx.ITypeProto & { optionalType?: unknown }) | undefined;
    if (type?.sequenceType) return "sequence values";
    if (type?.mapType) return "map values";
    if (!type?.tensorType) return "optional values";
    const code = type.tensorType.elemType ?? 0;
    if (!LISTED_CODES.has(code)) return `${typeName(code)} tensors`;
  }
  for (const tensor of [...tensors, ...(graph.initializer ?? [])])
    if (!LISTED_CODES.has(tensor.dataType ?? 0)) return `${typeName(tensor.dataType ?? 0)} tensors`;
  for (const node of nodesOf(graph)) {
    if (RANDOM.has(node.opType ?? "")) return "random outputs";
    if ((node.opType ?? "").startsWith("Sequence") || node.opType === "SplitToSequence")
      return "sequence values";
    if ((node.opType ?? "").startsWith("Optional")) return "optional values";
    for (const { name, t, i } of node.attribute ?? []) {
      if (t && !LISTED_CODES.has(t.dataType ?? 0)) return `${typeName(t.dataType ?? 0)} tensors`;
      if (node.opType === "Cast" && name === "to" && !LISTED_CODES.has(Number(i)))
        return `${typeName(Number(i))} tensors`;
    }
  }
  return undefined;
}

function nodesOf(graph: Onnx.IGraphProto): Onnx.INodeProto[] {
  return (graph.node ?? []).flatMap((node) => [
    node,
    ...(node.attribute ?? []).flatMap(({ g }) => (g ? nodesOf(g) : [])),
  ]);
}

/** Whether a Dropout with ratio > 0 is in training mode and so draws a random mask. */
function drawsMask(graph: OnnxGraph, inputs: ReadonlyMap<string, OnnxTensor>): boolean {
  return graph.nodes.some(({ opType, inputs: names }) => {
    if (opType !== "Dropout" || !names[2]) return false;
    const first = (name: string | undefined) => {
      const tensor = name ? (inputs.get(name) ?? graph.initializers.get(name)) : undefined;
      return tensor ? Number((tensor.data as ArrayLike<number>)[0]) : undefined;
    };
    return first(names[2]) === 1 && (first(names[1]) ?? 0.5) !== 0;
  });
}

/** Decodes a TensorProto by wrapping it in a model, so that the tests use the product's own decoder. */
function decodeTensors(protos: readonly Onnx.TensorProto[]): OnnxTensor[] {
  const initializer = protos.map((proto, i) => onnx.TensorProto.create({ ...proto, name: `t${i}` }));
  const bytes = onnx.ModelProto.encode(
    onnx.ModelProto.create({ irVersion: 8, graph: { name: "tensors", initializer } }),
  ).finish();
  return [...readModel(bytes).graph.initializers.values()];
}

/** The outputs of a graph, run on the current tfjs backend. */
function evaluate(model: OnnxModel, inputs: ReadonlyMap<string, Value>): Value[] {
  const graph = normalizeGraph(model);
  const wanted = graph.outputs.map(({ name }) => name);
  const plan = planGraph(graph, wanted, model.opsets, () => false);
  const values = new Map<string, Value>([...plan.constants, ...inputs]);
  runGraph(plan, values);
  return wanted.map((name) => {
    const value = values.get(name);
    if (value === undefined) throw new Error(`output "${name}" was not made`);
    return value;
  });
}

const isInteger = (t: OnnxTensor) => t.dtype === "int32" || t.dtype === "int64";
const isConstant = (tensor: OnnxTensor, position: number, lane: number): boolean =>
  lane === 3 || (lane >= 1 && isInteger(tensor)) || (lane === 2 && position > 0 && tensor.dims.length <= 1);

interface Produced {
  readonly dims: readonly number[];
  readonly dtype: string;
  readonly data: ArrayLike<number>;
}

function difference(engine: string, got: readonly Produced[], wanted: readonly OnnxTensor[]) {
  for (const [i, w] of wanted.entries()) {
    const g = got[i];
    if (!g) return `${engine}: output ${i} is missing`;
    if (g.dims.join() !== w.dims.join())
      return `${engine}: output ${i} has shape [${g.dims}] instead of [${w.dims}]`;
    if (g.dtype !== tensorTypeOf(w.dtype)) return `${engine}: output ${i} is ${g.dtype}, not ${w.dtype}`;
    const data = w.data as ArrayLike<number | bigint>;
    for (let k = 0; k < data.length; k++) {
      const [a, b] = [g.data[k]!, Number(data[k])];
      if (a === b || (Number.isNaN(a) && Number.isNaN(b))) continue;
      if (!(Math.abs(a - b) <= ATOL + RTOL * Math.abs(b)) || !Number.isFinite(b))
        return `${engine}: output ${i}[${k}] is ${a} instead of ${b}`;
    }
  }
  return undefined;
}

async function tryLane(
  model: OnnxModel,
  inputs: readonly OnnxTensor[],
  wanted: readonly OnnxTensor[],
  lane: number,
): Promise<string | undefined> {
  const names = model.graph.inputs.map(({ name }) => name);
  const tensors = inputs
    .map((tensor, i) => ({ tensor, key: names[i]!, i }))
    .filter(({ tensor, i }) => !isConstant(tensor, i, lane));
  const constants = new Map<string, Value>(
    inputs.flatMap((tensor, i) =>
      isConstant(tensor, i, lane) ? [[names[i]!, hostFromOnnx(tensor)] as const] : [],
    ),
  );
  const run = (batch: Readonly<Record<string, tf.Tensor>>) =>
    evaluate(model, new Map<string, Value>([...constants, ...Object.entries(batch)]));

  tf.setBackend("cpu");
  tf.engine().startScope();
  let eager: Produced[];
  try {
    const batch = Object.fromEntries(tensors.map(({ key, tensor }) => [key, toTensor(hostFromOnnx(tensor))]));
    eager = run(batch).map((value) =>
      isHost(value)
        ? { dims: value.array.shape, dtype: tensorTypeOf(value.dtype), data: value.array.data }
        : { dims: value.shape, dtype: value.dtype, data: value.dataSync() },
    );
  } finally {
    tf.engine().endScope();
  }
  const wrong = difference("cpu", eager, wanted);
  if (wrong) return wrong;

  const compiled = compileStep(
    (_, batch) => ({
      carry: {},
      results: Object.fromEntries(run(batch).map((value, i) => [`y${i}`, toTensor(value)])),
    }),
    {
      carry: {},
      batch: Object.fromEntries(
        tensors.map(({ key, tensor }) => [key, { shape: tensor.dims, dtype: tensorTypeOf(tensor.dtype) }]),
      ),
    },
  );
  const session = await ort.InferenceSession.create(compiled.bytes, {
    logSeverityLevel: 4,
    intraOpNumThreads: 1,
  });
  try {
    const feeds: Record<string, ort.Tensor> = {};
    tf.setBackend("cpu");
    for (const { key, tensor } of tensors) {
      const value = tf.tidy(() => toTensor(hostFromOnnx(tensor)).dataSync());
      feeds[compiled.inputs.batch[key]!] = new ort.Tensor(
        tensorTypeOf(tensor.dtype),
        value as Float32Array,
        tensor.dims,
      );
    }
    const results = await session.run(feeds);
    const got = wanted.map((_, i) => {
      const t = results[compiled.outputs.results[`y${i}`]!]!;
      return { dims: t.dims, dtype: t.type, data: Array.from(t.data as ArrayLike<number>, Number) };
    });
    return difference("compiled", got, wanted);
  } finally {
    await session.release();
  }
}

const message = (error: unknown) => (error as Error).message.split("\n")[0]!;

async function outcomeOf(test: NodeTest): Promise<Outcome> {
  const proto = onnx.ModelProto.decode(test.model);
  if (test.dataSets.length === 0) return { kind: "not listed", why: "no data set" };
  // Values that are not tensors are other protobuf messages, so the model's types are checked before
  // decoding.
  const early = exclusion(proto, []);
  if (early) return { kind: "not listed", why: early };
  let lane = 0;
  for (const { inputs, outputs } of test.dataSets) {
    const protos = [...inputs, ...outputs].map((bytes) => onnx.TensorProto.decode(bytes));
    const excluded = exclusion(proto, protos);
    if (excluded) return { kind: "not listed", why: excluded };
    try {
      const model = readModel(test.model);
      const decoded = decodeTensors(protos);
      const given = decoded.slice(0, inputs.length);
      const named = new Map(given.map((tensor, i) => [model.graph.inputs[i]!.name, tensor]));
      if (drawsMask(model.graph, named)) return { kind: "not listed", why: "random outputs" };
      for (;;) {
        try {
          const wrong = await tryLane(model, given, decoded.slice(inputs.length), lane);
          if (wrong) return { kind: "failed", why: `${wrong} (${LANES[lane]})` };
          break;
        } catch (error) {
          const refused = error instanceof OnnxUnlearnError && KNOWN_ONLY.has(error.code);
          if (!refused || lane === LANES.length - 1) throw error;
          lane++;
        }
      }
    } catch (error) {
      return { kind: "failed", why: message(error) };
    }
  }
  return { kind: "passed", lane: LANES[lane]! };
}

const bareName = (name: string) => name.replace(/_expanded(_ver\d+)?$/, "");

/**
 * Imports every test and runs it on tfjs's `cpu` backend and compiled in ONNX Runtime, both against the
 * stored outputs.
 */
export async function runTests(tests: readonly NodeTest[]): Promise<TestResult[]> {
  const single = new Map<string, string>();
  const operators = tests.map((test) => {
    const nodes = onnx.ModelProto.decode(test.model).graph?.node ?? [];
    const types = [
      ...new Set(nodes.map(({ domain, opType }) => (domain ? `${domain}::${opType}` : opType!))),
    ].filter((type) => nodes.length === 1 || type !== "Constant");
    if (types.length === 1) single.set(test.name, types[0]!);
    return types.length === 1 ? types[0]! : undefined;
  });
  const results: TestResult[] = [];
  for (const [i, test] of tests.entries())
    results.push({
      name: test.name,
      operator:
        (test.name.includes("_expanded") ? undefined : operators[i]) ??
        single.get(bareName(test.name)) ??
        "several",
      outcome: await outcomeOf(test),
    });
  return results;
}
