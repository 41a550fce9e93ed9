import type { TensorInfo } from "@tensorflow/tfjs-core";
import type { ConvAttributes } from "../../kernels/conv.ts";
import type { Trace } from "../trace.ts";
import { product, reshape } from "./window.ts";

/**
 * 3×3 convolutions of many channels as Winograd's F(2×2, 3×3) (Lavin & Gray, CVPR 2016): every 4×4 tile of x becomes 16
 * numbers V = BᵀxB, every filter U = GwGᵀ, and 16 matrix products M = V Uᵀ make 2×2 outputs y = AᵀMA each: 16 products where
 * the direct form takes 36. All of it is linear, so the gradients are the same three steps transposed: dM = A dy Aᵀ,
 * dU = dMᵀV, dV = dM U. The transforms are matrix products over the places of an image, in the layout [H·W, N·C]: no tile is
 * ever copied. Over few places one product does both axes (`dense`: V is [i, j, tiles·N, C]), over more it is cheaper to do the
 * rows and then the columns (`separable`: [i, tile rows, j, tile columns·N, C], with U the same for every tile row).
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

/** Tiles down and across. */
const tilesOf = (a: ConvAttributes) =>
  a.outputShape.slice(2).map((d) => Math.ceil(d / 2)) as [number, number];

/** How the transforms are made and the numbers laid out. */
export type WinogradForm = "dense" | "separable";

/** Time of moving a number through memory once, in operations of a matrix product. */
const MOVE = 10;

/**
 * The faster of both forms, undefined where the direct convolution is faster. In operations of a matrix product, per product
 * of the three gradients and forward passes: 72 or 32 per tile and pair of channels (products of few channels run slower), the
 * transforms of x, y and their gradients, and those of the filters, which move memory and cost as much as 650 (measured:
 * 262144 filters in 2.4 and 4.1 ms at 77 GFLOP/s). 256 channels, 8×8, batch 32, the two transforms of a convolution: dense 3.2 ms, separable 0.9.
 */
export function winogradForm(a: ConvAttributes): WinogradForm | undefined {
  const plain =
    a.group === 1 && a.kernel.join() === "3,3" && [...a.strides, ...a.dilations].every((s) => s === 1);
  if (!plain || a.outputShape.length !== 4) return undefined;
  const [o, c] = a.filterShape as [number, number];
  const n = a.inputShape[0]!;
  const [down, across] = tilesOf(a);
  const [height, width] = a.inputShape.slice(2) as [number, number];
  const pairs = c * o;
  const perTile = pairs * down * across * n;
  const spread = FREQUENCIES * down * across;
  const rows = 4 * down * width;
  const transforms = 2 * 1.5 * n * Math.max(c, o);
  const dense = transforms * (spread * height * width + MOVE * (2 * height * width + spread));
  // Each tile row has a dU of its own, to be summed: in one product of four.
  const separable =
    transforms * (rows * height + spread * width + MOVE * (2 * height * width + 2 * rows + spread)) +
    (2 * MOVE * FREQUENCIES * down * pairs) / 4;
  const winograd = 32 * (1 + 32 / Math.min(c, o)) * perTile + Math.min(dense, separable) + 650 * pairs;
  if (winograd >= 0.9 * 72 * perTile) return undefined;
  return dense <= separable ? "dense" : "separable";
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

/** A matrix by its entries. */
interface Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly at: (row: number, column: number) => number;
}

/** A transform along one axis: to the frequencies and tiles (`spreads`), or from them. */
interface Axis extends Matrix {
  readonly spreads: boolean;
}

const constant = (trace: Trace, { rows, columns, at }: Matrix): TensorInfo =>
  trace.constant(
    Float32Array.from({ length: rows * columns }, (_, i) => at(Math.floor(i / columns), i % columns)),
    [rows, columns],
    "float32",
  );

const transposed = ({ rows, columns, at, spreads }: Axis): Axis => ({
  rows: columns,
  columns: rows,
  at: (row, column) => at(column, row),
  spreads: !spreads,
});

/** Along one axis of x, for each of the 4 frequencies and all tiles: [4·tiles, size]. */
function inputAxis(a: ConvAttributes, axis: 0 | 1): Axis {
  const tiles = tilesOf(a)[axis];
  return {
    rows: 4 * tiles,
    columns: a.inputShape[axis + 2]!,
    at: (row, place) => INPUT[Math.floor(row / tiles)]![place + a.pads[axis]! - 2 * (row % tiles)] ?? 0,
    spreads: true,
  };
}

/** Along one axis of y: [size, 4·tiles]. */
function outputAxis(a: ConvAttributes, axis: 0 | 1): Axis {
  const tiles = tilesOf(a)[axis];
  return {
    rows: a.outputShape[axis + 2]!,
    columns: 4 * tiles,
    at: (place, column) => OUTPUT[Math.floor(column / tiles)]![place - 2 * (column % tiles)] ?? 0,
    spreads: false,
  };
}

/** G·Gᵀ: [16, 9]. */
const FILTERS: Matrix = {
  rows: FREQUENCIES,
  columns: 9,
  at: (row, tap) => FILTER[row >> 2]![Math.floor(tap / 3)]! * FILTER[row & 3]![tap % 3]!,
};

/** Both axes in one matrix, the frequencies (i, j) before the tiles: [16·tiles, H·W], or that transposed. */
function dense([down, across]: readonly [Axis, Axis], [h, w]: readonly [number, number]): Matrix {
  const rowsAndColumns = (i: number, spread: boolean, width: number) => {
    if (!spread) return [Math.floor(i / width), i % width] as const;
    const [p, q] = [Math.floor(i / (4 * h * w)), Math.floor(i / (h * w)) % 4];
    return [p * h + (Math.floor(i / w) % h), q * w + (i % w)] as const;
  };
  return {
    rows: down.rows * across.rows,
    columns: down.columns * across.columns,
    at: (to, from) => {
      const [y, x] = rowsAndColumns(to, down.spreads, across.rows);
      const [v, u] = rowsAndColumns(from, !down.spreads, across.columns);
      return down.at(y, v) * across.at(x, u);
    },
  };
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

/** A transform of both axes: [rows·columns, M] by way of the form's layout to the like. */
function transform(
  trace: Trace,
  x: TensorInfo,
  axes: readonly [Axis, Axis],
  a: ConvAttributes,
  form: WinogradForm,
): TensorInfo {
  const [down, across] = axes;
  const count = product(x.shape) / (down.columns * across.columns);
  const places = down.rows * across.rows;
  if (form === "dense") {
    const flat = reshape(trace, x, [down.columns * across.columns, count]);
    return multiply(trace, constant(trace, dense(axes, tilesOf(a))), flat, [places, count]);
  }
  const rowsOf = (value: TensorInfo, columns: number) =>
    multiply(trace, constant(trace, down), reshape(trace, value, [down.columns, columns * count]), [
      down.rows,
      columns * count,
    ]);
  const columnsOf = (value: TensorInfo, rows: number) =>
    multiply(trace, constant(trace, across), reshape(trace, value, [rows, across.columns, count]), [
      rows,
      across.rows,
      count,
    ]);
  // Small things first: the rows where the result is larger, the columns where it is smaller.
  return down.spreads
    ? columnsOf(rowsOf(x, across.columns), down.rows)
    : rowsOf(columnsOf(x, down.columns), across.rows);
}

const inputAxes = (a: ConvAttributes) => [inputAxis(a, 0), inputAxis(a, 1)] as const;
const outputAxes = (a: ConvAttributes) => [outputAxis(a, 0), outputAxis(a, 1)] as const;
const adjoint = ([down, across]: readonly [Axis, Axis]) => [transposed(down), transposed(across)] as const;

/** Numbers by frequency and tile, as the form lays them out, of so many channels. */
function spreadShape(a: ConvAttributes, form: WinogradForm, channels: number): readonly number[] {
  const n = a.inputShape[0]!;
  const [down, across] = tilesOf(a);
  return form === "dense" ? [FREQUENCIES, down * across * n, channels] : [4, down, 4, across * n, channels];
}

/** V. */
const spreadInput = (trace: Trace, x: TensorInfo, a: ConvAttributes, form: WinogradForm): TensorInfo =>
  reshape(
    trace,
    transform(trace, toPlanes(trace, x), inputAxes(a), a, form),
    spreadShape(a, form, a.filterShape[1]!),
  );

/** dM. */
const spreadGradient = (trace: Trace, dy: TensorInfo, a: ConvAttributes, form: WinogradForm): TensorInfo =>
  reshape(
    trace,
    transform(trace, toPlanes(trace, dy), adjoint(outputAxes(a)), a, form),
    spreadShape(a, form, a.filterShape[0]!),
  );

/** U: [16, O, C], or the same for every tile row: [4, 1, 4, O, C]. */
function spreadFilter(trace: Trace, w: TensorInfo, a: ConvAttributes, form: WinogradForm): TensorInfo {
  const [o, c] = a.filterShape as [number, number];
  const flat = reshape(trace, w, [o * c, 9]);
  const u = multiply(trace, constant(trace, FILTERS), flat, [FREQUENCIES, o * c], { transB: 1 });
  return reshape(trace, u, form === "dense" ? [FREQUENCIES, o, c] : [4, 1, 4, o, c]);
}

export function winogradConv(
  trace: Trace,
  [x, w, bias]: readonly TensorInfo[],
  a: ConvAttributes,
  form: WinogradForm,
): TensorInfo {
  const [n, o] = a.outputShape as [number, number];
  const v = spreadInput(trace, x!, a, form);
  const m = multiply(trace, v, spreadFilter(trace, w!, a, form), spreadShape(a, form, o), { transB: 1 });
  let y = transform(trace, m, outputAxes(a), a, form);
  const places = product(a.outputShape.slice(2));
  if (bias) y = trace.emit("Add", [reshape(trace, y, [places * n, o]), bias], [places * n, o], "float32");
  return fromPlanes(trace, y, a.outputShape);
}

export function winogradInputGrad(
  trace: Trace,
  dy: TensorInfo,
  w: TensorInfo,
  a: ConvAttributes,
  form: WinogradForm,
): TensorInfo {
  const dm = spreadGradient(trace, dy, a, form);
  const dv = multiply(trace, dm, spreadFilter(trace, w, a, form), spreadShape(a, form, a.filterShape[1]!));
  return fromPlanes(trace, transform(trace, dv, adjoint(inputAxes(a)), a, form), a.inputShape);
}

export function winogradFilterGrad(
  trace: Trace,
  x: TensorInfo,
  dy: TensorInfo,
  a: ConvAttributes,
  form: WinogradForm,
): TensorInfo {
  const [o, c] = a.filterShape as [number, number];
  const [dm, v] = [spreadGradient(trace, dy, a, form), spreadInput(trace, x, a, form)];
  const batch = dm.shape.slice(0, -2);
  let du = multiply(trace, dm, v, [...batch, o, c], { transA: 1 });
  if (form === "separable")
    du = trace.emit("ReduceSum", [du, trace.ints([1])], [4, 4, o, c], "float32", { keepdims: { int: 0 } });
  const flat = reshape(trace, du, [FREQUENCIES, o * c]);
  const dw = multiply(trace, flat, constant(trace, FILTERS), [o * c, 9], { transA: 1 });
  return reshape(trace, dw, a.filterShape);
}
