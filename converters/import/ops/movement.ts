import * as tf from "@tensorflow/tfjs-core";
import { notTrainable } from "../../errors.ts";
import { expand, gather, slice, where } from "../../kernels/movement.ts";
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

const product = (dims: readonly number[]) => dims.reduce((a, b) => a * b, 1);
const positiveAxis = (axis: number, rank: number) => (axis < 0 ? axis + rank : axis);
const relabel = (x: Value, shape: readonly number[]): Value =>
  isHost(x) ? host(x.dtype, shape, x.array.data) : tf.reshape(x, [...shape]);

/** Host values picked by an index function over the output shape; row-major. */
function pick(
  x: HostTensor,
  shape: readonly number[],
  indexOf: (at: readonly number[]) => readonly number[],
): HostTensor {
  const out = new Float64Array(product(shape));
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

function reshapeTo(x: Value, target: readonly number[], allowzero: boolean, where_: string): Value {
  const dims = dimsOf(x);
  const shape = target.map((d, i) => (d === 0 && !allowzero ? dims[i]! : d));
  const hole = shape.indexOf(-1);
  if (hole >= 0) shape[hole] = product(dims) / product(shape.filter((d) => d !== -1));
  if (product(shape) !== product(dims))
    throw notTrainable(
      "RESHAPE_MISMATCH",
      `${where_}: cannot reshape [${dims}] to [${target}]; the shape is baked in for another batch size.`,
    );
  return relabel(x, shape);
}
export const Reshape = (
  [x, shape]: Inputs,
  { allowzero = 0 }: { allowzero?: number },
  context: OperatorContext,
): Value => reshapeTo(x!, toNumbers(shape, "shape", context), allowzero !== 0, context.where);

export function Flatten([x]: Inputs, { axis = 1 }: { axis?: number }): Value {
  const dims = dimsOf(x!);
  const at = positiveAxis(axis, dims.length);
  return relabel(x!, [product(dims.slice(0, at)), product(dims.slice(at))]);
}
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

const squeezed = (x: Value, axes: readonly number[] | undefined): Value => {
  const dims = dimsOf(x);
  const drop = axes?.map((a) => positiveAxis(a, dims.length));
  return relabel(
    x,
    dims.filter((d, i) => (drop ? !drop.includes(i) : d !== 1)),
  );
};
export const Squeeze = ([x]: Inputs, { axes }: { axes?: readonly number[] }): Value => squeezed(x!, axes);
export const Squeeze_13 = ([x, axes]: Inputs, _: object, context: OperatorContext): Value =>
  squeezed(x!, axes && toNumbers(axes, "axes", context));

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
export const Unsqueeze_13 = ([x, axes]: Inputs, _: object, context: OperatorContext): Value =>
  unsqueezed(x!, toNumbers(axes, "axes", context));

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
  const out = host(hosts[0]!.dtype, shape, new Float64Array(product(shape)));
  hosts.forEach((h, k) => {
    const inner = product(shape.slice(at + 1));
    const rows = product(shape.slice(0, at));
    const width = h.array.shape[at]! * inner;
    for (let r = 0; r < rows; r++)
      out.array.data.set(
        h.array.data.subarray(r * width, (r + 1) * width),
        r * shape[at]! * inner + starts[k]! * inner,
      );
  });
  return out;
}

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
    const end = step > 0 ? clamp(ends[k]!, 0, d) : ends[k]! < -d ? -1 : clamp(ends[k]!, -1, d - 1);
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
export const Split_13 = (
  [x, split]: Inputs,
  { axis = 0 }: { axis?: number },
  context: OperatorContext,
): Value[] => splitInto(x!, axis, split && toNumbers(split, "split", context), context.node.outputs.length);

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

export function Expand([x, shape]: Inputs, _: object, context: OperatorContext): Value {
  const dims = dimsOf(x!);
  const wanted = toNumbers(shape, "shape", context);
  const rank = Math.max(dims.length, wanted.length);
  const out = Array.from({ length: rank }, (_v, i) =>
    Math.max(dims[i - rank + dims.length] ?? 1, wanted[i - rank + wanted.length] ?? 1),
  );
  if (isHost(x)) {
    const lifted = host(x.dtype, [...Array(rank - dims.length).fill(1), ...dims], x.array.data);
    return pick(lifted, out, (at) => at.map((v, i) => (lifted.array.shape[i] === 1 ? 0 : v)));
  }
  return expand(x as tf.Tensor, out);
}
export function Tile([x, repeats]: Inputs, _: object, context: OperatorContext): Value {
  let y = toTensor(x!);
  toNumbers(repeats, "repeats", context).forEach((times, axis) => {
    if (times !== 1)
      y = tf.concat(
        Array.from({ length: times }, () => y),
        axis,
      );
  });
  return y;
}
export function Where([condition, a, b]: Inputs): Value {
  const parts = [condition!, a!, b!];
  const rank = Math.max(...parts.map((p) => dimsOf(p).length));
  const shape = Array.from({ length: rank }, (_, i) =>
    Math.max(...parts.map((p) => dimsOf(p)[i - rank + dimsOf(p).length] ?? 1)),
  );
  if (isHost(condition) && isHost(a) && isHost(b)) {
    const lift = (h: HostTensor) =>
      host(h.dtype, [...Array(rank - h.array.shape.length).fill(1), ...h.array.shape], h.array.data);
    const at3 = (h: HostTensor, at: readonly number[]) =>
      h.array.get(...at.map((v, i) => (h.array.shape[i] === 1 ? 0 : v)));
    const [c, x, y] = [lift(condition), lift(a), lift(b)];
    const probe = host(a.dtype, shape, new Float64Array(product(shape)));
    const cells: number[] = [];
    pick(probe, shape, (at) => {
      cells.push(at3(c, at) ? at3(x, at) : at3(y, at));
      return at;
    });
    return host(a.dtype, shape, cells);
  }
  const [c, x, y] = parts.map((p) => expand(toTensor(p), shape)) as [tf.Tensor, tf.Tensor, tf.Tensor];
  return where(c, x, y);
}

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
export function SpaceToDepth([x]: Inputs, { blocksize: b }: { blocksize: number }): Value {
  const t = toTensor(x!);
  const [n, c, h, w] = t.shape as [number, number, number, number];
  const blocks = tf.transpose(tf.reshape(t, [n, c, h / b, b, w / b, b]), [0, 3, 5, 1, 2, 4]);
  return tf.reshape(blocks, [n, c * b * b, h / b, w / b]);
}
