// One classifier in the forms in which real files store their weights: each goes the whole road.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { onnx as Onnx } from "onnx-proto";
import pkg from "onnx-proto";
import { beforeAll, describe, expect, test } from "vitest";
import { toBfloat16Bits, toFloat16Bits } from "../../converters/onnx/floats.ts";
import { loadModelFile } from "../../converters/onnx/read.ts";
import { FORGET, MODEL, RETAIN, run, SCALING, TEST, temporary } from "./cli/cli.ts";

const { onnx } = pkg;

const decoded = (): Onnx.ModelProto => onnx.ModelProto.decode(readFileSync(MODEL));
const encoded = (model: Onnx.ModelProto): Uint8Array =>
  new Uint8Array(onnx.ModelProto.encode(model).finish());
const isFloat = ({ dataType }: Onnx.ITensorProto) => dataType === 1;
const floatsOf = ({ rawData }: Onnx.ITensorProto): Float32Array =>
  new Float32Array(new Uint8Array(rawData!).buffer);

/**
 * A form of the digits classifier: the file, and the payload of each float weight as it stands in it, by
 * name.
 */
interface Form {
  readonly model: Uint8Array;
  readonly sideFiles?: Readonly<Record<string, Uint8Array>>;
  readonly payloads: ReadonlyMap<string, Uint8Array>;
  /** Trained values are the ones of the plain file, bit for bit. */
  readonly exact: boolean;
}

const bytes = (values: Float32Array | Uint16Array) => new Uint8Array(values.buffer);

function weights(model: Onnx.ModelProto): Onnx.ITensorProto[] {
  return model.graph!.initializer!.filter(isFloat);
}

const forms: Readonly<Record<string, () => Form>> = {
  "raw_data, as exported": () => {
    const model = decoded();
    return {
      model: new Uint8Array(readFileSync(MODEL)),
      payloads: new Map(weights(model).map((t) => [t.name!, bytes(floatsOf(t))])),
      exact: true,
    };
  },
  float_data: () => {
    const model = decoded();
    const payloads = new Map(weights(model).map((t) => [t.name!, bytes(floatsOf(t))]));
    for (const tensor of weights(model)) {
      tensor.floatData = [...floatsOf(tensor)];
      tensor.rawData = null;
      delete tensor.rawData;
    }
    return { model: encoded(model), payloads, exact: true };
  },
  "weights in Constant nodes": () => {
    const model = decoded();
    const payloads = new Map(weights(model).map((t) => [t.name!, bytes(floatsOf(t))]));
    const graph = model.graph!;
    const constants = weights(model).map((t) => ({
      opType: "Constant",
      output: [t.name!],
      attribute: [{ name: "value", type: 4, t: { dims: t.dims, dataType: 1, rawData: t.rawData } }],
    }));
    graph.initializer = graph.initializer!.filter((t) => !isFloat(t));
    graph.node = [...constants.map((c) => onnx.NodeProto.create(c)), ...graph.node!];
    return { model: encoded(model), payloads, exact: true };
  },
  "an unknown field of the future in model, graph and every weight": () => {
    const model = decoded();
    const payloads = new Map(weights(model).map((t) => [t.name!, bytes(floatsOf(t))]));
    // Field 3812, three bytes. protobufjs would drop it, so the messages are put together by hand.
    const unknown = [0xa2, 0xee, 0x01, 3, 9, 9, 9];
    const varint = (value: number): number[] =>
      value < 128 ? [value] : [(value & 127) | 128, ...varint(value >>> 7)];
    const delimited = (number: number, body: Uint8Array): Uint8Array =>
      Uint8Array.from([...varint((number << 3) | 2), ...varint(body.length), ...body]);
    const graph = model.graph!;
    const tensors = graph.initializer!.map((t) =>
      delimited(5, Uint8Array.from([...unknown, ...onnx.TensorProto.encode(t).finish()])),
    );
    graph.initializer = [];
    const body = Buffer.concat([
      onnx.GraphProto.encode(graph).finish(),
      ...tensors,
      Uint8Array.from(unknown),
    ]);
    model.graph = null;
    delete model.graph;
    return {
      model: new Uint8Array(Buffer.concat([encoded(model), delimited(7, body), Uint8Array.from(unknown)])),
      payloads,
      exact: true,
    };
  },
  "external data": () => {
    const model = decoded();
    const payloads = new Map(weights(model).map((t) => [t.name!, bytes(floatsOf(t))]));
    let offset = 0;
    const parts: Uint8Array[] = [];
    for (const tensor of weights(model)) {
      const payload = payloads.get(tensor.name!)!;
      tensor.dataLocation = 1;
      tensor.externalData = [
        { key: "location", value: "weights.bin" },
        { key: "offset", value: `${offset}` },
        { key: "length", value: `${payload.length}` },
      ];
      delete tensor.rawData;
      // Sixteen bytes that belong to nobody between the tensors.
      parts.push(payload, new Uint8Array(16).fill(7));
      offset += payload.length + 16;
    }
    return {
      model: encoded(model),
      sideFiles: { "weights.bin": new Uint8Array(Buffer.concat(parts)) },
      payloads,
      exact: true,
    };
  },
  "float16 weights behind Cast": () => coarser(10, toFloat16Bits),
  "bfloat16 weights behind Cast": () => coarser(16, toBfloat16Bits),
  "int8 weights behind DequantizeLinear, one scale a tensor": () => {
    const model = decoded();
    const payloads = new Map<string, Uint8Array>();
    const nodes: Onnx.NodeProto[] = [];
    const scales: Onnx.TensorProto[] = [];
    for (const tensor of weights(model)) {
      const values = floatsOf(tensor);
      const scale = Math.fround(values.reduce((most, v) => Math.max(most, Math.abs(v)), 0) / 127);
      const codes = new Uint8Array(Int8Array.from(values, (v) => Math.round(v / scale)).buffer);
      const [name, own] = [`${tensor.name}.codes`, `${tensor.name}.scale`];
      nodes.push(
        onnx.NodeProto.create({
          opType: "DequantizeLinear",
          input: [name, own],
          output: [tensor.name!],
        }),
      );
      scales.push(
        onnx.TensorProto.create({ name: own, dataType: 1, rawData: bytes(Float32Array.of(scale)) }),
      );
      tensor.name = name;
      tensor.dataType = 3;
      tensor.rawData = codes;
      payloads.set(name, codes);
    }
    model.graph!.node = [...nodes, ...model.graph!.node!];
    model.graph!.initializer!.push(...scales);
    return { model: encoded(model), payloads, exact: false };
  },
};

/** Every float weight in two bytes, behind a Cast to float32. */
function coarser(dataType: 10 | 16, toBits: (value: number) => number): Form {
  const model = decoded();
  const payloads = new Map<string, Uint8Array>();
  const casts: Onnx.NodeProto[] = [];
  for (const tensor of weights(model)) {
    const payload = bytes(Uint16Array.from(floatsOf(tensor), toBits));
    const name = `${tensor.name}.coarse`;
    const attribute = [{ name: "to", type: 2, i: 1 }];
    casts.push(onnx.NodeProto.create({ opType: "Cast", input: [name], output: [tensor.name!], attribute }));
    tensor.name = name;
    tensor.dataType = dataType;
    tensor.rawData = payload;
    payloads.set(name, payload);
  }
  model.graph!.node = [...casts, ...model.graph!.node!];
  return { model: encoded(model), payloads, exact: false };
}

/** Trained values of the float weights by the name they have in the plain file. */
const trained = (path: string): Map<string, Float32Array> => {
  const { graph } = loadModelFile(path);
  const values = new Map([...graph.initializers].map(([name, { data }]) => [name, data]));
  for (const node of graph.nodes) {
    const value = node.attributes["value"];
    if (node.opType === "Constant" && typeof value === "object" && "data" in value)
      values.set(node.outputs[0]!, value.data);
  }
  return new Map(
    [...values].flatMap(([name, data]) => (data instanceof Float32Array ? [[name, data] as const] : [])),
  );
};

/** `file` with the bytes of these payloads, found by their values in the original, set to zero. */
function masked(original: Uint8Array, file: Uint8Array, payloads: Iterable<Uint8Array>): Buffer {
  const result = Buffer.from(file);
  for (const payload of payloads) {
    const at = Buffer.from(original).indexOf(Buffer.from(payload));
    expect(at, "the payload stands in the original").toBeGreaterThanOrEqual(0);
    result.fill(0, at, at + payload.length);
  }
  return result;
}

const FLAGS = [
  "--forget",
  FORGET,
  "--retain",
  RETAIN,
  ...SCALING,
  "--epochs",
  "2",
  "--lr",
  "0.003",
  "--batch-size",
  "64",
  "--threads",
  "1",
];

/** A model that onnx-proto wrote, with other names for its external data. */
function withLocations(model: Uint8Array, rename: (location: string) => string): Uint8Array {
  const renamed = onnx.ModelProto.decode(model);
  for (const { externalData } of renamed.graph!.initializer!)
    for (const entry of externalData ?? []) if (entry.key === "location") entry.value = rename(entry.value!);
  return encoded(renamed);
}

describe.each(Object.keys(forms))("%s", (name) => {
  const folder = temporary();
  const path = join(folder, "shipped.onnx");
  const out = join(folder, "scrubbed", "model.onnx");
  const report = join(folder, "report.json");
  let form: Form;
  beforeAll(async () => {
    form = forms[name]!();
    mkdirSync(join(folder, "scrubbed"));
    writeFileSync(path, form.model);
    for (const [side, content] of Object.entries(form.sideFiles ?? {}))
      writeFileSync(join(folder, side), content);
    const result = await run(
      "unlearn",
      "--model",
      path,
      ...FLAGS,
      "--out",
      out,
      "--report",
      report,
      "--json",
    );
    expect(result.code, result.stdout).toBe(0);
  });

  test("forgets, verifies, and agrees with ONNX Runtime on the rounded weights", async () => {
    const { before, after, export: exported } = JSON.parse(readFileSync(report, "utf8"));
    expect(after.forgetAccuracy).toBeLessThan(before.forgetAccuracy - 0.05);
    expect(exported.changedTensors.sort()).toEqual([...form.payloads.keys()].sort());
    const verified = await run(
      "verify",
      out,
      "--before",
      path,
      "--report",
      report,
      "--samples",
      TEST,
      ...SCALING,
      "--json",
    );
    expect(verified.code, verified.stdout).toBe(0);
    expect(JSON.parse(verified.stdout).parity.maxAbsDiff).toBeLessThan(1e-4);
  });

  test("only the payloads of the weights changed", () => {
    const sides = Object.keys(form.sideFiles ?? {});
    const inModel = sides.length ? [] : [...form.payloads.values()];
    const written = new Uint8Array(readFileSync(out));
    // Changed data have a name of their content: with the old name put back it is the old file.
    const named = readdirSync(join(folder, "scrubbed")).filter((file) => file.endsWith(".data"));
    const sideOf = (side: string) => named.find((file) => file.startsWith(`${side}.`))!;
    const after = sides.length
      ? withLocations(written, (found) => sides.find((s) => sideOf(s) === found)!)
      : written;
    expect(after.length).toBe(form.model.length);
    expect(
      masked(form.model, after, inModel).equals(masked(form.model, form.model, inModel)),
      "the model file",
    ).toBe(true);
    for (const side of sides) {
      const original = form.sideFiles![side]!;
      const data = new Uint8Array(readFileSync(join(folder, "scrubbed", sideOf(side))));
      const all = [...form.payloads.values()];
      expect(masked(original, data, all).equals(masked(original, original, all)), side).toBe(true);
      expect(Buffer.from(original).equals(readFileSync(join(folder, side))), "the input").toBe(true);
    }
    expect(Buffer.from(form.model).equals(readFileSync(path)), "the input").toBe(true);
  });

  test("an export without training is the input, byte for byte", async () => {
    const noop = join(folder, "scrubbed", "noop.onnx");
    const flags = [...FLAGS, "--epochs", "0", "--out", noop, "--force", "--json"];
    const { code, stdout } = await run("unlearn", "--model", path, ...flags);
    expect(code, stdout).toBe(0);
    expect(readFileSync(noop).equals(Buffer.from(form.model))).toBe(true);
  });
});

test("the same weights come out, however they are stored", async () => {
  const folder = temporary();
  const plain = join(folder, "plain.onnx");
  expect((await run("unlearn", "--model", MODEL, ...FLAGS, "--out", plain, "--json")).code).toBe(0);
  const wanted = trained(plain);
  mkdirSync(join(folder, "out"));
  for (const [name, make] of Object.entries(forms)) {
    const form = make();
    if (!form.exact) continue;
    const path = join(folder, "in.onnx");
    writeFileSync(path, form.model);
    for (const [side, content] of Object.entries(form.sideFiles ?? {}))
      writeFileSync(join(folder, side), content);
    const out = join(folder, "out", "out.onnx");
    const { code, stdout } = await run(
      "unlearn",
      "--model",
      path,
      ...FLAGS,
      "--out",
      out,
      "--force",
      "--json",
    );
    expect(code, stdout).toBe(0);
    const got = trained(out);
    for (const [tensor, values] of wanted) expect(got.get(tensor), `${name}: ${tensor}`).toEqual(values);
  }
});

test.each([
  "float16 weights behind Cast",
  "bfloat16 weights behind Cast",
  "int8 weights behind DequantizeLinear, one scale a tensor",
])("what rounding undoes is no forgetting, exit 1 and nothing is written: %s", async (name) => {
  const folder = temporary();
  const path = join(folder, "shipped.onnx");
  writeFileSync(path, forms[name]!().model);
  const out = join(folder, "out.onnx");
  // Steps far below half a unit of any of these types.
  const result = await run("unlearn", "--model", path, ...FLAGS, "--lr", "1e-12", "--out", out);
  expect(result.code, result.stdout).toBe(1);
  expect(result.stderr).toMatch(/rounding .* undid .*--lr/s);
  expect(existsSync(out)).toBe(false);
});
