import type { TensorInfo } from "@tensorflow/tfjs-core";
import type { ConvAttributes } from "../../kernels/conv.ts";
import type { Trace } from "../trace.ts";
import { product, reshape } from "./window.ts";

/**
 * 3×3 convolutions of many channels over few places as Winograd's F(2×2, 3×3) (Lavin & Gray, CVPR 2016): every 4×4 tile of x
 * becomes 16 numbers V = BᵀxB, every filter U = GwGᵀ, and 16 matrix products M = V Uᵀ make 2×2 outputs y = AᵀMA each: 16
 * products where the direct form takes 36. All of it is linear, so the gradients are the same three steps transposed:
 * dM = A dy Aᵀ, dU = dMᵀV, dV = dM U. Both transforms are single matrix products over the places of an image, in the layout
 * [H·W, N·C]: no tile is ever copied.
 */

const INPUT = [
  [1, 0, -1, 0],
  [0, 1, 1, 0],
  [0, -1, 1, 0],
  [0, 1, 0, -1],
];
const FILTER = [
  [1, 0, 0],
  [0.5, 0.5, 0.5],
  [0.5, -0.5, 0.5],
  [0, 0, 1],
];
/** By frequency and place of the output. */
const OUTPUT = [
  [1, 0],
  [1, 1],
  [1, -1],
  [0, -1],
];
const FREQUENCIES = 16;

const tilesOf = (a: ConvAttributes) =>
  a.outputShape.slice(2).map((d) => Math.ceil(d / 2)) as [number, number];

/**
 * Whether this form is faster than the direct one. In operations of a matrix product, per product of the three gradients and
 * forward passes: 72 or 32 per tile and pair of channels, the transforms of x, y and their gradients, and those of the
 * filters, which move memory and cost as much as 650 (measured: 262144 filters in 2.4 and 4.1 ms at 77 GFLOP/s).
 */
export function isWinograd(a: ConvAttributes): boolean {
  const plain =
    a.group === 1 && a.kernel.join() === "3,3" && [...a.strides, ...a.dilations].every((s) => s === 1);
  if (!plain || a.outputShape.length !== 4) return false;
  const [o, c] = a.filterShape as [number, number];
  const n = a.inputShape[0]!;
  const tiles = product(tilesOf(a));
  const places = product(a.inputShape.slice(2));
  const pairs = c * o;
  const transforms = 1.5 * 2 * FREQUENCIES * tiles * places * n * Math.max(c, o);
  return 32 * pairs * tiles * n + transforms + 650 * pairs < 0.9 * 72 * pairs * tiles * n;
}

/** [N, C, H, W] → [H·W, N·C] */
function toPlanes(trace: Trace, x: TensorInfo): TensorInfo {
  const [n, c, h, w] = x.shape as [number, number, number, number];
  const { block } = trace;
  if (trace.isBlocked(x) && c % block === 0) {
    const raw = reshape(trace, trace.blocked(x), [n, c / block, h * w, block]);
    const shape = [h * w, n, c / block, block];
    const moved = trace.emit("Transpose", [raw], shape, "float32", { perm: { ints: [2, 0, 1, 3] } });
    return reshape(trace, moved, [h * w, n * c]);
  }
  const moved = trace.emit("Transpose", [x], [h, w, n, c], "float32", { perm: { ints: [2, 3, 0, 1] } });
  return reshape(trace, moved, [h * w, n * c]);
}

/** [H·W, N·C] → [N, C, H, W] */
function fromPlanes(trace: Trace, y: TensorInfo, shape: readonly number[]): TensorInfo {
  const [n, c, h, w] = shape as [number, number, number, number];
  const { block } = trace;
  if (block > 0 && c % block === 0) {
    const cut = reshape(trace, y, [h * w, n, c / block, block]);
    const dims = [n, c / block, h * w, block];
    const moved = trace.emit("Transpose", [cut], dims, "float32", { perm: { ints: [1, 2, 0, 3] } });
    return trace.fromBlocked(reshape(trace, moved, shape), shape);
  }
  const cut = reshape(trace, y, [h, w, n, c]);
  return trace.emit("Transpose", [cut], shape, "float32", { perm: { ints: [2, 3, 0, 1] } });
}

/** A constant matrix by its entries, as it is or transposed. */
function matrix(
  trace: Trace,
  [rows, columns]: readonly [number, number],
  entries: Iterable<readonly [row: number, column: number, value: number]>,
  transposed = false,
): TensorInfo {
  const values = new Float32Array(rows * columns);
  for (const [row, column, value] of entries)
    values[transposed ? column * rows + row : row * columns + column] = value;
  return trace.constant(values, transposed ? [columns, rows] : [rows, columns], "float32");
}

/** Over the 16 frequencies and all tiles. */
function* frequencies([rows, columns]: readonly [number, number]) {
  for (let i = 0; i < 4; i++)
    for (let j = 0; j < 4; j++)
      for (let row = 0; row < rows; row++)
        for (let column = 0; column < columns; column++)
          yield { i, j, row, column, at: ((4 * i + j) * rows + row) * columns + column };
}

/** Bᵀ·B on every tile: [16·tiles, H·W]. */
function inputTransform(trace: Trace, a: ConvAttributes, transposed = false): TensorInfo {
  const tiles = tilesOf(a);
  const [h, w] = a.inputShape.slice(2) as [number, number];
  const [top, left] = a.pads as readonly [number, number];
  function* entries() {
    for (const { i, j, row, column, at } of frequencies(tiles))
      for (let p = 0; p < 4; p++)
        for (let q = 0; q < 4; q++) {
          const [y, x] = [2 * row + p - top, 2 * column + q - left];
          const value = INPUT[i]![p]! * INPUT[j]![q]!;
          if (value !== 0 && y >= 0 && y < h && x >= 0 && x < w) yield [at, y * w + x, value] as const;
        }
  }
  return matrix(trace, [FREQUENCIES * product(tiles), h * w], entries(), transposed);
}

/** Aᵀ·A on every tile: [H'·W', 16·tiles]. */
function outputTransform(trace: Trace, a: ConvAttributes, transposed = false): TensorInfo {
  const tiles = tilesOf(a);
  const [h, w] = a.outputShape.slice(2) as [number, number];
  function* entries() {
    for (const { i, j, row, column, at } of frequencies(tiles))
      for (let p = 0; p < 2; p++)
        for (let q = 0; q < 2; q++) {
          const [y, x] = [2 * row + p, 2 * column + q];
          const value = OUTPUT[i]![p]! * OUTPUT[j]![q]!;
          if (value !== 0 && y < h && x < w) yield [y * w + x, at, value] as const;
        }
  }
  return matrix(trace, [h * w, FREQUENCIES * product(tiles)], entries(), transposed);
}

/** G·Gᵀ: [16, 9]. */
function filterTransform(trace: Trace, transposed = false): TensorInfo {
  function* entries() {
    for (const { i, j, at } of frequencies([1, 1]))
      for (let p = 0; p < 3; p++)
        for (let q = 0; q < 3; q++) yield [at, 3 * p + q, FILTER[i]![p]! * FILTER[j]![q]!] as const;
  }
  return matrix(trace, [FREQUENCIES, 9], entries(), transposed);
}

const multiply = (
  trace: Trace,
  a: TensorInfo,
  b: TensorInfo,
  shape: readonly number[],
  { transA = 0, transB = 0 } = {},
): TensorInfo =>
  transA || transB
    ? trace.emit(
        "FusedMatMul",
        [a, b],
        shape,
        "float32",
        { transA: { int: transA }, transB: { int: transB } },
        "com.microsoft",
      )
    : trace.emit("MatMul", [a, b], shape, "float32");

/** Sizes that all three lowerings share. */
const sizes = (a: ConvAttributes) => {
  const [o, c] = a.filterShape as [number, number];
  const n = a.inputShape[0]!;
  const tiles = product(tilesOf(a));
  return { n, o, c, tiles, rows: tiles * n, spread: FREQUENCIES * tiles };
};

/** V: [16, tiles·N, C]. */
function spreadInput(trace: Trace, x: TensorInfo, a: ConvAttributes): TensorInfo {
  const { n, c, rows, spread } = sizes(a);
  const v = multiply(trace, inputTransform(trace, a), toPlanes(trace, x), [spread, n * c]);
  return reshape(trace, v, [FREQUENCIES, rows, c]);
}

/** dM: [16, tiles·N, O]. */
function spreadGradient(trace: Trace, dy: TensorInfo, a: ConvAttributes): TensorInfo {
  const { n, o, rows, spread } = sizes(a);
  const m = multiply(trace, outputTransform(trace, a, true), toPlanes(trace, dy), [spread, n * o]);
  return reshape(trace, m, [FREQUENCIES, rows, o]);
}

/** U: [16, O, C]. */
function spreadFilter(trace: Trace, w: TensorInfo, a: ConvAttributes): TensorInfo {
  const { o, c } = sizes(a);
  const flat = reshape(trace, w, [o * c, 9]);
  const u = multiply(trace, filterTransform(trace), flat, [FREQUENCIES, o * c], { transB: 1 });
  return reshape(trace, u, [FREQUENCIES, o, c]);
}

export function winogradConv(
  trace: Trace,
  [x, w, bias]: readonly TensorInfo[],
  a: ConvAttributes,
): TensorInfo {
  const { n, o, rows, spread } = sizes(a);
  const v = spreadInput(trace, x!, a);
  const m = multiply(trace, v, spreadFilter(trace, w!, a), [FREQUENCIES, rows, o], { transB: 1 });
  const places = product(a.outputShape.slice(2));
  let y = multiply(trace, outputTransform(trace, a), reshape(trace, m, [spread, n * o]), [places, n * o]);
  if (bias) y = trace.emit("Add", [reshape(trace, y, [places * n, o]), bias], [places * n, o], "float32");
  return fromPlanes(trace, y, a.outputShape);
}

export function winogradInputGrad(
  trace: Trace,
  dy: TensorInfo,
  w: TensorInfo,
  a: ConvAttributes,
): TensorInfo {
  const { n, c, rows, spread } = sizes(a);
  const dv = multiply(trace, spreadGradient(trace, dy, a), spreadFilter(trace, w, a), [FREQUENCIES, rows, c]);
  const places = product(a.inputShape.slice(2));
  const flat = reshape(trace, dv, [spread, n * c]);
  const dx = multiply(trace, inputTransform(trace, a, true), flat, [places, n * c]);
  return fromPlanes(trace, dx, a.inputShape);
}

export function winogradFilterGrad(
  trace: Trace,
  x: TensorInfo,
  dy: TensorInfo,
  a: ConvAttributes,
): TensorInfo {
  const { o, c } = sizes(a);
  const [dm, v] = [spreadGradient(trace, dy, a), spreadInput(trace, x, a)];
  const du = multiply(trace, dm, v, [FREQUENCIES, o, c], { transA: 1 });
  const flat = reshape(trace, du, [FREQUENCIES, o * c]);
  const taps = multiply(trace, filterTransform(trace, true), flat, [9, o * c]);
  const dw = trace.emit("Transpose", [taps], [o * c, 9], "float32", { perm: { ints: [1, 0] } });
  return reshape(trace, dw, a.filterShape);
}
