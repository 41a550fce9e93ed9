import { elementCount, positiveAxis, sameDims } from "../../dims.ts";
import { notTrainable } from "../../errors.ts";
import { expand, gather, slice, where } from "../../kernels/movement.ts";
import { tf } from "../../tf.ts";
import {
  along,
  alongAxesAfter,
  alongAxis,
  axesFrom,
  facts,
  grown,
  numbersOf,
  type OperatorFacts,
  plain,
  repeated,
  resizesBatch,
  withInts,
} from "../operator.ts";
import {
  dimsOf,
  type HostTensor,
  host,
  type Inputs,
  isHost,
  type OperatorContext,
  toNumbers,
  toTensor,
  type Value,
} from "../value.ts";

const keeping: OperatorFacts = { ...plain, integers: "keeps" };

const relabel = (x: Value, shape: readonly number[]): Value =>
  isHost(x) ? host(x.dtype, shape, x.array.data) : tf.reshape(x, [...shape]);

/** Builds a host value from elements picked by an index function over the output shape; row-major. */
function pick(
  x: HostTensor,
  shape: readonly number[],
  indexOf: (at: readonly number[]) => readonly number[],
): HostTensor {
  const out = new Float64Array(elementCount(shape));
  const at = shape.map(() => 0);
  for (let i = 0; i < out.length; i++) {
    out[i] = x.array.get(...indexOf(at));
    for (let d = shape.length - 1; d >= 0; d--) {
      if (++at[d]! < shape[d]!) break;
      at[d] = 0;
    }
  }
  return host(x.dtype, shape, out);
}

/**
 * The batch axis after a Reshape, which keeps the order of elements: the axis with the same number of
 * elements before it, whose length is a multiple of the number of samples.
 */
function batchWithin(
  source: readonly number[],
  axis: number,
  target: readonly number[],
  samples: number,
): number | undefined {
  const before = elementCount(source.slice(0, axis));
  for (let at = 0, seen = 1; at < target.length && seen <= before; at++) {
    if (seen === before && target[at]! % samples === 0) return at;
    seen *= target[at]!;
  }
  return undefined;
}
const rearranging: OperatorFacts = { ...keeping, tail: "rearranges" };
/** Samples remain separate if the number of elements before the batch axis does not change. */
const relaid: OperatorFacts = {
  ...rearranging,
  mixes: ({ inputs, outputs, axes }) => {
    const before = (value: Value, axis: number) => elementCount(dimsOf(value).slice(0, axis));
    return before(inputs[0]!, axes.inputs[0]!) !== before(outputs[0]!, axes.outputs[0]!);
  },
};

function reshapeTo(x: Value, target: readonly number[], allowzero: boolean, where_: string): Value {
  const dims = dimsOf(x);
  const shape = target.map((d, i) => (d === 0 && !allowzero ? dims[i]! : d));
  const hole = shape.indexOf(-1);
  if (hole >= 0) shape[hole] = elementCount(dims) / elementCount(shape.filter((d) => d !== -1));
  if (elementCount(shape) !== elementCount(dims))
    throw notTrainable(
      "RESHAPE_MISMATCH",
      `${where_}: cannot reshape [${dims}] to [${target}]; the shape is baked in for another batch size.`,
    );
  return relabel(x, shape);
}
/** Before opset 5 the shape is an attribute. */
export const Reshape = (
  [x, shape]: Inputs,
  { allowzero = 0, shape: fixed }: { allowzero?: number; shape?: readonly number[] },
  context: OperatorContext,
): Value => reshapeTo(x!, fixed ?? toNumbers(shape, "shape", context), allowzero !== 0, context.where);
Reshape.facts = facts({
  ...relaid,
  rebatch: (batch) => {
    const { node, inputs, axisOf, own } = batch;
    const [axis, source, out] = [axisOf(0), own(node.inputs[0]!), own(node.outputs[0]!)];
    if (axis === undefined || axis < 0 || !source || !out) return inputs;
    const target = batchWithin(source, axis, out, batch.from);
    return target === undefined ? inputs : withInts(inputs, 1, grown(out, target, batch));
  },
});

export function Flatten([x]: Inputs, { axis = 1 }: { axis?: number }): Value {
  const dims = dimsOf(x!);
  const at = positiveAxis(axis, dims.length);
  return relabel(x!, [elementCount(dims.slice(0, at)), elementCount(dims.slice(at))]);
}
Flatten.facts = relaid;
export function Transpose([x]: Inputs, { perm }: { perm?: readonly number[] }): Value {
  const rank = dimsOf(x!).length;
  const order = perm ? [...perm] : Array.from({ length: rank }, (_, i) => rank - 1 - i);
  if (!isHost(x)) return tf.transpose(x as tf.Tensor, order);
  return pick(
    x,
    order.map((p) => x.array.shape[p]!),
    (at) => {
      const index = order.map(() => 0);
      order.forEach((p, i) => {
        index[p] = at[i]!;
      });
      return index;
    },
  );
}
Transpose.facts = keeping;

const squeezed = (x: Value, axes: readonly number[] | undefined): Value => {
  const dims = dimsOf(x);
  const drop = axes?.map((a) => positiveAxis(a, dims.length));
  return relabel(
    x,
    dims.filter((d, i) => (drop ? !drop.includes(i) : d !== 1)),
  );
};
export const Squeeze = ([x]: Inputs, { axes }: { axes?: readonly number[] }): Value => squeezed(x!, axes);
Squeeze.facts = rearranging;
export const Squeeze_13 = ([x, axes]: Inputs, _: object, context: OperatorContext): Value =>
  squeezed(x!, axes && toNumbers(axes, "axes", context));
Squeeze_13.facts = rearranging;

const unsqueezed = (x: Value, axes: readonly number[]): Value => {
  const dims = dimsOf(x);
  const rank = dims.length + axes.length;
  const added = new Set(axes.map((a) => positiveAxis(a, rank)));
  let next = 0;
  return relabel(
    x,
    Array.from({ length: rank }, (_, i) => (added.has(i) ? 1 : dims[next++]!)),
  );
};
export const Unsqueeze = ([x]: Inputs, { axes }: { axes: readonly number[] }): Value => unsqueezed(x!, axes);
Unsqueeze.facts = rearranging;
export const Unsqueeze_13 = ([x, axes]: Inputs, _: object, context: OperatorContext): Value =>
  unsqueezed(x!, toNumbers(axes, "axes", context));
Unsqueeze_13.facts = rearranging;

export function Concat(inputs: Inputs, { axis = 1 }: { axis?: number }): Value {
  const parts = inputs as readonly Value[];
  const at = positiveAxis(axis, dimsOf(parts[0]!).length);
  if (!parts.every(isHost)) return parts.length === 1 ? parts[0]! : tf.concat(parts.map(toTensor), at);
  const hosts = parts as readonly HostTensor[];
  const shape = [...hosts[0]!.array.shape];
  const starts: number[] = [];
  shape[at] = hosts.reduce((total, h) => {
    starts.push(total);
    return total + h.array.shape[at]!;
  }, 0);
  const out = host(hosts[0]!.dtype, shape, new Float64Array(elementCount(shape)));
  hosts.forEach((h, k) => {
    const inner = elementCount(shape.slice(at + 1));
    const rows = elementCount(shape.slice(0, at));
    const width = h.array.shape[at]! * inner;
    for (let r = 0; r < rows; r++)
      out.array.data.set(
        h.array.data.subarray(r * width, (r + 1) * width),
        r * shape[at]! * inner + starts[k]! * inner,
      );
  });
  return out;
}
Concat.facts = facts({
  ...keeping,
  mixes: ({ attributes: { axis = 1 }, inputs, axes }) =>
    axes.inputs.includes(positiveAxis(Number(axis), dimsOf(inputs[0]!).length)),
  // Operands without a batch, such as start tokens, are repeated if another has one.
  rebatch: (batch) => {
    const axes = batch.inputs.map((_, i) => batch.axisOf(i));
    const at = axes.find((axis) => axis !== undefined && axis >= 0);
    if (at === undefined) return batch.inputs;
    return batch.inputs.map((value, i) => (value && axes[i] === -1 ? repeated(value, at, batch) : value));
  },
});

function sliced(
  x: Value,
  starts: readonly number[],
  ends: readonly number[],
  axes: readonly number[],
  steps: readonly number[],
): Value {
  const dims = dimsOf(x);
  const begin = dims.map(() => 0);
  const stride = dims.map(() => 1);
  const shape = [...dims];
  axes.forEach((axis, k) => {
    const a = positiveAxis(axis, dims.length);
    const d = dims[a]!;
    const step = steps[k]!;
    const clamp = (v: number, low: number, high: number) => Math.max(low, Math.min(high, v < 0 ? v + d : v));
    const start = step > 0 ? clamp(starts[k]!, 0, d) : clamp(starts[k]!, 0, d - 1);
    // The largest integers mean "to the end" in either direction, as in ONNX Runtime.
    const toEnd = step < 0 && (ends[k] === 2 ** 31 - 1 || ends[k]! >= 2 ** 63 - 1);
    const end = step > 0 ? clamp(ends[k]!, 0, d) : toEnd || ends[k]! < -d ? -1 : clamp(ends[k]!, -1, d - 1);
    begin[a] = start;
    stride[a] = step;
    shape[a] = Math.max(0, Math.ceil((end - start) / step));
  });
  if (isHost(x)) return pick(x, shape, (at) => at.map((v, i) => begin[i]! + v * stride[i]!));
  return slice(x, begin, shape, stride);
}
export const Slice = (
  [x]: Inputs,
  { starts, ends, axes }: { starts: readonly number[]; ends: readonly number[]; axes?: readonly number[] },
): Value =>
  sliced(
    x!,
    starts,
    ends,
    axes ?? starts.map((_, i) => i),
    starts.map(() => 1),
  );
Slice.facts = facts({ ...keeping, mixes: resizesBatch });
export function Slice_10([x, starts, ends, axes, steps]: Inputs, _: object, context: OperatorContext): Value {
  const from = toNumbers(starts, "starts", context);
  return sliced(
    x!,
    from,
    toNumbers(ends, "ends", context),
    axes ? toNumbers(axes, "axes", context) : from.map((_v, i) => i),
    steps ? toNumbers(steps, "steps", context) : from.map(() => 1),
  );
}
Slice_10.facts = facts({
  ...keeping,
  mixes: (sliced) => {
    const [x, starts, , axes, steps] = sliced.inputs;
    const listed = axes ? numbersOf(axes) : axesFrom(0, dimsOf(starts!)[0]!);
    const at = listed.findIndex((a) => positiveAxis(a, dimsOf(x!).length) === sliced.axes.inputs[0]);
    return resizesBatch(sliced) || (numbersOf(steps)[at] ?? 1) !== 1;
  },
  // If the slice took the whole batch, it takes the whole larger batch.
  rebatch: ({ node, inputs, axisOf, own }) => {
    const [x, , ends, axes] = inputs;
    const [axis, out] = [axisOf(0), own(node.outputs[0]!)];
    if (axis === undefined || axis < 0 || !out || out[axis] !== own(node.inputs[0]!)![axis]) return inputs;
    if (!isHost(ends) || (axes && !isHost(axes))) return inputs;
    const rank = dimsOf(x!).length;
    const listed = axes ? numbersOf(axes).map((a) => positiveAxis(a, rank)) : axesFrom(0, rank);
    const wide = numbersOf(ends).map((end, i) => (listed[i] === axis && end > 0 ? 2 ** 31 - 1 : end));
    return withInts(inputs, 2, wide);
  },
  note: "starts, ends, axes and steps are known from shapes and constants",
});

function splitInto(x: Value, axis: number, sizes: readonly number[] | undefined, count: number): Value[] {
  const dims = dimsOf(x);
  const at = positiveAxis(axis, dims.length);
  const chunk = Math.ceil(dims[at]! / count);
  const lengths = sizes ?? Array.from({ length: count }, (_, i) => Math.min(chunk, dims[at]! - i * chunk));
  let start = 0;
  return lengths.map((length) => {
    const part = sliced(x, [start], [start + length], [at], [1]);
    start += length;
    return part;
  });
}
export const Split = (
  [x]: Inputs,
  { axis = 0, split }: { axis?: number; split?: readonly number[] },
  { node }: OperatorContext,
): Value[] => splitInto(x!, axis, split, node.outputs.length);
Split.facts = facts({ ...keeping, mixes: alongAxis(0) });
export const Split_13 = (
  [x, split]: Inputs,
  { axis = 0 }: { axis?: number },
  context: OperatorContext,
): Value[] => splitInto(x!, axis, split && toNumbers(split, "split", context), context.node.outputs.length);
Split_13.facts = facts({ ...keeping, mixes: alongAxis(0) });

export function Gather([data, indices]: Inputs, { axis = 0 }: { axis?: number }): Value {
  const dims = dimsOf(data!);
  const at = positiveAxis(axis, dims.length);
  if (isHost(data) && isHost(indices)) {
    const places = indices.array.shape;
    const shape = [...dims.slice(0, at), ...places, ...dims.slice(at + 1)];
    return pick(data, shape, (i) => {
      const wanted = indices.array.get(...i.slice(at, at + places.length));
      return [...i.slice(0, at), wanted < 0 ? wanted + dims[at]! : wanted, ...i.slice(at + places.length)];
    });
  }
  if (isHost(indices)) {
    const wrapped = Array.from(indices.array.data, (v) => (v < 0 ? v + dims[at]! : v));
    return gather(toTensor(data!), tf.tensor(Int32Array.from(wrapped), indices.array.shape, "int32"), at);
  }
  return gather(toTensor(data!), tf.cast(indices as tf.Tensor, "int32"), at);
}
Gather.facts = facts({ ...keeping, mixes: alongAxis(0) });

/** NumPy broadcasting of shapes; an axis of 0 stays 0. */
function broadcastShapes(shapes: readonly (readonly number[])[]): number[] {
  const rank = Math.max(...shapes.map((dims) => dims.length));
  return Array.from({ length: rank }, (_, i) => {
    const all = shapes.map((dims) => dims[i - rank + dims.length] ?? 1);
    return all.find((d) => d !== 1) ?? 1;
  });
}

function expandTo(x: Value, shape: readonly number[]): Value {
  if (!isHost(x)) return expand(x, shape);
  const dims = x.array.shape;
  if (sameDims(dims, shape)) return x;
  const lifted = host(x.dtype, [...Array(shape.length - dims.length).fill(1), ...dims], x.array.data);
  return pick(lifted, shape, (at) => at.map((v, i) => (lifted.array.shape[i] === 1 ? 0 : v)));
}
export const Expand = ([x, shape]: Inputs, _: object, context: OperatorContext): Value =>
  expandTo(x!, broadcastShapes([dimsOf(x!), toNumbers(shape, "shape", context)]));
Expand.facts = facts({
  ...keeping,
  rebatch: (batch) => {
    const { node, inputs, axisOf, own } = batch;
    const [axis, out] = [axisOf(0), own(node.outputs[0]!)];
    if (axis === undefined || axis < 0 || !out) return inputs;
    return withInts(inputs, 1, grown(out, axis + out.length - dimsOf(inputs[0]!).length, batch));
  },
});

export function Tile([x, repeats]: Inputs, _: object, context: OperatorContext): Value {
  const times = toNumbers(repeats, "repeats", context);
  const dims = dimsOf(x!);
  const shape = dims.map((d, i) => d * times[i]!);
  if (isHost(x)) return pick(x, shape, (at) => at.map((v, i) => v % dims[i]!));
  let y = x as tf.Tensor;
  if (elementCount(shape) === 0) return tf.zeros(shape, y.dtype as "float32");
  times.forEach((count, axis) => {
    if (count === 1) return;
    const outer = elementCount(y.shape.slice(0, axis));
    const row = y.size / outer;
    const copies = expand(tf.reshape(y, [outer, 1, row]), [outer, count, row]);
    y = tf.reshape(copies, y.shape.with(axis, y.shape[axis]! * count));
  });
  return y;
}
Tile.facts = facts({
  ...keeping,
  mixes: along((_, __, [, repeats]) => numbersOf(repeats).flatMap((n, axis) => (n === 1 ? [] : [axis]))),
});
export function Where([condition, a, b]: Inputs): Value {
  const parts = [condition!, a!, b!];
  const shape = broadcastShapes(parts.map(dimsOf));
  const [c, x, y] = parts.map((part) => expandTo(part, shape)) as [Value, Value, Value];
  if (isHost(c) && isHost(x) && isHost(y))
    return host(
      x.dtype,
      shape,
      c.array.data.map((chosen, i) => (chosen ? x.array.data[i]! : y.array.data[i]!)),
    );
  return where(toTensor(c), toTensor(x), toTensor(y));
}
Where.facts = facts({ ...plain, freezesNumbers: true });

/** Source index of each element of a padded axis; −1 for the constant. */
function paddedAxis(length: number, before: number, after: number, mode: string, where_: string): number[] {
  const from = (i: number): number => {
    if (i >= 0 && i < length) return i;
    switch (mode) {
      case "constant":
        return -1;
      case "edge":
        return Math.max(0, Math.min(length - 1, i));
      case "wrap":
        return ((i % length) + length) % length;
      case "reflect": {
        const period = Math.max(1, 2 * (length - 1));
        const at = ((i % period) + period) % period;
        return Math.min(at, period - at);
      }
      default:
        throw notTrainable("PAD_MODE", `${where_}: padding mode "${mode}" is not supported.`);
    }
  };
  return Array.from({ length: length + before + after }, (_, i) => from(i - before));
}

/** Pads; negative pads crop. */
function padded(x: Value, pads: readonly number[], mode: string, value: number, where_: string): Value {
  const dims = dimsOf(x);
  const rank = dims.length;
  const axes = dims.map((d, axis) => paddedAxis(d, pads[axis]!, pads[rank + axis]!, mode, where_));
  if (isHost(x)) {
    const shape = axes.map((places) => places.length);
    const cells = pick(x, shape, (at) => at.map((v, i) => Math.max(0, axes[i]![v]!)));
    let cell = 0;
    pick(cells, shape, (at) => {
      if (at.some((v, i) => axes[i]![v]! < 0)) cells.array.data[cell] = value;
      cell++;
      return at;
    });
    return cells;
  }
  let y = x as tf.Tensor;
  axes.forEach((places, axis) => {
    const taken = places.filter((p) => p >= 0);
    const [first, count] = [taken[0] ?? 0, taken.length];
    if (taken.every((p, i) => p === first + i)) {
      if (count !== y.shape[axis])
        y = slice(
          y,
          y.shape.map((_, i) => (i === axis ? first : 0)),
          y.shape.with(axis, count),
        );
    } else y = gather(y, tf.tensor1d(Int32Array.from(taken), "int32"), axis);
    const low = Math.max(0, mode === "constant" ? pads[axis]! : 0);
    const high = places.length - low - count;
    const strip = (width: number) => tf.fill(y.shape.with(axis, width), value, y.dtype as "float32");
    if (low + high > 0)
      y = tf.concat([...(low ? [strip(low)] : []), y, ...(high ? [strip(high)] : [])], axis);
  });
  return y;
}
/** Axes whose pads are not zero; the list holds all begins, then all ends. */
const paddedAxes = (pads: readonly number[]): number[] =>
  axesFrom(0, pads.length / 2).filter((i) => pads[i] !== 0 || pads[pads.length / 2 + i] !== 0);
export const Pad = (
  [x]: Inputs,
  {
    pads,
    paddings,
    mode = "constant",
    value = 0,
  }: { pads?: readonly number[]; paddings?: readonly number[]; mode?: string; value?: number },
  { where }: OperatorContext,
): Value => padded(x!, pads ?? paddings ?? [], mode, value, where);
Pad.facts = facts({
  ...keeping,
  mixes: along(({ pads, paddings }) => paddedAxes((pads ?? paddings ?? []) as readonly number[])),
  frozen: { 2: "fill value of Pad" },
});
export function Pad_11(
  [x, pads, value, axes]: Inputs,
  { mode = "constant" }: { mode?: string },
  context: OperatorContext,
): Value {
  const rank = dimsOf(x!).length;
  const given = toNumbers(pads, "pads", context);
  const fill = value === undefined ? 0 : (toNumbers(value, "constant_value", context)[0] ?? 0);
  if (!axes) return padded(x!, given, mode, fill, context.where);
  const chosen = toNumbers(axes, "axes", context);
  const all = new Array<number>(2 * rank).fill(0);
  chosen.forEach((axis, i) => {
    const a = positiveAxis(axis, rank);
    all[a] = given[i]!;
    all[rank + a] = given[chosen.length + i]!;
  });
  return padded(x!, all, mode, fill, context.where);
}
Pad_11.facts = facts({
  ...keeping,
  mixes: along((_, __, [, pads, , axes]) => {
    const padded = paddedAxes(numbersOf(pads));
    return axes ? padded.map((i) => numbersOf(axes)[i]!) : padded;
  }),
  frozen: { 2: "fill value of Pad" },
});

/** Crops or zero-pads each axis around its middle; the odd one goes to the end. */
export function CenterCropPad(
  [x, shape]: Inputs,
  { axes }: { axes?: readonly number[] },
  context: OperatorContext,
): Value {
  const dims = dimsOf(x!);
  const wanted = toNumbers(shape, "shape", context);
  const pads = new Array<number>(2 * dims.length).fill(0);
  (axes ?? dims.map((_, i) => i)).forEach((axis, i) => {
    const a = positiveAxis(axis, dims.length);
    const room = wanted[i]! - dims[a]!;
    // Half of the difference, rounded toward zero, goes before: pads if positive, crops if negative.
    pads[a] = Math.trunc(room / 2);
    pads[dims.length + a] = room - pads[a]!;
  });
  return padded(x!, pads, "constant", 0, context.where);
}
CenterCropPad.facts = facts({ mixes: resizesBatch });

/** [N,C,H,W] with blocks of depth moved into space; DCR or CRD order. */
export function DepthToSpace(
  [x]: Inputs,
  { blocksize: b, mode = "DCR" }: { blocksize: number; mode?: string },
): Value {
  const t = toTensor(x!);
  const [n, c, h, w] = t.shape as [number, number, number, number];
  const depth = c / (b * b);
  const spread =
    mode === "DCR"
      ? tf.transpose(tf.reshape(t, [n, b, b, depth, h, w]), [0, 3, 4, 1, 5, 2])
      : tf.transpose(tf.reshape(t, [n, depth, b, b, h, w]), [0, 1, 4, 2, 5, 3]);
  return tf.reshape(spread, [n, depth, h * b, w * b]);
}
DepthToSpace.facts = facts({ mixes: alongAxesAfter(0), integers: "keeps" });
export function SpaceToDepth([x]: Inputs, { blocksize: b }: { blocksize: number }): Value {
  const t = toTensor(x!);
  const [n, c, h, w] = t.shape as [number, number, number, number];
  const blocks = tf.transpose(tf.reshape(t, [n, c, h / b, b, w / b, b]), [0, 3, 5, 1, 2, 4]);
  return tf.reshape(blocks, [n, c * b * b, h / b, w / b]);
}
SpaceToDepth.facts = facts({ mixes: alongAxesAfter(0), integers: "keeps" });
