const word = new Uint32Array(1);
const single = new Float32Array(word.buffer);

/** IEEE 754 binary16 bits of `x` (rounded to float32 first), nearest even; beyond 65520 becomes infinity. */
export function toFloat16Bits(x: number): number {
  single[0] = x;
  const bits = word[0]!;
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  if (magnitude >= 0x47800000) return sign | 0x7c00;
  if (magnitude >= 0x38800000) {
    // Rebias the exponent by 127 - 15 = 112; a carry out of the mantissa rightly raises the exponent.
    return sign | ((magnitude + 0xfff + ((magnitude >>> 13) & 1) - 0x38000000) >>> 13);
  }
  const subnormals = Math.abs(single[0]) * 2 ** 24;
  const whole = Math.floor(subnormals);
  const rest = subnormals - whole;
  return sign | (whole + (rest > 0.5 || (rest === 0.5 && whole % 2 === 1) ? 1 : 0));
}

/** The value of IEEE 754 binary16 bits. */
export function fromFloat16Bits(bits: number): number {
  return fromSmallFloat(bits, 5, 10, 15, "ieee");
}

/** bfloat16 bits of `x` (rounded to float32 first), nearest even. */
export function toBfloat16Bits(x: number): number {
  single[0] = x;
  const bits = word[0]!;
  if ((bits & 0x7fffffff) > 0x7f800000) return (bits >>> 16) | 0x40;
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}

/** The value of bfloat16 bits. */
export function fromBfloat16Bits(bits: number): number {
  word[0] = bits << 16;
  return single[0]!;
}

/**
 * How the special codes are read. "ieee": an all-ones exponent is infinity or NaN. "fn": only all ones is
 * NaN. "fnuz": only the code of −0 is NaN. "finite": every code is a number.
 */
type Specials = "ieee" | "fn" | "fnuz" | "finite";

/** sign · 2^(exponent - bias) · 1.mantissa, subnormal at exponent 0. */
function fromSmallFloat(
  bits: number,
  exponentBits: number,
  mantissaBits: number,
  bias: number,
  specials: Specials,
): number {
  const magnitudeBits = exponentBits + mantissaBits;
  const sign = (bits >>> magnitudeBits) & 1 ? -1 : 1;
  const magnitude = bits & (2 ** magnitudeBits - 1);
  const exponent = magnitude >>> mantissaBits;
  const mantissa = magnitude & (2 ** mantissaBits - 1);
  if (specials === "ieee" && exponent === 2 ** exponentBits - 1)
    return mantissa ? Number.NaN : sign * Infinity;
  if (specials === "fn" && magnitude === 2 ** magnitudeBits - 1) return Number.NaN;
  if (specials === "fnuz" && sign < 0 && magnitude === 0) return Number.NaN;
  if (exponent === 0) return sign * mantissa * 2 ** (1 - bias - mantissaBits);
  return sign * (mantissa + 2 ** mantissaBits) * 2 ** (exponent - bias - mantissaBits);
}

/**
 * The 256 (or 16) values of the float8 and float4 kinds, by code: https://onnx.ai/onnx/technical/float8.html
 */
export const smallFloats = {
  float8e4m3fn: Float32Array.from({ length: 256 }, (_, code) => fromSmallFloat(code, 4, 3, 7, "fn")),
  float8e4m3fnuz: Float32Array.from({ length: 256 }, (_, code) => fromSmallFloat(code, 4, 3, 8, "fnuz")),
  float8e5m2: Float32Array.from({ length: 256 }, (_, code) => fromSmallFloat(code, 5, 2, 15, "ieee")),
  float8e5m2fnuz: Float32Array.from({ length: 256 }, (_, code) => fromSmallFloat(code, 5, 2, 16, "fnuz")),
  float4e2m1: Float32Array.from({ length: 16 }, (_, code) => fromSmallFloat(code, 2, 1, 1, "finite")),
} as const;
