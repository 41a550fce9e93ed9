// Registers the gradients of all tfjs kernels.
import "@tensorflow/tfjs-layers";
import "@tensorflow/tfjs-backend-cpu";
import * as tf from "@tensorflow/tfjs-core";
import pkg from "onnx-proto";
import * as ort from "onnxruntime-node";
import { expect } from "vitest";
import { compileStep } from "../../../../converters/compile/compile.ts";
import { elementCount } from "../../../../converters/dims.ts";
import { describeNode, getOperator } from "../../../../converters/import/registry.ts";
import { runNode } from "../../../../converters/import/run.ts";
import {
  host,
  isFloatType,
  isHost,
  tensorTypeOf,
  toTensor,
  type Value,
} from "../../../../converters/import/value.ts";
import type { AttributeValue, DataType, OnnxNode, OnnxTensor } from "../../../../converters/onnx/model.ts";
import { blockSize } from "../../../../src/engine/block.ts";
import { installed } from "../../../src/engine/installed.ts";

const { onnx } = pkg;
/** tfjs backends that are here. */
export const eagerBackends = await installed("cpu", "tensorflow");

export interface CaseInput {
  readonly dims: readonly number[];
  /** Omitted = seeded random within `range`. */
  readonly data?: readonly number[];
  readonly dtype?: DataType;
  /** An initializer: known on the host while importing. */
  readonly constant?: boolean;
  readonly range?: readonly [number, number];
}

export interface OperatorCase {
  readonly name: string;
  readonly op: string;
  readonly opset?: number;
  readonly domain?: string;
  readonly attributes?: Readonly<Record<string, AttributeValue>>;
  readonly inputs: readonly (CaseInput | undefined)[];
  readonly outputs?: number;
  /** Inputs whose vector–Jacobian product is checked; default: all float inputs that are not constant. */
  readonly differentiate?: readonly number[];
  /** All inputs are host values and the outputs must be too: shape arithmetic never reaches the graph. */
  readonly staysOnHost?: boolean;
}

const CODE: Readonly<Record<string, number>> = {
  float32: 1,
  uint8: 2,
  int8: 3,
  uint16: 4,
  int16: 5,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
  float64: 11,
};

/** mulberry32: test inputs only. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

function typed(dtype: DataType, values: ArrayLike<number>) {
  switch (dtype) {
    case "float32":
      return Float32Array.from(values);
    case "float64":
      return Float64Array.from(values);
    case "int64":
      return BigInt64Array.from(Array.from(values, (v) => BigInt(v)));
    case "int32":
      return Int32Array.from(values);
    case "int8":
      return Int8Array.from(values);
    case "int16":
      return Int16Array.from(values);
    case "uint16":
      return Uint16Array.from(values);
    default:
      return Uint8Array.from(values);
  }
}

function protoAttribute(name: string, value: AttributeValue) {
  if (typeof value === "string") return { name, type: 3, s: new TextEncoder().encode(value) };
  // Whole numbers are integers unless the operator's attribute is a float one by name.
  if (typeof value === "number")
    return FLOAT_ATTRIBUTES.has(name) || !Number.isInteger(value)
      ? { name, type: 1, f: value }
      : { name, type: 2, i: value };
  if (Array.isArray(value)) {
    if (typeof value[0] === "string")
      return { name, type: 8, strings: (value as string[]).map((s) => new TextEncoder().encode(s)) };
    return FLOAT_LISTS.has(name)
      ? { name, type: 6, floats: value as number[] }
      : { name, type: 7, ints: value as number[] };
  }
  const tensor = value as OnnxTensor;
  const raw = typed(tensor.dtype, Array.from(tensor.data as ArrayLike<number>, Number));
  return {
    name,
    type: 4,
    t: { dims: [...tensor.dims], dataType: CODE[tensor.dtype]!, rawData: new Uint8Array(raw.buffer) },
  };
}
const FLOAT_ATTRIBUTES = new Set([
  "alpha",
  "beta",
  "gamma",
  "epsilon",
  "lambd",
  "bias",
  "min",
  "max",
  "ratio",
  "momentum",
  "cubic_coeff_a",
  "extrapolation_value",
  "value_float",
  "value",
  "spatial_scale",
  "sample",
  "scale",
  "softcap",
  "clip",
  "replaced_value_float",
  "threshold",
]);
const FLOAT_LISTS = new Set([
  "scales",
  "value_floats",
  "activation_alpha",
  "activation_beta",
  "activation_params",
  "offset",
  "scale",
  "imputed_value_floats",
  "coefficients",
  "intercepts",
  "weights",
]);

const matches = (actual: ArrayLike<number>, wanted: ArrayLike<number>, what: string) => {
  expect(actual.length, `${what}: element count`).toBe(wanted.length);
  let worst = 0;
  for (let i = 0; i < wanted.length; i++) {
    const [a, b] = [actual[i]!, wanted[i]!];
    if (a === b || (Number.isNaN(a) && Number.isNaN(b))) continue;
    worst = Math.max(worst, Math.abs(a - b) / (1e-5 + 1e-4 * Math.abs(b)) || Number.POSITIVE_INFINITY);
  }
  // |a − b| ≤ 1e-5 + 1e-4 |b|
  expect(worst, `${what}: largest deviation in units of the tolerance`).toBeLessThanOrEqual(1);
};

/** The node of a case, ready to run, and the numbers of its inputs; those left open are drawn with `draw`. */
export function prepare(c: OperatorCase) {
  const opset = c.opset ?? 17;
  const draw = random(12345);
  const data = c.inputs.map((input) => {
    if (!input) return undefined;
    const [low, high] = input.range ?? [-1, 1];
    const values =
      input.data ?? Array.from({ length: elementCount(input.dims) }, () => low + (high - low) * draw());
    return isFloatType(input.dtype ?? "float32") ? Array.from(values, Math.fround) : [...values];
  });
  const node: OnnxNode = {
    name: "node",
    opType: c.op,
    domain: c.domain ?? "",
    inputs: c.inputs.map((input, i) => (input ? `x${i}` : "")),
    outputs: Array.from({ length: c.outputs ?? 1 }, (_, i) => `y${i}`),
    attributes: c.attributes ?? {},
  };
  const planned = { node, run: getOperator(node, opset), opset, where: describeNode(node, opset) };
  return { node, data, draw, planned };
}

/**
 * Checks one operator: forward on the tfjs backends and compiled against ONNX Runtime running the same single
 * node, and the vector–Jacobian product of each against four-point central differences through ONNX Runtime
 * (norm-wise 1e-3, not all zero).
 */
export async function checkOperator(c: OperatorCase): Promise<void> {
  const { node, data, draw, planned } = prepare(c);
  const { outputs, domain } = node;
  const { opset } = planned;

  // --- ONNX Runtime ---
  const proto = onnx.ModelProto.create({
    irVersion: 8,
    opsetImport: [
      { domain: "", version: domain === "" ? opset : 17 },
      ...(domain ? [{ domain, version: opset === 17 ? 1 : opset }] : []),
    ],
    graph: {
      name: "case",
      node: [
        {
          name: "node",
          opType: c.op,
          domain,
          input: [...node.inputs],
          output: [...outputs],
          attribute: Object.entries(node.attributes).map(([k, v]) => protoAttribute(k, v)),
        },
      ],
      input: c.inputs.flatMap((input, i) =>
        input && !input.constant
          ? [
              {
                name: `x${i}`,
                type: {
                  tensorType: {
                    elemType: CODE[input.dtype ?? "float32"]!,
                    shape: { dim: input.dims.map((d) => ({ dimValue: d })) },
                  },
                },
              },
            ]
          : [],
      ),
      initializer: c.inputs.flatMap((input, i) =>
        input?.constant
          ? [
              {
                name: `x${i}`,
                dims: [...input.dims],
                dataType: CODE[input.dtype ?? "float32"]!,
                rawData: new Uint8Array(typed(input.dtype ?? "float32", data[i]!).buffer),
              },
            ]
          : [],
      ),
      output: outputs.map((name) => ({ name })),
    },
  });
  const session = await ort.InferenceSession.create(onnx.ModelProto.encode(proto).finish(), {
    logSeverityLevel: 3,
    intraOpNumThreads: 1,
  });
  const forward = async (values: readonly (readonly number[] | undefined)[]) => {
    const feeds: Record<string, ort.Tensor> = {};
    c.inputs.forEach((input, i) => {
      if (!input || input.constant) return;
      const dtype = input.dtype ?? "float32";
      feeds[`x${i}`] = new ort.Tensor(dtype as "float32", typed(dtype, values[i]!) as Float32Array, [
        ...input.dims,
      ]);
    });
    const result = await session.run(feeds);
    return outputs.map((name) => {
      const t = result[name]!;
      return {
        dims: [...t.dims],
        dtype: t.type as DataType,
        data: Array.from(t.data as ArrayLike<number>, Number),
      };
    });
  };
  const wanted = await forward(data);
  const [first] = c.inputs;
  if (/^u?int(8|16)$/.test(first?.dtype ?? "") && wanted[0]!.dtype === first!.dtype)
    expect(planned.run.facts.integers, "keeps the type of narrow integers, or wraps around").toBeDefined();

  // --- ours, as a function of the inputs that are tensors ---
  const variable = c.inputs
    .map((input, i) => ({ input, i }))
    .filter(({ input }) => input && !input.constant) as { input: CaseInput; i: number }[];
  const ours = (tensors: readonly tf.Tensor[]): Value[] => {
    const values = new Map<string, Value>();
    c.inputs.forEach((input, i) => {
      if (input?.constant) values.set(`x${i}`, host(input.dtype ?? "float32", input.dims, data[i]!));
    });
    variable.forEach(({ i }, k) => {
      values.set(`x${i}`, tensors[k]!);
    });
    return [...runNode(planned, values)];
  };
  if (c.staysOnHost)
    for (const value of ours([]).slice(0, outputs.length))
      expect(isHost(value), "the result stays on the host lane").toBe(true);
  const cotangents = wanted.map((w) => Float32Array.from({ length: w.data.length }, () => draw() * 2 - 1));
  const differentiate =
    c.differentiate ??
    variable.filter(({ input }) => isFloatType(input.dtype ?? "float32")).map(({ i }) => i);
  const specs = variable.map(({ input, i }) => ({
    key: `x${i}`,
    shape: [...input.dims],
    dtype: tensorTypeOf(input.dtype ?? "float32"),
  }));
  const tensorData = variable.map(({ input, i }) => {
    const dtype = tensorTypeOf(input.dtype ?? "float32");
    return dtype === "float32"
      ? Float32Array.from(data[i]!)
      : dtype === "bool"
        ? Uint8Array.from(data[i]!)
        : Int32Array.from(data[i]!);
  });
  const step = (batch: Readonly<Record<string, tf.Tensor>>) => {
    const tensors = specs.map(({ key }) => batch[key]!);
    const results: Record<string, tf.Tensor> = {};
    ours(tensors)
      .slice(0, outputs.length)
      .forEach((v, i) => {
        results[`y${i}`] = toTensor(v);
      });
    if (differentiate.length > 0) {
      const positions = differentiate.map((i) => variable.findIndex((v) => v.i === i));
      const { grads } = tf.valueAndGrads((...moving: tf.Tensor[]) => {
        const all = [...tensors];
        positions.forEach((p, k) => {
          all[p] = moving[k]!;
        });
        const parts = ours(all)
          .slice(0, outputs.length)
          .map(toTensor)
          .map((y, k) => ({ y, k }))
          .filter(({ y }) => y.dtype === "float32")
          .map(({ y, k }) => tf.sum(tf.mul(y, tf.tensor(cotangents[k]!, y.shape, "float32"))));
        return parts.reduce((a, b) => tf.add(a, b)) as tf.Scalar;
      })(positions.map((p) => tf.keep(tensors[p]!)));
      grads.forEach((g, k) => {
        results[`g${differentiate[k]}`] = g;
      });
    }
    return results;
  };

  const produced: {
    engine: string;
    results: Record<string, { shape: number[]; data: ArrayLike<number> }>;
  }[] = [];
  for (const engine of eagerBackends) {
    tf.setBackend(engine);
    tf.engine().startScope();
    const eager = step(
      Object.fromEntries(
        specs.map(({ key, shape, dtype }, k) => [key, tf.tensor(tensorData[k]!, shape, dtype)]),
      ),
    );
    produced.push({
      engine,
      results: Object.fromEntries(
        Object.entries(eager).map(([k, t]) => [k, { shape: t.shape, data: Array.from(t.dataSync()) }]),
      ),
    });
    tf.engine().endScope();
  }
  // compiled
  const compiled = compileStep(
    (_, batch) => ({ carry: {}, results: step(batch) }),
    {
      carry: {},
      batch: Object.fromEntries(specs.map(({ key, shape, dtype }) => [key, { shape, dtype }])),
    },
    { block: await blockSize() },
  );
  const compiledSession = await ort.InferenceSession.create(compiled.bytes, {
    logSeverityLevel: 3,
    intraOpNumThreads: 1,
  });
  const feeds = Object.fromEntries(
    specs.map(({ key, shape, dtype }, k) => [
      compiled.inputs.batch[key]!,
      new ort.Tensor(dtype, tensorData[k] as Float32Array, shape),
    ]),
  );
  const run = await compiledSession.run(feeds);
  produced.push({
    engine: "compiled",
    results: Object.fromEntries(
      Object.entries(compiled.outputs.results).map(([k, name]) => [
        k,
        { shape: [...run[name]!.dims], data: Array.from(run[name]!.data as ArrayLike<number>, Number) },
      ]),
    ),
  });

  // --- forward ---
  for (const { engine, results } of produced)
    wanted.forEach((w, i) => {
      expect(results[`y${i}`]!.shape, `${engine} output ${i}: shape`).toEqual(w.dims);
      matches(results[`y${i}`]!.data, w.data, `${engine} output ${i}`);
    });

  // --- vector–Jacobian products ---
  for (const i of differentiate) {
    const numeric = new Float64Array(data[i]!.length);
    const h = 2 ** -6;
    const evaluate = async (k: number, delta: number) => {
      const moved = data.map((d, j) => (j === i ? d!.map((v, m) => (m === k ? v + delta : v)) : d));
      const ys = await forward(moved);
      let sum = 0;
      ys.forEach((y, o) => {
        if (y.dtype === "float32")
          for (let m = 0; m < y.data.length; m++)
            sum += (y.data[m]! - wanted[o]!.data[m]!) * cotangents[o]![m]!;
      });
      return sum;
    };
    for (let k = 0; k < numeric.length; k++) {
      const near = (await evaluate(k, h)) - (await evaluate(k, -h));
      const far = (await evaluate(k, 2 * h)) - (await evaluate(k, -2 * h));
      numeric[k] = (8 * near - far) / (12 * h);
    }
    const norm = Math.hypot(...numeric);
    expect(norm, `the numerical gradient of input ${i} must not be zero`).toBeGreaterThan(1e-3);
    for (const { engine, results } of produced) {
      const ourGradient = results[`g${i}`]!;
      expect(ourGradient.shape, `${engine} gradient of input ${i}: shape`).toEqual([...c.inputs[i]!.dims]);
      const error = Math.hypot(...Array.from(numeric, (v, k) => v - ourGradient.data[k]!));
      expect(error / norm, `${engine} gradient of input ${i}: relative error`).toBeLessThanOrEqual(1e-3);
    }
  }
  await session.release();
  await compiledSession.release();
}
