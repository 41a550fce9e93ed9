import type { onnx as Onnx } from "onnx-proto";
import { elementCount } from "../dims.ts";
import { badInput, notTrainable, type OnnxUnlearnError } from "../errors.ts";
import { dataTypeName, decodePayload, rawByteLength, toNumber } from "./codecs.ts";
import { externalLocation, readBytes, readSideFile } from "./external.ts";
import type {
  AttributeValue,
  OnnxFunction,
  OnnxGraph,
  OnnxModel,
  OnnxNode,
  OnnxTensor,
  OnnxValueInfo,
  TensorData,
} from "./model.ts";
import { onnx } from "./proto.ts";
import { fields } from "./protobuf.ts";

/** Shared by the decoding of one model: its path, and the side files, each read once. */
interface Context {
  readonly path: string | undefined;
  /** How an error names the model. */
  readonly label: string;
  readonly sideFiles: Map<string, Uint8Array>;
}

/** Field number → wire type of ModelProto. */
const modelFields: ReadonlyMap<number, number> = new Map([
  [1, 0],
  [2, 2],
  [3, 2],
  [4, 2],
  [5, 0],
  [6, 2],
  [7, 2],
  [8, 2],
  [14, 2],
  [20, 2],
  [25, 2],
]);

/** protobufjs keeps defaults on the prototype: only fields that the file contains are own properties. */
const has = (message: object, field: string): boolean => Object.hasOwn(message, field);

function notOnnx(label: string): OnnxUnlearnError {
  return badInput("NOT_ONNX", `${label} is not an ONNX model; give a .onnx file.`);
}

/** Why protobufjs could not decode the bytes: they are cut short, damaged, or no ONNX model at all. */
function decodeFailure(bytes: Uint8Array, label: string): OnnxUnlearnError {
  const first = bytes[0]!;
  if (modelFields.get(first >>> 3) !== (first & 7)) return notOnnx(label);
  try {
    for (const field of fields(bytes)) if (field.number > 1000) return notOnnx(label);
  } catch (error) {
    if (!(error instanceof RangeError)) return notOnnx(label);
    return badInput(
      "TRUNCATED",
      `${label} ends in the middle of the model (${bytes.length} bytes); copy or download it again.`,
    );
  }
  return badInput(
    "DAMAGED",
    `${label} starts like an ONNX model but its contents cannot be decoded; copy or export it again.`,
  );
}

function decodeProto(bytes: Uint8Array, label: string): { model: Onnx.IModelProto; graph: Onnx.IGraphProto } {
  if (bytes.length === 0) throw badInput("EMPTY_FILE", `${label} is empty; copy or download it again.`);
  const text = (from: number, to: number) => String.fromCharCode(...bytes.subarray(from, to));
  if (text(4, 8) === "ORTM") {
    throw notTrainable(
      "ORT_FORMAT",
      `${label} is in ONNX Runtime's own .ort format, whose weights cannot be edited; give the .onnx file it was converted from.`,
    );
  }
  if (text(0, 34) === "version https://git-lfs.github.com") {
    throw badInput(
      "GIT_LFS_POINTER",
      `${label} is a Git LFS pointer, not the model itself; run "git lfs pull" first.`,
    );
  }
  let model: Onnx.IModelProto;
  try {
    model = onnx.ModelProto.decode(bytes);
  } catch {
    throw decodeFailure(bytes, label);
  }
  if (!model.graph || modelFields.get(bytes[0]! >>> 3) !== (bytes[0]! & 7)) throw notOnnx(label);
  return { model, graph: model.graph };
}

function decodeTensor(proto: Onnx.ITensorProto, context: Context, what: string): OnnxTensor {
  const where = `${what} of ${context.label}`;
  const dims = (proto.dims ?? []).map(toNumber);
  const dtype = dataTypeName(proto.dataType ?? 0);
  if (!dtype) {
    throw badInput(
      "ELEMENT_TYPE",
      `The ${where} has the element type number ${proto.dataType ?? 0}, which this version does not know; export the model with another element type.`,
    );
  }
  if (dims.some((dim) => dim < 0) || !Number.isSafeInteger(elementCount(dims))) {
    throw badInput(
      "TENSOR_SIZE",
      `The ${where} has the impossible shape [${dims.join(",")}]; export the model again.`,
    );
  }
  if (proto.segment) {
    throw badInput(
      "TENSOR_SEGMENT",
      `The ${where} is stored in segments, which ONNX Runtime does not read either; export the model again.`,
    );
  }
  let raw: Uint8Array | undefined;
  if (proto.dataLocation === onnx.TensorProto.DataLocation.EXTERNAL) {
    const entries = (proto.externalData ?? []).map(({ key, value }) => [key ?? "", value ?? ""] as const);
    const { location, offset, length } = externalLocation(entries, where);
    let file = context.sideFiles.get(location);
    if (!file) {
      file = readSideFile(context.path, location, where);
      context.sideFiles.set(location, file);
    }
    const end = offset + (length ?? (dtype === "string" ? 0 : rawByteLength(dtype, elementCount(dims))));
    if (end > file.length) {
      throw badInput(
        "TENSOR_SIZE",
        `The ${where} should lie in bytes ${offset} to ${end} of "${location}", but that file has only ${file.length} bytes; copy or download it again.`,
      );
    }
    raw = file.subarray(offset, end);
  } else if (proto.rawData && has(proto, "rawData")) {
    raw = proto.rawData;
  }
  return { name: proto.name ?? "", dtype, dims, data: decodePayload(proto, dtype, dims, raw, where) };
}

/** A sparse tensor as a dense one; indices are linear ([NNZ]) or coordinates ([NNZ, rank]). */
function decodeSparse(proto: Onnx.ISparseTensorProto, context: Context, what: string): OnnxTensor {
  const where = `${what} of ${context.label}`;
  const bad = (why: string) =>
    badInput("SPARSE_TENSOR", `The sparse ${where} ${why}; export the model again.`);
  if (!proto.values || !proto.indices) throw bad("has no values or no indices");
  const values = decodeTensor(proto.values, context, what);
  const indices = decodeTensor(proto.indices, context, `indices of ${what}`).data;
  const dims = (proto.dims ?? []).map(toNumber);
  if (!(indices instanceof BigInt64Array) || Array.isArray(values.data))
    throw bad("has indices that are not int64, or string values");
  const source = values.data as Exclude<TensorData, readonly string[]>;
  const Kind = source.constructor as new (length: number) => typeof source;
  const dense = new Kind(elementCount(dims));
  const coordinates = indices.length === source.length ? 1 : dims.length;
  if (indices.length !== source.length * coordinates)
    throw bad(`has ${source.length} values but ${indices.length} indices`);
  for (let i = 0; i < source.length; i++) {
    let at = 0;
    for (let axis = 0; axis < coordinates; axis++) {
      const index = Number(indices[i * coordinates + axis]);
      const limit = coordinates === 1 ? dense.length : dims[axis]!;
      if (index < 0 || index >= limit) throw bad(`has index ${index} outside its shape [${dims.join(",")}]`);
      at = coordinates === 1 ? index : at * limit + index;
    }
    dense[at] = source[i]!;
  }
  return { name: values.name, dtype: values.dtype, dims, data: dense };
}

/**
 * Files older than IR version 3 may leave `type` out; the type then follows from the field that is present.
 */
function attributeType(proto: Onnx.IAttributeProto): Onnx.AttributeProto.AttributeType {
  const { AttributeType } = onnx.AttributeProto;
  if (proto.type) return proto.type;
  if (proto.t) return AttributeType.TENSOR;
  if (proto.g) return AttributeType.GRAPH;
  if (proto.floats?.length) return AttributeType.FLOATS;
  if (proto.ints?.length) return AttributeType.INTS;
  if (proto.strings?.length) return AttributeType.STRINGS;
  if (proto.tensors?.length) return AttributeType.TENSORS;
  if (proto.graphs?.length) return AttributeType.GRAPHS;
  if (has(proto, "s")) return AttributeType.STRING;
  if (has(proto, "f")) return AttributeType.FLOAT;
  if (has(proto, "i")) return AttributeType.INT;
  return AttributeType.INTS;
}

/** undefined for the kinds that no operator here uses (type and sparse-list attributes). */
function decodeAttribute(
  proto: Onnx.IAttributeProto,
  context: Context,
  what: string,
): AttributeValue | undefined {
  const { AttributeType } = onnx.AttributeProto;
  const utf8 = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  const here = `attribute "${proto.name ?? ""}" of ${what}`;
  switch (attributeType(proto)) {
    case AttributeType.FLOAT:
      return proto.f ?? 0;
    case AttributeType.INT:
      return toNumber(proto.i ?? 0);
    case AttributeType.STRING:
      return utf8(proto.s ?? new Uint8Array());
    case AttributeType.TENSOR:
      return proto.t ? decodeTensor(proto.t, context, here) : undefined;
    case AttributeType.GRAPH:
      return proto.g ? decodeGraph(proto.g, context) : undefined;
    case AttributeType.SPARSE_TENSOR:
      return proto.sparseTensor ? decodeSparse(proto.sparseTensor, context, here) : undefined;
    case AttributeType.FLOATS:
      return proto.floats ?? [];
    case AttributeType.INTS:
      return (proto.ints ?? []).map(toNumber);
    case AttributeType.STRINGS:
      return (proto.strings ?? []).map(utf8);
    case AttributeType.TENSORS:
      return (proto.tensors ?? []).map((tensor) => decodeTensor(tensor, context, here));
    case AttributeType.GRAPHS:
      return (proto.graphs ?? []).map((graph) => decodeGraph(graph, context));
    default:
      return undefined;
  }
}

/** The domain ai.onnx is written "" or "ai.onnx". */
const domainName = (domain: string | null | undefined): string =>
  !domain || domain === "ai.onnx" ? "" : domain;

function decodeNode(proto: Onnx.INodeProto, context: Context): OnnxNode {
  const opType = proto.opType ?? "";
  const outputs = proto.output ?? [];
  const what = `${opType} node "${proto.name || outputs[0] || ""}"`;
  const attributes: Record<string, AttributeValue> = {};
  const references: Record<string, string> = {};
  for (const attribute of proto.attribute ?? []) {
    if (attribute.refAttrName) {
      references[attribute.name ?? ""] = attribute.refAttrName;
      continue;
    }
    const value = decodeAttribute(attribute, context, what);
    if (value !== undefined) attributes[attribute.name ?? ""] = value;
  }
  return {
    name: proto.name ?? "",
    opType,
    domain: domainName(proto.domain),
    inputs: proto.input ?? [],
    outputs,
    attributes,
    ...(Object.keys(references).length > 0 ? { references } : {}),
  };
}

/** Reads field 11, attributes with defaults, by hand: onnx-proto does not know it. */
function decodeFunction(bytes: Uint8Array, context: Context): OnnxFunction {
  const proto = onnx.FunctionProto.decode(bytes);
  const name = proto.name ?? "";
  const defaults: Record<string, AttributeValue> = {};
  for (const field of fields(bytes)) {
    if (field.number !== 11) continue;
    const attribute = onnx.AttributeProto.decode(bytes.subarray(field.body, field.end));
    const value = decodeAttribute(attribute, context, `function "${name}"`);
    if (value !== undefined) defaults[attribute.name ?? ""] = value;
  }
  return {
    domain: domainName(proto.domain),
    name,
    inputs: proto.input ?? [],
    outputs: proto.output ?? [],
    defaults,
    opsets: new Map(
      (proto.opsetImport ?? []).map(({ domain, version }) => [domainName(domain), toNumber(version ?? 0)]),
    ),
    nodes: (proto.node ?? []).map((node) => decodeNode(node, context)),
  };
}

/** A dimension of 0 or above is fixed. Some exporters write -1 for "any", which becomes undefined. */
function decodeDimension(proto: Onnx.TensorShapeProto.IDimension): number | string | undefined {
  if (has(proto, "dimValue")) {
    const value = toNumber(proto.dimValue ?? 0);
    return value < 0 ? undefined : value;
  }
  return proto.dimParam || undefined;
}

function decodeValueInfo(proto: Onnx.IValueInfoProto): OnnxValueInfo {
  const tensor = proto.type?.tensorType;
  return {
    name: proto.name ?? "",
    dtype: dataTypeName(tensor?.elemType ?? 0),
    dims: tensor?.shape ? (tensor.shape.dim ?? []).map(decodeDimension) : undefined,
  };
}

function decodeGraph(proto: Onnx.IGraphProto, context: Context): OnnxGraph {
  const dense = (proto.initializer ?? []).map((tensor) =>
    decodeTensor(tensor, context, `initializer "${tensor.name ?? ""}"`),
  );
  const sparse = (proto.sparseInitializer ?? []).map((tensor) =>
    decodeSparse(tensor, context, `initializer "${tensor.values?.name ?? ""}"`),
  );
  const initializers = new Map([...dense, ...sparse].map((tensor) => [tensor.name, tensor]));
  return {
    name: proto.name ?? "",
    nodes: (proto.node ?? []).map((node) => decodeNode(node, context)),
    initializers,
    inputs: (proto.input ?? []).map(decodeValueInfo).filter(({ name }) => !initializers.has(name)),
    outputs: (proto.output ?? []).map(decodeValueInfo),
  };
}

/**
 * Decode an ONNX model. `bytes` becomes part of the model and is never written to.
 * @param path where the bytes came from: external data is looked for in its folder, and errors name it
 * @param sideFiles external data that is in memory already, by location
 * @throws badInput (exit 2) "EMPTY_FILE", "GIT_LFS_POINTER", "TRUNCATED", "DAMAGED", "NOT_ONNX",
 * "EXTERNAL_DATA", "TENSOR_SIZE", "ELEMENT_TYPE", "SPARSE_TENSOR" or "TENSOR_SEGMENT"; notTrainable (exit 3)
 * "ORT_FORMAT" for weights that cannot be edited, "EXTERNAL_DATA_MISSING" for weights that are not there
 */
export function readModel(
  bytes: Uint8Array,
  path?: string,
  sideFiles: ReadonlyMap<string, Uint8Array> = new Map(),
): OnnxModel {
  const label = path ?? "The model";
  const { model, graph } = decodeProto(bytes, label);
  const context: Context = { path, label: path ?? "the model", sideFiles: new Map(sideFiles) };
  const opsets = new Map(
    (model.opsetImport ?? []).map(({ domain, version }) => [domainName(domain), toNumber(version ?? 0)]),
  );
  if (opsets.size === 0) opsets.set("", 1);
  return {
    path,
    bytes,
    irVersion: toNumber(model.irVersion ?? 0),
    opsets,
    producer: `${model.producerName ?? ""} ${model.producerVersion ?? ""}`.trim(),
    metadata: Object.fromEntries(
      (model.metadataProps ?? []).map(({ key, value }) => [key ?? "", value ?? ""]),
    ),
    graph: decodeGraph(graph, context),
    functions: [...fields(bytes)]
      .filter(({ number, wire }) => number === 25 && wire === 2)
      .map(({ body, end }) => decodeFunction(bytes.subarray(body, end), context)),
    sideFiles: context.sideFiles,
  };
}

/**
 * Read and decode an ONNX file; see {@link readModel}.
 * @throws badInput (exit 2) "FILE_MISSING" or "FILE_UNREADABLE" besides readModel's
 */
export function loadModelFile(path: string): OnnxModel {
  let bytes: Uint8Array;
  try {
    bytes = readBytes(path);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "ENOENT" || code === "ENOTDIR") {
      throw badInput("FILE_MISSING", `There is no file ${path}; check the path to the model.`);
    }
    if (code === "EISDIR")
      throw badInput("FILE_UNREADABLE", `${path} is a folder; give the .onnx file inside it.`);
    throw badInput(
      "FILE_UNREADABLE",
      `${path} cannot be read (${code ?? String(error)}); check its permissions and size.`,
    );
  }
  return readModel(bytes, path);
}
