/** log(1 + e^z) without overflow. */
export const softplus = (z: number): number => Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z)));

/** NaN of no values. */
export function mean(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]!;
  return sum / values.length;
}

type NumericArray =
  | Float32Array
  | Float64Array
  | Int32Array
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Uint32Array;

/** A typed array of the type of `like`, filled with zeros. */
const emptyLike = <T extends NumericArray>(like: T, length: number): T =>
  new (like.constructor as new (length: number) => T)(length);

/** Copies rows of a row-major array [N, width], in the given order. */
export function rowsOf<T extends NumericArray>(data: T, width: number, rows: ArrayLike<number>): T {
  const out = emptyLike(data, rows.length * width);
  for (let at = 0; at < rows.length; at++)
    out.set(data.subarray(rows[at]! * width, (rows[at]! + 1) * width), at * width);
  return out;
}

/** Typed arrays of one type, one after the other. */
export function concatenated<T extends NumericArray>(parts: readonly T[]): T {
  const out = emptyLike(
    parts[0]!,
    parts.reduce((sum, { length }) => sum + length, 0),
  );
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
