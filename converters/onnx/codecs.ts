import type { onnx } from "onnx-proto";
import { elementCount } from "../dims.ts";
import { badInput } from "../errors.ts";
import { fromBfloat16Bits, fromFloat16Bits, smallFloats } from "./floats.ts";
import type { DataType, TensorData } from "./model.ts";

/**
 * TensorProto.DataType → name; the index is ONNX's number.
 * https://onnx.ai/onnx/repo-docs/IR.html#tensor-element-types
 */
const dataTypes: readonly (DataType | undefined)[] = [
  undefined,
  "float32",
  "uint8",
  "int8",
  "uint16",
  "int16",
  "int32",
  "int64",
  "string",
  "bool",
  "float16",
  "float64",
  "uint32",
  "uint64",
  "complex64",
  "complex128",
  "bfloat16",
  "float8e4m3fn",
  "float8e4m3fnuz",
  "float8e5m2",
  "float8e5m2fnuz",
  "uint4",
  "int4",
  "float4e2m1",
];

/** The name of an element type; undefined for 0 and for numbers newer than this program. */
export const dataTypeName = (number: number): DataType | undefined => dataTypes[number];

/** A 64-bit integer as protobufjs decodes it: a Long object, or a number if the `long` package is absent. */
type Int64 = number | { toNumber(): number; low: number; high: number };

/** Beyond 2^53 the last bits are lost. */
export const toNumber = (value: Int64): number => (typeof value === "number" ? value : value.toNumber());

const toBigInt = (value: Int64): bigint =>
  typeof value === "number" ? BigInt(value) : (BigInt(value.high | 0) << 32n) | BigInt(value.low >>> 0);

/** A copy, as wider typed arrays need alignment, and writing to it must not change the file's bytes. */
const ownBuffer = (raw: Uint8Array): ArrayBuffer => new Uint8Array(raw).buffer;

/** Two four-bit elements a byte, the first in the low half. */
const nibbles = (bytes: ArrayLike<number>, elements: number): Uint8Array =>
  Uint8Array.from({ length: elements }, (_, i) => (bytes[i >> 1]! >> (4 * (i & 1))) & 0xf);

const signedNibble = (code: number): number => (code << 28) >> 28;

interface Codec {
  /** Bits per element in raw_data. */
  readonly bits: number;
  /** The typed field that holds the values when raw_data is absent. */
  readonly field: "floatData" | "doubleData" | "int32Data" | "int64Data" | "uint64Data";
  /** Entries of the typed field per element: 2 for complex, 0.5 for four-bit kinds. */
  readonly entries: number;
  readonly fromRaw: (raw: Uint8Array, elements: number) => TensorData;
  /** `entries` are numbers, or Int64 for int64Data and uint64Data. */
  readonly fromField: (entries: readonly Int64[], elements: number) => TensorData;
}

const numbers = (entries: readonly Int64[]): readonly number[] => entries.map(toNumber);

const float8 = (values: Float32Array): Codec => ({
  bits: 8,
  field: "int32Data",
  entries: 1,
  fromRaw: (raw) => Float32Array.from(raw, (code) => values[code]!),
  fromField: (entries) => Float32Array.from(numbers(entries), (code) => values[code & 0xff]!),
});

const halfWidth = (decode: (bits: number) => number): Codec => ({
  bits: 16,
  field: "int32Data",
  entries: 1,
  fromRaw: (raw) => Float32Array.from(new Uint16Array(ownBuffer(raw)), decode),
  fromField: (entries) => Float32Array.from(numbers(entries), (bits) => decode(bits & 0xffff)),
});

const integer = (
  bits: number,
  field: "int32Data" | "uint64Data",
  make: (values: ArrayBuffer | readonly number[]) => TensorData,
): Codec => ({
  bits,
  field,
  entries: 1,
  fromRaw: (raw) => make(ownBuffer(raw)),
  fromField: (entries) => make(numbers(entries)),
});

const fourBits = (make: (codes: Uint8Array) => TensorData): Codec => ({
  bits: 4,
  field: "int32Data",
  entries: 0.5,
  fromRaw: (raw, elements) => make(nibbles(raw, elements)),
  fromField: (entries, elements) => make(nibbles(numbers(entries), elements)),
});

const float32: Codec = {
  bits: 32,
  field: "floatData",
  entries: 1,
  fromRaw: (raw) => new Float32Array(ownBuffer(raw)),
  fromField: (entries) => Float32Array.from(numbers(entries)),
};

const float64: Codec = {
  bits: 64,
  field: "doubleData",
  entries: 1,
  fromRaw: (raw) => new Float64Array(ownBuffer(raw)),
  fromField: (entries) => Float64Array.from(numbers(entries)),
};

const codecs: { readonly [type in Exclude<DataType, "string">]: Codec } = {
  float32,
  float64,
  float16: halfWidth(fromFloat16Bits),
  bfloat16: halfWidth(fromBfloat16Bits),
  int8: integer(8, "int32Data", (values) => new Int8Array(values)),
  uint8: integer(8, "int32Data", (values) => new Uint8Array(values)),
  int16: integer(16, "int32Data", (values) => new Int16Array(values)),
  uint16: integer(16, "int32Data", (values) => new Uint16Array(values)),
  int32: integer(32, "int32Data", (values) => new Int32Array(values)),
  uint32: integer(32, "uint64Data", (values) => new Uint32Array(values)),
  bool: integer(8, "int32Data", (values) => new Uint8Array(values).map((value) => (value ? 1 : 0))),
  int64: {
    bits: 64,
    field: "int64Data",
    entries: 1,
    fromRaw: (raw) => new BigInt64Array(ownBuffer(raw)),
    fromField: (entries) => BigInt64Array.from(entries, toBigInt),
  },
  uint64: {
    bits: 64,
    field: "uint64Data",
    entries: 1,
    fromRaw: (raw) => new BigUint64Array(ownBuffer(raw)),
    fromField: (entries) => BigUint64Array.from(entries, (value) => BigInt.asUintN(64, toBigInt(value))),
  },
  complex64: { ...float32, bits: 64, entries: 2 },
  complex128: { ...float64, bits: 128, entries: 2 },
  float8e4m3fn: float8(smallFloats.float8e4m3fn),
  float8e4m3fnuz: float8(smallFloats.float8e4m3fnuz),
  float8e5m2: float8(smallFloats.float8e5m2),
  float8e5m2fnuz: float8(smallFloats.float8e5m2fnuz),
  uint4: fourBits((codes) => codes),
  int4: fourBits((codes) => Int8Array.from(codes, signedNibble)),
  float4e2m1: fourBits((codes) => Float32Array.from(codes, (code) => smallFloats.float4e2m1[code]!)),
};

/** Bytes that `elements` elements take in raw_data. */
export const rawByteLength = (dtype: Exclude<DataType, "string">, elements: number): number =>
  Math.ceil((codecs[dtype].bits * elements) / 8);

/**
 * Decodes a tensor's payload. Complex values are interleaved (real, imaginary), so the result is twice as
 * long as the dims say.
 * @param raw the bytes of raw_data or of the external file; undefined if the typed fields hold the values
 * @param where how an error names the tensor, such as `initializer "w" of model.onnx`
 * @throws badInput "TENSOR_SIZE" if payload and dims disagree
 */
export function decodePayload(
  proto: onnx.ITensorProto,
  dtype: DataType,
  dims: readonly number[],
  raw: Uint8Array | undefined,
  where: string,
): TensorData {
  const elements = elementCount(dims);
  const shape = `${dtype}[${dims.join(",")}]`;
  const wrongSize = (found: string, expected: string) =>
    badInput(
      "TENSOR_SIZE",
      `The ${where} is declared as ${shape}, which takes ${expected}, but the file holds ${found}; the file is damaged or was written by a faulty exporter: export it again.`,
    );
  if (dtype === "string") {
    const strings = proto.stringData ?? [];
    if (strings.length !== elements) throw wrongSize(`${strings.length} strings`, `${elements} strings`);
    return strings.map((bytes) => new TextDecoder().decode(bytes));
  }
  const codec = codecs[dtype];
  if (raw) {
    const expected = rawByteLength(dtype, elements);
    if (raw.length !== expected) throw wrongSize(`${raw.length} bytes`, `${expected} bytes`);
    return codec.fromRaw(raw, elements);
  }
  const entries: readonly Int64[] = proto[codec.field] ?? [];
  const expected = Math.ceil(codec.entries * elements);
  if (entries.length !== expected) throw wrongSize(`${entries.length} values`, `${expected} values`);
  return codec.fromField(entries, elements);
}
