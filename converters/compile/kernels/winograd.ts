import type { TensorInfo } from "@tensorflow/tfjs-core";
import { elementCount } from "../../dims.ts";
import type { ConvAttributes } from "../../kernels/window.ts";
import { type GraphBuilder, MICROSOFT } from "../graph-builder.ts";
import { permuted, viewAs } from "./window.ts";

/*
 * 3×3 convolutions of many channels as Winograd's F(m×m, 3×3), m = 2 or 4 (Lavin & Gray, "Fast Algorithms for
 * Convolutional Neural Networks", CVPR 2016). Every tile of x, f = m + 2 pixels wide, is transformed to
 * V = BᵀxB, every filter to U = GwGᵀ. For each of the f² entries ("frequencies") follows one matrix product
 * over the channels, M = V Uᵀ, and y = AᵀMA gives the m×m outputs of a tile. That is 16 products per tile
 * instead of 36 (m = 2), or 36 instead of 144 (m = 4).
 *
 * All steps are linear, so the gradients are the same steps transposed: dM = A dy Aᵀ, dU = dMᵀV, dV = dM U.
 *
 * The transforms are matrix products over the pixels of an image, in the layout [H·W, N·C], so no tile is
 * ever copied. With few pixels one product transforms both axes (`dense`: V is [i, j, tiles·N, C]). With more
 * it is cheaper to transform the rows and then the columns (`separable`: V is
 * [i, tile rows, j, tile columns·N, C], U the same for every tile row).
 */

type Table = readonly (readonly number[])[];

/** Π (x − root), lowest power first. */
function polynomial(roots: readonly number[]): readonly number[] {
  const coefficients = [1];
  for (const root of roots) {
    coefficients.push(0);
    for (let power = coefficients.length - 1; power >= 0; power--)
      coefficients[power] = (coefficients[power - 1] ?? 0) - root * coefficients[power]!;
  }
  return coefficients;
}

/**
 * The transforms along one axis (Cook–Toom): polynomials are multiplied through their values at f − 1 points
 * and at infinity. `input` (Bᵀ) and `filter` (G) are indexed by frequency and pixel, `output` (A) by
 * frequency and output.
 */
function cookToom(points: readonly number[], m: number): { input: Table; filter: Table; output: Table } {
  const others = points.map((_, i) => points.filter((__, j) => j !== i));
  const last = (length: number) => Array.from({ length }, (_, i) => Number(i === length - 1));
  const powers = (x: number, count: number, scale = 1) =>
    Array.from({ length: count }, (_, i) => scale * x ** i);
  return {
    input: [...others.map((roots) => [...polynomial(roots), 0]), polynomial(points)],
    filter: [
      ...points.map((x, i) => powers(x, 3, 1 / others[i]!.reduce((product, y) => product * (x - y), 1))),
      last(3),
    ],
    output: [...points.map((x) => powers(x, m)), last(m)],
  };
}

/**
 * By outputs m of a tile along one axis. For m = 4, points in pairs of reciprocals round several times better
 * than the usual 0, ±1, ±2 (Barabasz et al., "Error Analysis and Improving the Accuracy of Winograd
 * Convolution", ACM TOMS 46, 2020).
 */
const TRANSFORMS = {
  2: cookToom([0, 1, -1], 2),
  4: cookToom([0, 3 / 4, -3 / 4, 4 / 3, -4 / 3], 4),
} as const;

/** Outputs of a tile along one axis, and how the transforms are computed (see the top of this file). */
export interface WinogradForm {
  readonly tile: 2 | 4;
  readonly layout: "dense" | "separable";
}

/** Pixels of a tile of x along one axis, and so its frequencies. */
const widthOf = ({ tile }: WinogradForm) => tile + 2;

/** Tiles down and across. */
const tilesOf = (a: ConvAttributes, { tile }: WinogradForm) =>
  a.outputShape.slice(2).map((d) => Math.ceil(d / tile)) as [number, number];

/** Time to move a number through memory once, in floating-point operations of a matrix product. */
const MOVE = 10;

/**
 * Time of a convolution, averaged over the forward pass and the gradients, in floating-point operations of a
 * matrix product: the product itself (slower with few channels), the transforms of x, y and their gradients,
 * and those of the filters.
 */
function costOf(a: ConvAttributes, form: WinogradForm): number {
  const [o, c] = a.filterShape as [number, number];
  const n = a.inputShape[0]!;
  const [down, across] = tilesOf(a, form);
  const [height, width] = a.inputShape.slice(2) as [number, number];
  const pairs = c * o;
  const f = widthOf(form);
  const spread = f * f * down * across;
  const rows = f * down * width;
  const product = 2 * spread * n * pairs * (1 + 32 / Math.min(c, o));
  const transforms =
    form.layout === "dense"
      ? spread * height * width + MOVE * (2 * height * width + spread)
      : rows * height + spread * width + MOVE * (2 * height * width + 2 * rows + spread);
  // The filters' transform, and, in one of four products, dU of every tile row and its sum.
  const filters = f * f * pairs * (FILTER_TIME + (form.layout === "dense" ? 0 : (2 * MOVE * down) / 4));
  return product + 2 * 1.5 * n * Math.max(c, o) * transforms + filters;
}

/** Time to transform a filter, per frequency, in floating-point operations of a matrix product. */
const FILTER_TIME = 40;

const FORMS: readonly WinogradForm[] = ([2, 4] as const).flatMap((tile) =>
  (["dense", "separable"] as const).map((layout) => ({ tile, layout })),
);

/** The fastest form; undefined if the direct convolution is faster. */
export function winogradForm(a: ConvAttributes): WinogradForm | undefined {
  const plain =
    a.group === 1 && a.kernel.join() === "3,3" && [...a.strides, ...a.dilations].every((s) => s === 1);
  if (!plain || a.outputShape.length !== 4) return undefined;
  const [n, o, ...places] = a.outputShape as [number, number, number, number];
  const direct = 2 * 9 * a.filterShape[1]! * o * elementCount(places) * n;
  const costs = FORMS.map((form) => costOf(a, form));
  const best = Math.min(...costs);
  // V is kept in memory from the forward pass to the filter gradient, so small gains, which depend on the
  // machine, are not worth it.
  return best < 0.8 * direct ? FORMS[costs.indexOf(best)] : undefined;
}

/** [N, C, H, W] → [H·W, N·C] */
function toPlanes(graph: GraphBuilder, x: TensorInfo): TensorInfo {
  const [n, c, h, w] = x.shape as [number, number, number, number];
  const { block } = graph;
  if (graph.isBlocked(x) && c % block === 0) {
    const raw = viewAs(graph, graph.blocked(x), [n, c / block, h * w, block]);
    return viewAs(graph, permuted(graph, raw, [2, 0, 1, 3]), [h * w, n * c]);
  }
  return viewAs(graph, permuted(graph, x, [2, 3, 0, 1]), [h * w, n * c]);
}

/** [H·W, N·C] → [N, C, H, W] */
function fromPlanes(graph: GraphBuilder, y: TensorInfo, shape: readonly number[]): TensorInfo {
  const [n, c, h, w] = shape as [number, number, number, number];
  const { block } = graph;
  if (block > 0 && c % block === 0) {
    const cut = viewAs(graph, y, [h * w, n, c / block, block]);
    return graph.fromBlocked(viewAs(graph, permuted(graph, cut, [1, 2, 0, 3]), shape), shape);
  }
  return permuted(graph, viewAs(graph, y, [h, w, n, c]), [2, 3, 0, 1]);
}

/** A matrix by its entries. */
interface Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly at: (row: number, column: number) => number;
}

/** A transform along one axis: from pixels to frequencies and tiles (`spreads`), or back. */
interface Axis extends Matrix {
  readonly spreads: boolean;
}

const constant = (graph: GraphBuilder, { rows, columns, at }: Matrix): TensorInfo =>
  graph.constant(
    Float32Array.from({ length: rows * columns }, (_, i) => at(Math.floor(i / columns), i % columns)),
    [rows, columns],
    "float32",
  );

const turned = ({ rows, columns, at }: Matrix): Matrix => ({
  rows: columns,
  columns: rows,
  at: (row, column) => at(column, row),
});
const transposed = (axis: Axis): Axis => ({ ...turned(axis), spreads: !axis.spreads });

/** Bᵀ for all tiles along one axis of x: [f·tiles, size]. */
function inputAxis(a: ConvAttributes, form: WinogradForm, axis: 0 | 1): Axis {
  const tiles = tilesOf(a, form)[axis];
  const { input } = TRANSFORMS[form.tile];
  return {
    rows: input.length * tiles,
    columns: a.inputShape[axis + 2]!,
    at: (row, place) =>
      input[Math.floor(row / tiles)]![place + a.pads[axis]! - form.tile * (row % tiles)] ?? 0,
    spreads: true,
  };
}

/** Aᵀ for all tiles along one axis of y: [size, f·tiles]. */
function outputAxis(a: ConvAttributes, form: WinogradForm, axis: 0 | 1): Axis {
  const tiles = tilesOf(a, form)[axis];
  const { output } = TRANSFORMS[form.tile];
  return {
    rows: a.outputShape[axis + 2]!,
    columns: output.length * tiles,
    at: (place, column) => output[Math.floor(column / tiles)]![place - form.tile * (column % tiles)] ?? 0,
    spreads: false,
  };
}

/** G for both axes, w → GwGᵀ: [f², 9]. */
function filters({ tile }: WinogradForm): Matrix {
  const { filter } = TRANSFORMS[tile];
  const f = filter.length;
  return {
    rows: f * f,
    columns: 9,
    at: (row, tap) => filter[Math.floor(row / f)]![Math.floor(tap / 3)]! * filter[row % f]![tap % 3]!,
  };
}

/**
 * The transforms of both axes as one matrix, frequencies (i, j) before tiles: [f²·tiles, H·W], or [H·W,
 * f²·tiles].
 */
function dense([down, across]: readonly [Axis, Axis], [h, w]: readonly [number, number], f: number): Matrix {
  const rowsAndColumns = (i: number, spread: boolean, width: number) => {
    if (!spread) return [Math.floor(i / width), i % width] as const;
    const [p, q] = [Math.floor(i / (f * h * w)), Math.floor(i / (h * w)) % f];
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
  graph: GraphBuilder,
  a: TensorInfo,
  b: TensorInfo,
  shape: readonly number[],
  { transA = 0, transB = 0 } = {},
): TensorInfo =>
  transA || transB
    ? graph.emit([MICROSOFT, "FusedMatMul"], [a, b], shape, "float32", {
        transA: { int: transA },
        transB: { int: transB },
      })
    : graph.emit("MatMul", [a, b], shape, "float32");

/** Transforms both axes, as the form asks: [down.columns·across.columns, M] → [down.rows·across.rows, M]. */
function transform(
  graph: GraphBuilder,
  x: TensorInfo,
  axes: readonly [Axis, Axis],
  a: ConvAttributes,
  form: WinogradForm,
): TensorInfo {
  const [down, across] = axes;
  const count = elementCount(x.shape) / (down.columns * across.columns);
  const places = down.rows * across.rows;
  if (form.layout === "dense") {
    const flat = viewAs(graph, x, [down.columns * across.columns, count]);
    return multiply(graph, constant(graph, dense(axes, tilesOf(a, form), widthOf(form))), flat, [
      places,
      count,
    ]);
  }
  const rowsOf = (value: TensorInfo, columns: number) =>
    multiply(graph, constant(graph, down), viewAs(graph, value, [down.columns, columns * count]), [
      down.rows,
      columns * count,
    ]);
  const columnsOf = (value: TensorInfo, rows: number) =>
    multiply(graph, constant(graph, across), viewAs(graph, value, [rows, across.columns, count]), [
      rows,
      across.rows,
      count,
    ]);
  // The cheaper order: rows first where the transform enlarges the value, columns first where it shrinks it.
  return down.spreads
    ? columnsOf(rowsOf(x, across.columns), down.rows)
    : rowsOf(columnsOf(x, down.columns), across.rows);
}

const inputAxes = (a: ConvAttributes, form: WinogradForm) =>
  [inputAxis(a, form, 0), inputAxis(a, form, 1)] as const;
const outputAxes = (a: ConvAttributes, form: WinogradForm) =>
  [outputAxis(a, form, 0), outputAxis(a, form, 1)] as const;
const adjoint = ([down, across]: readonly [Axis, Axis]) => [transposed(down), transposed(across)] as const;

/** Shape of V or M, for so many channels. */
function spreadShape(a: ConvAttributes, form: WinogradForm, channels: number): readonly number[] {
  const n = a.inputShape[0]!;
  const [down, across] = tilesOf(a, form);
  const f = widthOf(form);
  return form.layout === "dense" ? [f * f, down * across * n, channels] : [f, down, f, across * n, channels];
}

/** V = BᵀxB */
const spreadInput = (graph: GraphBuilder, x: TensorInfo, a: ConvAttributes, form: WinogradForm): TensorInfo =>
  viewAs(
    graph,
    transform(graph, toPlanes(graph, x), inputAxes(a, form), a, form),
    spreadShape(a, form, a.filterShape[1]!),
  );

/** dM = A dy Aᵀ */
const spreadGradient = (
  graph: GraphBuilder,
  dy: TensorInfo,
  a: ConvAttributes,
  form: WinogradForm,
): TensorInfo =>
  viewAs(
    graph,
    transform(graph, toPlanes(graph, dy), adjoint(outputAxes(a, form)), a, form),
    spreadShape(a, form, a.filterShape[0]!),
  );

/**
 * U = GwGᵀ: [f², O, C], or [f, 1, f, O, C], the same for every tile row.
 * @param recomputed computes U again for the backward pass instead of keeping the first in memory. Equal
 *   nodes are emitted once, so the node must differ: the constant is Gᵀ, transposed in the product
 */
function spreadFilter(
  graph: GraphBuilder,
  w: TensorInfo,
  a: ConvAttributes,
  form: WinogradForm,
  recomputed = false,
): TensorInfo {
  const [o, c] = a.filterShape as [number, number];
  const f = widthOf(form);
  const flat = viewAs(graph, w, [o * c, 9]);
  const table = filters(form);
  const u = multiply(
    graph,
    constant(graph, recomputed ? turned(table) : table),
    flat,
    [f * f, o * c],
    recomputed ? { transA: 1, transB: 1 } : { transB: 1 },
  );
  return viewAs(graph, u, form.layout === "dense" ? [f * f, o, c] : [f, 1, f, o, c]);
}

export function winogradConv(
  graph: GraphBuilder,
  [x, w, bias]: readonly TensorInfo[],
  a: ConvAttributes,
  form: WinogradForm,
): TensorInfo {
  const [n, o] = a.outputShape as [number, number];
  const v = spreadInput(graph, x!, a, form);
  const m = multiply(graph, v, spreadFilter(graph, w!, a, form), spreadShape(a, form, o), { transB: 1 });
  let y = transform(graph, m, outputAxes(a, form), a, form);
  const places = elementCount(a.outputShape.slice(2));
  if (bias) y = graph.emit("Add", [viewAs(graph, y, [places * n, o]), bias], [places * n, o], "float32");
  return fromPlanes(graph, y, a.outputShape);
}

export function winogradInputGrad(
  graph: GraphBuilder,
  dy: TensorInfo,
  w: TensorInfo,
  a: ConvAttributes,
  form: WinogradForm,
): TensorInfo {
  const dm = spreadGradient(graph, dy, a, form);
  const [o, c] = a.filterShape as [number, number];
  // Recomputed where U is larger than V, which the filter gradient needs in memory anyway.
  const recomputed = o * c > elementCount(spreadShape(a, form, c)) / widthOf(form) ** 2;
  const u = spreadFilter(graph, w, a, form, recomputed);
  const dv = multiply(graph, dm, u, spreadShape(a, form, c));
  return fromPlanes(graph, transform(graph, dv, adjoint(inputAxes(a, form)), a, form), a.inputShape);
}

export function winogradFilterGrad(
  graph: GraphBuilder,
  x: TensorInfo,
  dy: TensorInfo,
  a: ConvAttributes,
  form: WinogradForm,
): TensorInfo {
  const [o, c] = a.filterShape as [number, number];
  const [dm, v] = [spreadGradient(graph, dy, a, form), spreadInput(graph, x, a, form)];
  const batch = dm.shape.slice(0, -2);
  let du = multiply(graph, dm, v, [...batch, o, c], { transA: 1 });
  const f = widthOf(form);
  if (form.layout === "separable")
    du = graph.emit("ReduceSum", [du, graph.ints([1])], [f, f, o, c], "float32", {
      keepdims: { int: 0 },
    });
  const flat = viewAs(graph, du, [f * f, o * c]);
  const dw = multiply(graph, flat, constant(graph, filters(form)), [o * c, 9], { transA: 1 });
  return viewAs(graph, dw, a.filterShape);
}
