import pkg, { type onnx as proto } from "onnx-proto";
import { elementCount } from "../../converters/dims.ts";

const { onnx } = pkg;

type Attribute = number | readonly number[] | { readonly float: number };

/** mulberry32: the same weights on every machine. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const attribute = (name: string, value: Attribute) =>
  typeof value === "number"
    ? { name, type: 2, i: value }
    : "float" in value
      ? { name, type: 1, f: value.float }
      : { name, type: 7, ints: [...value] };

/** Writes an ONNX graph (opset 17, dynamic batch) with seeded weights, so that benchmarks need no Python. */
export function graphWriter(seed: number) {
  const nodes: proto.INodeProto[] = [];
  const initializers: proto.ITensorProto[] = [];
  const draw = random(seed);
  let counter = 0;
  const node = (
    opType: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, Attribute>> = {},
    output = `${opType.toLowerCase()}_${counter++}`,
  ): string => {
    nodes.push({
      opType,
      name: output,
      input: [...inputs],
      output: [output],
      attribute: Object.entries(attributes).map(([name, value]) => attribute(name, value)),
    });
    return output;
  };
  const floats = (name: string, dims: readonly number[], value: (i: number) => number): string => {
    const data = Float32Array.from({ length: elementCount(dims) }, (_, i) => value(i));
    initializers.push({ name, dims: [...dims], dataType: 1, rawData: new Uint8Array(data.buffer) });
    return name;
  };
  return {
    node,
    floats,
    integers(name: string, values: readonly number[]): string {
      const data = BigInt64Array.from(values, BigInt);
      initializers.push({ name, dims: [values.length], dataType: 7, rawData: new Uint8Array(data.buffer) });
      return name;
    },
    /**
     * Uniform with the variance 2 / fan-in (He), which keeps the activations of deep ReLU networks in range.
     */
    weight(name: string, dims: readonly number[], fanIn: number, gain = 1): string {
      const bound = gain * Math.sqrt(6 / fanIn);
      return floats(name, dims, () => bound * (2 * draw() - 1));
    },
    draw,
    finish(input: readonly (number | string)[], classes: number): Uint8Array {
      const valueInfo = (name: string, dims: readonly (number | string)[]) => ({
        name,
        type: {
          tensorType: {
            elemType: 1,
            shape: { dim: dims.map((d) => (typeof d === "string" ? { dimParam: d } : { dimValue: d })) },
          },
        },
      });
      return onnx.ModelProto.encode({
        irVersion: 8,
        producerName: "onnx-unlearn bench",
        opsetImport: [{ domain: "", version: 17 }],
        graph: {
          name: "bench",
          node: nodes,
          initializer: initializers,
          input: [valueInfo("input", ["batch", ...input])],
          output: [valueInfo("logits", ["batch", classes])],
        },
      }).finish();
    },
  };
}
