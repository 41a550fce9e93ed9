import type { TensorInfo } from "@tensorflow/tfjs-core";
import { elementCount } from "../../dims.ts";
import type { ConvAttributes } from "../../kernels/window.ts";
import { type GraphBuilder, MICROSOFT, NCHWC, type Operand } from "../graph-builder.ts";
import { channelBlocks } from "../layout.ts";
import { convAttributes, crop, permuted, sumFirst, viewAs } from "./window.ts";

/**
 * How a convolution runs in ONNX Runtime's blocked layout. Weights [O, C/g, kernel…] become
 * [O/b, C/g/b, kernel…, b, b] (input channel before output channel); the input gradient is the same operator
 * with mirrored weights.
 *   dense      every group fills whole blocks, or there is one group
 *   image      the input is row-major and has fewer channels than one block
 *   depthwise  one channel per group
 */
export type BlockedKind = "dense" | "image" | "depthwise";

/** The kind of a convolution; undefined if the blocked layout cannot express it, or would not pay. */
export function blockedKind(a: ConvAttributes, block: number): BlockedKind | undefined {
  if (block === 0 || a.kernel.length !== 2 || a.outputShape.length !== 4) return undefined;
  const { group } = a;
  const [o, perGroup] = a.filterShape as [number, number];
  // A last block that is mostly padding costs more than the layout gains.
  const full = (channels: number) => channels >= 0.6 * channelBlocks(channels, block) * block;
  if (group === 1) {
    if (!full(o)) return undefined;
    return perGroup < block ? "image" : full(perGroup) ? "dense" : undefined;
  }
  if (perGroup === 1 && o === group && full(o)) return "depthwise";
  return perGroup % block === 0 && (o / group) % block === 0 ? "dense" : undefined;
}

const rounded = (channels: number, block: number) => channelBlocks(channels, block) * block;

/** [A, R, S] → [A, R/b, S, b]: the rows in blocks, the last block padded with zeros. */
function toBlocks(
  graph: GraphBuilder,
  x: TensorInfo,
  [a, r, s]: readonly [number, number, number],
): TensorInfo {
  const whole = rounded(r, graph.block);
  let rows = viewAs(graph, x, [a, r, s, 1]);
  if (r % 4 !== 0)
    rows = graph.emit("Pad", [rows, graph.ints([0, 0, 0, 0, 0, whole - r, 0, 0])], [a, whole, s, 1], x.dtype);
  return graph.emit([NCHWC, "ReorderInput"], [rows], [a, whole, s, 1], x.dtype);
}

/** Weights for the forward convolution. */
function forwardFilter(graph: GraphBuilder, w: TensorInfo, kind: BlockedKind): TensorInfo {
  const { block } = graph;
  const [o, c, kh, kw] = w.shape as [number, number, number, number];
  const k = kh * kw;
  if (kind === "depthwise")
    return viewAs(graph, toBlocks(graph, w, [1, o, k]), [rounded(o, block), 1, kh, kw]);
  if (kind === "image")
    return viewAs(graph, toBlocks(graph, w, [1, o, c * k]), [rounded(o, block), c, kh, kw]);
  const wide = rounded(c, block);
  const inner = toBlocks(graph, w, [o, c, k]);
  return viewAs(graph, toBlocks(graph, inner, [1, o, wide * k]), [rounded(o, block), wide, kh, kw]);
}

export function blockedConv(
  graph: GraphBuilder,
  kind: BlockedKind,
  [x, w, bias]: readonly TensorInfo[],
  a: ConvAttributes,
): TensorInfo {
  const { block } = graph;
  const o = a.filterShape[0]!;
  const wide = rounded(o, block);
  const operands: Operand[] = [kind === "image" ? x! : graph.blocked(x!), forwardFilter(graph, w!, kind)];
  if (bias)
    operands.push(
      wide === o ? bias : graph.emit("Pad", [bias, graph.ints([0, wide - o])], [wide], bias.dtype),
    );
  const group = kind === "depthwise" ? wide : a.group;
  const raw = graph.emit(
    [NCHWC, "Conv"],
    operands,
    [a.outputShape[0]!, wide, ...a.outputShape.slice(2)],
    "float32",
    convAttributes({ ...a, group }),
  );
  return graph.fromBlocked(raw, a.outputShape);
}

/**
 * Weights of the input gradient as a convolution of dy: W [O, C/g, k] as [g·C/g·P, O/g, taps]. The P phases
 * of a stride (1 without stride) become output channels of a group, the phase before the channel.
 * @param phases for each phase and each tap of the new kernel the tap of W, undefined for zero
 */
function mirroredFilter(
  graph: GraphBuilder,
  w: TensorInfo,
  group: number,
  phases: readonly (readonly (number | undefined)[])[],
  kernel: readonly number[],
): TensorInfo {
  const { block } = graph;
  const [o, c, kh, kw] = w.shape as [number, number, number, number];
  const k = kh * kw;
  const [outBlocks, inBlocks] = [channelBlocks(o, block), channelBlocks(c, block)];
  // [O/b, C, k, bo] → [O/b, C/b, k, bo, bc]
  const outer = toBlocks(graph, w, [1, o, c * k]);
  const tiles = toBlocks(graph, outer, [outBlocks, c, k * block]);
  const count = outBlocks * inBlocks * k;
  const rows = viewAs(graph, tiles, [count, block * block]);
  const perGroup = outBlocks / group;
  const picks: number[] = [];
  for (let g = 0; g < group; g++)
    for (const taps of phases)
      for (let i = 0; i < inBlocks; i++)
        for (let j = 0; j < perGroup; j++)
          for (const tap of taps)
            picks.push(tap === undefined ? count : ((g * perGroup + j) * inBlocks + i) * k + tap);
  const source = picks.includes(count)
    ? graph.emit("Pad", [rows, graph.ints([0, 0, 1, 0])], [count + 1, block * block], "float32")
    : rows;
  const picked = graph.emit("Gather", [source, graph.ints(picks)], [picks.length, block * block], "float32", {
    axis: { int: 0 },
  });
  return viewAs(graph, picked, [group * phases.length * inBlocks * block, perGroup * block, ...kernel]);
}

/**
 * For one axis and each phase p of the stride s: the taps that contribute to dx[q·s + p], and the offset of
 * the element dy[q + offset] that they multiply.
 */
function phasesOf(a: ConvAttributes, axis: number) {
  const [s, pad, k] = [a.strides[axis]!, a.pads[axis]!, a.kernel[axis]!];
  const [size, out] = [a.inputShape[axis + 2]!, a.outputShape[axis + 2]!];
  const count = Math.ceil(size / s);
  const reach = Array.from({ length: s }, (_, p) => {
    const t = p + pad;
    const taps: { tap: number; offset: number }[] = [];
    for (let tap = t % s; tap < k; tap += s) taps.push({ tap, offset: (t - tap) / s });
    return taps;
  });
  const offsets = reach.flat().map(({ offset }) => offset);
  const [low, high] = [Math.min(...offsets), Math.max(...offsets)];
  return {
    count,
    reach,
    low,
    kernel: high - low + 1,
    pads: [-low, count - 1 + high - (out - 1)] as const,
  };
}

/** dx as a convolution of dy with mirrored weights; undefined if the blocked layout cannot express it. */
export function blockedInputGrad(
  graph: GraphBuilder,
  kind: BlockedKind,
  dy: TensorInfo,
  w: TensorInfo,
  a: ConvAttributes,
): TensorInfo | undefined {
  const { block } = graph;
  const [o, c] = a.filterShape as [number, number];
  const n = a.inputShape[0]!;
  const k = elementCount(a.kernel);
  const mirrored = Array.from({ length: k }, (_, i) => k - 1 - i);
  const unitStride = a.strides.every((s) => s === 1);
  if (kind === "image" || (a.group === 1 && o < block)) return undefined;
  const wide = rounded(a.inputShape[1]!, block);
  const convolve = (
    x: TensorInfo,
    filter: TensorInfo,
    shape: readonly number[],
    attributes: { kernel: readonly number[]; dilations: readonly number[]; pads: readonly number[] },
    group: number,
  ) =>
    graph.emit(
      [NCHWC, "Conv"],
      [x, filter],
      shape,
      "float32",
      convAttributes({ ...attributes, strides: [1, 1], group }),
    );

  if (kind === "depthwise") {
    // Zeros between the pixels of dy turn the stride into 1.
    const [oh, ow] = a.outputShape.slice(2) as [number, number];
    let spread = graph.blocked(dy);
    if (!unitStride) {
      const [sh, sw] = a.strides as [number, number];
      const blocks = channelBlocks(o, block);
      const apart = viewAs(graph, spread, [n * blocks, oh, 1, ow, 1, block]);
      const grown = [n * blocks, oh, sh, ow, sw, block];
      const pads = graph.ints([0, 0, 0, 0, 0, 0, 0, 0, sh - 1, 0, sw - 1, 0]);
      spread = viewAs(graph, graph.emit("Pad", [apart, pads], grown, "float32"), [n, wide, oh * sh, ow * sw]);
    }
    const spatial = spread.shape.slice(2);
    const begins = a.kernel.map((size, i) => (size - 1) * a.dilations[i]! - a.pads[i]!);
    const ends = a.kernel.map(
      (size, i) => a.inputShape[i + 2]! + (size - 1) * a.dilations[i]! - spatial[i]! - begins[i]!,
    );
    if ([...begins, ...ends].some((p) => p < 0)) return undefined;
    const taps = graph.emit(
      "Gather",
      [
        viewAs(graph, toBlocks(graph, w, [1, o, k]), [channelBlocks(o, block), k, block]),
        graph.ints(mirrored),
      ],
      [channelBlocks(o, block), k, block],
      "float32",
      { axis: { int: 1 } },
    );
    const filter = viewAs(graph, taps, [wide, 1, ...a.kernel]);
    const shape = [n, wide, ...a.inputShape.slice(2)];
    const raw = convolve(spread, filter, shape, { ...a, pads: [...begins, ...ends] }, wide);
    return graph.fromBlocked(raw, a.inputShape);
  }

  if (unitStride) {
    const begins = a.kernel.map((size, i) => (size - 1) * a.dilations[i]! - a.pads[i]!);
    const ends = a.kernel.map((size, i) => (size - 1) * a.dilations[i]! - a.pads[2 + i]!);
    if ([...begins, ...ends].some((p) => p < 0)) return undefined;
    const filter = mirroredFilter(graph, w, a.group, [mirrored], a.kernel);
    const shape = [n, wide, ...a.inputShape.slice(2)];
    const raw = convolve(graph.blocked(dy), filter, shape, { ...a, pads: [...begins, ...ends] }, a.group);
    return graph.fromBlocked(raw, a.inputShape);
  }

  // With stride s the pixels of dx fall into s·s phases, each a convolution of dy with some of the taps.
  if (a.group !== 1 || a.dilations.some((d) => d !== 1)) return undefined;
  const [rows, columns] = [phasesOf(a, 0), phasesOf(a, 1)];
  const pads = [rows.pads[0], columns.pads[0], rows.pads[1], columns.pads[1]];
  if (pads.some((p) => p < 0)) return undefined;
  const [sh, sw] = a.strides as [number, number];
  const blocks = channelBlocks(c, block);
  const grid = [rows.count, columns.count] as const;
  const alone =
    rows.reach.every((r, p) => p === 0 || r.length === 0) &&
    columns.reach.every((r, p) => p === 0 || r.length === 0);
  const phases: (number | undefined)[][] = [];
  for (let p = 0; p < (alone ? 1 : sh); p++)
    for (let q = 0; q < (alone ? 1 : sw); q++) {
      const taps: (number | undefined)[] = [];
      for (let i = 0; i < rows.kernel; i++)
        for (let j = 0; j < columns.kernel; j++) {
          const row = rows.reach[p]!.find(({ offset }) => offset === rows.low + i);
          const column = columns.reach[q]!.find(({ offset }) => offset === columns.low + j);
          taps.push(row && column ? row.tap * a.kernel[1]! + column.tap : undefined);
        }
      phases.push(taps);
    }
  const kernel = [rows.kernel, columns.kernel];
  const filter = mirroredFilter(graph, w, 1, phases, kernel);
  const raw = convolve(
    graph.blocked(dy),
    filter,
    [n, phases.length * wide, ...grid],
    { kernel, dilations: [1, 1], pads },
    1,
  );
  const whole = [n * blocks, grid[0], sh, grid[1], sw, block];
  let mixed: TensorInfo;
  if (alone) {
    const apart = viewAs(graph, raw, [n * blocks, grid[0], 1, grid[1], 1, block]);
    mixed = graph.emit(
      "Pad",
      [apart, graph.ints([0, 0, 0, 0, 0, 0, 0, 0, sh - 1, 0, sw - 1, 0])],
      whole,
      "float32",
    );
  } else {
    const apart = viewAs(graph, raw, [n, sh, sw, blocks, ...grid, block]);
    mixed = permuted(graph, apart, [0, 3, 4, 1, 5, 2, 6]);
  }
  const size = [n * blocks, grid[0] * sh, grid[1] * sw, block];
  const cut = crop(graph, viewAs(graph, mixed, size), [n * blocks, ...a.inputShape.slice(2), block]);
  return graph.fromBlocked(viewAs(graph, cut, [n, wide, ...a.inputShape.slice(2)]), a.inputShape);
}

/** Per axis, pads and output size of the convolution of x with dy as its kernel: one output per tap of W. */
function tapWindow(a: ConvAttributes) {
  return a.kernel.map((k, i) => {
    const [size, out] = [a.inputShape[i + 2]!, a.outputShape[i + 2]!];
    const reach = (out - 1) * a.strides[i]! + 1;
    const begin = a.pads[i]!;
    const end = Math.max(0, reach + (k - 1) * a.dilations[i]! - size - begin);
    return { begin, end, places: Math.floor((size + begin + end - reach) / a.dilations[i]!) + 1, reach };
  });
}

/**
 * dW of a depthwise convolution: a depthwise convolution of x with dy as its kernel, with each sample's
 * channels as separate ones.
 */
export function blockedDepthwiseFilterGrad(
  graph: GraphBuilder,
  x: TensorInfo,
  dy: TensorInfo,
  a: ConvAttributes,
): TensorInfo {
  const { block } = graph;
  const o = a.filterShape[0]!;
  const n = a.inputShape[0]!;
  const wide = rounded(o, block);
  const [rows, columns] = tapWindow(a) as [ReturnType<typeof tapWindow>[0], ReturnType<typeof tapWindow>[0]];
  const spatial = a.outputShape.slice(2);
  const places = [rows.places, columns.places];
  const each = graph.emit(
    [NCHWC, "Conv"],
    [
      viewAs(graph, graph.blocked(x), [1, n * wide, ...a.inputShape.slice(2)]),
      viewAs(graph, graph.blocked(dy), [n * wide, 1, ...spatial]),
    ],
    [1, n * wide, ...places],
    "float32",
    convAttributes({
      kernel: spatial,
      strides: a.dilations,
      dilations: a.strides,
      pads: [rows.begin, columns.begin, rows.end, columns.end],
      group: n * wide,
    }),
  );
  const sum = sumFirst(graph, viewAs(graph, each, [n, wide * elementCount(places)]));
  const dw = graph.fromBlocked(viewAs(graph, sum, [1, wide, ...places]), [1, o, ...places]);
  return viewAs(graph, crop(graph, dw, [1, o, ...a.kernel]), a.filterShape);
}

/**
 * dW as a single convolution, without shifted copies of x in memory. Each sample of x, channels-last, is
 * taken as an image of H rows and W·C columns (in the blocked layout, each block of its channels is), and dy
 * is the kernel, dilated by C along the columns and by the stride:
 *   dW[o, i, j, c] = Σ_{n,h,w} dy[n, o, h, w] · x[n, h·s + i − p, (w·s + j − p)·C + c]
 * ONNX Runtime's im2col then makes the shifts in its cache. The samples are dealt into groups: the samples of
 * a group are the input channels of one convolution, and the groups' results are summed afterwards. A group
 * of one sample takes dy as it is, a larger one needs it transposed.
 */
export function filterGradByConvolution(
  graph: GraphBuilder,
  x: TensorInfo,
  dy: TensorInfo,
  a: ConvAttributes,
): TensorInfo {
  const pointwise = a.kernel.every((k) => k === 1) && a.pads.every((p) => p === 0);
  const [n, c, ...size] = a.inputShape as [number, number, number, number];
  if (!pointwise) {
    const { block } = graph;
    if (!graph.isBlocked(x) || c % block !== 0 || c === block)
      return filterGradOfImages(graph, graph.channelsLast(x), dy, a);
    const blocks = viewAs(graph, graph.blocked(x), [n, c / block, elementCount(size) * block]);
    return filterGradOfImages(graph, permuted(graph, blocks, [1, 0, 2]), dy, a, block);
  }
  // A single tap reads only every s-th pixel of x: these are sliced out, and the rest is done without stride.
  const spatial = a.outputShape.slice(2);
  const o = a.filterShape[0]!;
  const strided = a.strides.some((s) => s !== 1);
  const places = elementCount(spatial);
  const met = () => {
    const last = graph.channelsLast(x);
    if (!strided) return last;
    const ends = graph.ints(spatial.map((d, i) => (d - 1) * a.strides[i]! + 1));
    return graph.emit(
      "Slice",
      [last, graph.ints([0, 0]), ends, graph.ints([1, 2]), graph.ints(a.strides)],
      [n, ...spatial, c],
      "float32",
    );
  };
  if (groupsOf(n, c * o, { x: c * places, dy: o * places }) < n)
    return filterGradOfImages(graph, met(), dy, {
      ...a,
      strides: [1, 1],
      dilations: [1, 1],
      inputShape: [n, c, ...spatial],
    });
  // dW of each sample is one small matrix product, for which im2col would be overhead. x is read row-major as
  // it is, or channels-last if that is free.
  const rows = viewAs(graph, dy, [n, o, places]);
  const each =
    strided || (graph.isBlocked(x) && c === graph.block)
      ? graph.emit("MatMul", [rows, viewAs(graph, met(), [n, places, c])], [n, o, c], "float32")
      : graph.emit(
          [MICROSOFT, "FusedMatMul"],
          [rows, viewAs(graph, x, [n, c, places])],
          [n, o, c],
          "float32",
          { transB: { int: 1 } },
        );
  return viewAs(graph, sumFirst(graph, each), a.filterShape);
}

/**
 * The number of groups of samples for filterGradByConvolution. More groups let threads share the work, but
 * each group makes a dW of its own that must be stored and summed. Groups of one sample save the
 * transposition of dy.
 * @param filter elements of dW; `x` and `dy` are elements of one sample
 */
function groupsOf(n: number, filter: number, { x, dy }: { readonly x: number; readonly dy: number }): number {
  if (filter <= 1.5 * dy) return n;
  const most = Math.min(8, (n * (x + dy)) / filter);
  let groups = 1;
  while (n % (2 * groups) === 0 && 2 * groups <= most) groups *= 2;
  return groups;
}

/** @param x the images [C/width, N, H, W·width]: `width` channels last, and the blocks of channels first */
function filterGradOfImages(
  graph: GraphBuilder,
  x: TensorInfo,
  dy: TensorInfo,
  a: ConvAttributes,
  width = a.filterShape[1]!,
): TensorInfo {
  const [o, c] = a.filterShape as [number, number];
  const n = a.inputShape[0]!;
  const [h, w] = a.inputShape.slice(2) as [number, number];
  const apart = c / width;
  const spatial = a.outputShape.slice(2);
  const taps = elementCount(a.kernel);
  const [rows, columns] = tapWindow(a) as [ReturnType<typeof tapWindow>[0], ReturnType<typeof tapWindow>[0]];
  const groups = groupsOf(n, taps * c * o, { x: h * w * c, dy: o * elementCount(spatial) });
  const rowsOut = rows.places;
  // Along the columns the stride is 1 here; the taps of a dilated kernel are sliced out afterwards.
  const columnsOut = w + columns.begin + columns.end - columns.reach + 1;
  const each = n / groups;
  const filter =
    each === 1
      ? viewAs(graph, dy, [n * o, 1, ...spatial])
      : viewAs(
          graph,
          permuted(graph, viewAs(graph, dy, [groups, each, o, elementCount(spatial)]), [0, 2, 1, 3]),
          [groups * o, each, ...spatial],
        );
  const y = graph.emit(
    "Conv",
    [viewAs(graph, x, [apart, n, h, w * width]), filter],
    [apart, groups * o, rowsOut, columnsOut * width],
    "float32",
    convAttributes({
      kernel: spatial,
      strides: [a.dilations[0]!, 1],
      dilations: [a.strides[0]!, a.strides[1]! * width],
      pads: [rows.begin, columns.begin * width, rows.end, columns.end * width],
      group: groups,
    }),
  );
  const numbers = o * rowsOut * columnsOut * width;
  const sum =
    groups === 1
      ? y
      : graph.emit(
          "ReduceSum",
          [viewAs(graph, y, [apart, groups, numbers]), graph.ints([1])],
          [apart, numbers],
          "float32",
          { keepdims: { int: 0 } },
        );
  let dw = viewAs(graph, sum, [apart * o, rowsOut, columnsOut, width]);
  const [dilation] = a.dilations.slice(1) as [number];
  if (dilation !== 1) {
    const met = Math.ceil(columnsOut / dilation);
    dw = graph.emit(
      "Slice",
      [dw, graph.ints([0]), graph.ints([columnsOut]), graph.ints([2]), graph.ints([dilation])],
      [apart * o, rowsOut, met, width],
      "float32",
    );
  }
  dw = crop(graph, dw, [apart * o, ...a.kernel, width]);
  const last = permuted(graph, viewAs(graph, dw, [apart, o, taps, width]), [1, 0, 3, 2]);
  return viewAs(graph, last, a.filterShape);
}
