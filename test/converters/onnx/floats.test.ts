import { describe, expect, test } from "vitest";
import {
  fromBfloat16Bits,
  fromFloat16Bits,
  smallFloats,
  toBfloat16Bits,
  toFloat16Bits,
} from "../../../converters/onnx/floats.ts";

// IEEE 754-2019 binary16: values from the standard's format table and its ties-to-even rule.
test.each([
  [0, 0x0000],
  [-0, 0x8000],
  [1, 0x3c00],
  [-2, 0xc000],
  [1 / 3, 0x3555],
  [65504, 0x7bff],
  [65519.99, 0x7bff],
  [65520, 0x7c00],
  [Infinity, 0x7c00],
  [-Infinity, 0xfc00],
  [2 ** -14, 0x0400],
  [2 ** -24, 0x0001],
  [2 ** -25, 0x0000],
  [2 ** -25 * 1.0001, 0x0001],
  [1.5 * 2 ** -24, 0x0002],
  [1023.5 * 2 ** -24, 0x0400],
  [1 + 2 ** -11, 0x3c00],
  [1 + 3 * 2 ** -11, 0x3c02],
  [1 + 2 ** -11 + 2 ** -20, 0x3c01],
  [2049, 0x6800],
  [2051, 0x6802],
])("float16 of %d is %i", (value, bits) => expect(toFloat16Bits(value)).toBe(bits));

test("every float16 pattern survives decoding and encoding", () => {
  for (let bits = 0; bits < 0x10000; bits++) {
    const value = fromFloat16Bits(bits);
    if (Number.isNaN(value)) expect((bits & 0x7c00) === 0x7c00 && (bits & 0x3ff) !== 0).toBe(true);
    else expect(toFloat16Bits(value)).toBe(bits);
  }
});

// bfloat16 is the upper half of float32; 1 + 2^-8 lies midway between 0x3f80 and 0x3f81.
test.each([
  [1, 0x3f80],
  [-1, 0xbf80],
  [1 + 2 ** -8, 0x3f80],
  [1 + 3 * 2 ** -8, 0x3f82],
  [3.3895313892515355e38, 0x7f7f],
  [3.4e38, 0x7f80],
  [-0, 0x8000],
])("bfloat16 of %d is %i", (value, bits) => expect(toBfloat16Bits(value)).toBe(bits));

test("bfloat16 NaN stays NaN and finite patterns survive", () => {
  expect(fromBfloat16Bits(toBfloat16Bits(Number.NaN))).toBeNaN();
  for (let bits = 0; bits < 0x10000; bits++) {
    const value = fromBfloat16Bits(bits);
    if (!Number.isNaN(value)) expect(toBfloat16Bits(value)).toBe(bits);
  }
});

// https://onnx.ai/onnx/technical/float8.html: largest and smallest numbers of each kind.
describe("float8 and float4 codes", () => {
  test.each([
    ["float8e4m3fn", 0x7e, 448],
    ["float8e4m3fn", 0x01, 2 ** -9],
    ["float8e4m3fn", 0x7f, Number.NaN],
    ["float8e4m3fnuz", 0x7f, 240],
    ["float8e4m3fnuz", 0x80, Number.NaN],
    ["float8e5m2", 0x7b, 57344],
    ["float8e5m2", 0x7c, Infinity],
    ["float8e5m2fnuz", 0x7f, 57344],
    ["float8e5m2fnuz", 0x01, 2 ** -17],
    ["float4e2m1", 0x7, 6],
    ["float4e2m1", 0x1, 0.5],
  ] as const)("%s 0x%i", (kind, code, value) => expect(smallFloats[kind][code]).toBe(value));
});
