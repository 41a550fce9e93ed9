import { elementCount, positiveAxis, sameDims } from "../../dims.ts";
import { expand, gather, where } from "../../kernels/movement.ts";
import { COMBINE, type Reduction, scatterRows, topKIndices, topPlaces } from "../../kernels/scatter.ts";
import { tf } from "../../tf.ts";
import { along, alongAxis, always, axesFrom, facts, type Mixing, plain } from "../operator.ts";
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

/** Row-major strides. */
const stridesOf = (dims: readonly number[]) => dims.map((_, i) => elementCount(dims.slice(i + 1)));
/** f of every coordinate of a shape, row-major. */
function overShape(shape: readonly number[], f: (at: readonly number[]) => number): number[] {
  const at = shape.map(() => 0);
  return Array.from({ length: elementCount(shape) }, () => {
    const value = f(at);
    for (let d = shape.length - 1; d >= 0; d--) {
      if (++at[d]! < shape[d]!) break;
      at[d] = 0;
    }
    return value;
  });
}
const constant = (values: readonly number[], shape: readonly number[]) =>
  tf.tensor(Int32Array.from(values), [...shape], "int32");

/**
 * Flat places base + index · stride, for indices along axes of these lengths. Negative indices count from the
 * end.
 */
function weighted(
  indices: Value,
  lengths: readonly number[],
  strides: readonly number[],
  perPlace: boolean,
  base: readonly number[],
): Value {
  const dims = dimsOf(indices);
  const shape = perPlace ? dims.slice(0, -1) : dims;
  const k = lengths.length;
  if (isHost(indices)) {
    const data = indices.array.data;
    const places = base.map((b, i) => {
      let place = b;
      for (let j = 0; j < k; j++) {
        const v = data[i * k + j]!;
        place += (v < 0 ? v + lengths[j]! : v) * strides[j]!;
      }
      return place;
    });
    return host("int64", shape, places);
  }
  const t = tf.cast(indices, "int32");
  const negative = tf.cast(tf.less(t, tf.scalar(0, "int32")), "int32");
  const perAxis = perPlace ? [k] : [];
  const scaled = tf.mul(tf.add(t, tf.mul(negative, constant(lengths, perAxis))), constant(strides, perAxis));
  return tf.add(perPlace ? tf.sum(scaled, -1) : scaled, constant(base, shape));
}

/** Flat places in `data` of elements indexed along one axis; the other coordinates are those of the index. */
function elementPlaces(indices: Value, data: readonly number[], axis: number): Value {
  const strides = stridesOf(data);
  const base = overShape(dimsOf(indices), (at) =>
    at.reduce((sum, v, d) => (d === axis ? sum : sum + v * strides[d]!), 0),
  );
  return weighted(indices, [data[axis]!], [strides[axis]!], false, base);
}

/**
 * Row numbers in `data`, seen as [rows, rest], for the index tuples in the last axis of `indices`. The first
 * `batch` axes are common to both.
 */
function tuplePlaces(indices: Value, data: readonly number[], batch: number): Value {
  const dims = dimsOf(indices);
  const k = dims[dims.length - 1]!;
  const lengths = data.slice(batch, batch + k);
  const strides = stridesOf(data.slice(0, batch + k));
  const base = overShape(dims.slice(0, -1), (at) =>
    at.slice(0, batch).reduce((sum, v, d) => sum + v * strides[d]!, 0),
  );
  return weighted(indices, lengths, strides.slice(batch), true, base);
}

/** Gathers rows of x, seen as [rows, width]. */
function takeRows(x: Value, places: Value, width: number, shape: readonly number[]): Value {
  if (isHost(x) && isHost(places)) {
    const at = places.array.data;
    const data = Float64Array.from({ length: at.length * width }, (_, i) => {
      const row = at[Math.floor(i / width)]!;
      return x.array.data[row * width + (i % width)]!;
    });
    return host(x.dtype, shape, data);
  }
  const t = toTensor(x);
  const flat = tf.reshape(toTensor(places), [-1]);
  return tf.reshape(gather(tf.reshape(t, [t.size / width, width]), flat, 0), [...shape]);
}

/**
 * Indices may address any element along `axis`; along other axes data and indices have the same coordinate.
 */
const addressed: Mixing = ({ attributes: { axis = 0 }, inputs, axes: { inputs: batch } }) =>
  batch[0]! >= 0 &&
  (batch[0] === positiveAxis(Number(axis), dimsOf(inputs[0]!).length) || batch.some((at) => at !== batch[0]));
/** The axes of the data that index tuples address, after the `shared` first axes. */
const addressedAxes = (shared: number, indices: Value): number[] =>
  axesFrom(shared, shared + dimsOf(indices).at(-1)!);

export function GatherElements([data, indices]: Inputs, { axis = 0 }: { axis?: number }): Value {
  const dims = dimsOf(data!);
  const places = elementPlaces(indices!, dims, positiveAxis(axis, dims.length));
  return takeRows(data!, places, 1, dimsOf(indices!));
}
GatherElements.facts = facts({ mixes: addressed, integers: "keeps" });
export function GatherND([data, indices]: Inputs, { batch_dims = 0 }: { batch_dims?: number }): Value {
  const [dims, places] = [dimsOf(data!), dimsOf(indices!)];
  if (!sameDims(dims.slice(0, batch_dims), places.slice(0, batch_dims)))
    throw new Error(`data [${dims}] and indices [${places}] do not share their first ${batch_dims} axes`);
  const rest = dims.slice(batch_dims + places[places.length - 1]!);
  return takeRows(data!, tuplePlaces(indices!, dims, batch_dims), elementCount(rest), [
    ...places.slice(0, -1),
    ...rest,
  ]);
}
GatherND.facts = facts({
  mixes: along(({ batch_dims = 0 }, _, [, indices]) => addressedAxes(Number(batch_dims), indices!)),
  integers: "keeps",
});

/** Checked here, as a wrong number of updates would fail only when the compiled graph runs. */
function checkUpdates(updates: Value, wanted: readonly number[]): void {
  const dims = dimsOf(updates);
  if (!sameDims(dims, wanted))
    throw new Error(`the updates have shape [${dims}], but the indices ask for [${wanted}]`);
}

/** Writes rows of updates into data, seen as [rows, width], or combines them with what is there. */
function putRows(data: Value, places: Value, updates: Value, width: number, reduction: Reduction): Value {
  const dims = dimsOf(data);
  if (isHost(data) && isHost(places) && isHost(updates)) {
    const out = host(data.dtype, dims, data.array.data);
    places.array.data.forEach((row, k) => {
      for (let i = 0; i < width; i++)
        out.array.data[row * width + i] = COMBINE[reduction](
          out.array.data[row * width + i]!,
          updates.array.data[k * width + i]!,
        );
    });
    return out;
  }
  const rows = tf.reshape(toTensor(data), [-1, width]);
  const flat = tf.reshape(toTensor(places), [-1]);
  const news = tf.reshape(toTensor(updates), [-1, width]);
  return tf.reshape(scatterRows(rows, flat, news, reduction), dims);
}

export function ScatterElements(
  [data, indices, updates]: Inputs,
  { axis = 0, reduction = "none" }: { axis?: number; reduction?: Reduction },
): Value {
  const dims = dimsOf(data!);
  checkUpdates(updates!, dimsOf(indices!));
  const places = elementPlaces(indices!, dims, positiveAxis(axis, dims.length));
  return putRows(data!, places, updates!, 1, reduction);
}
ScatterElements.facts = facts({ mixes: addressed, integers: "keeps" });
/** The name of ScatterElements in opset 9 and 10. */
export const Scatter = (inputs: Inputs, { axis = 0 }: { axis?: number }): Value =>
  ScatterElements(inputs, { axis });
Scatter.facts = facts({ mixes: addressed });
export function ScatterND(
  [data, indices, updates]: Inputs,
  { reduction = "none" }: { reduction?: Reduction },
): Value {
  const dims = dimsOf(data!);
  const tuples = dimsOf(indices!);
  const rest = dims.slice(tuples.at(-1)!);
  checkUpdates(updates!, [...tuples.slice(0, -1), ...rest]);
  return putRows(data!, tuplePlaces(indices!, dims, 0), updates!, elementCount(rest), reduction);
}
ScatterND.facts = facts({
  mixes: along((_, __, [, indices]) => addressedAxes(0, indices!)),
  integers: "keeps",
});

/**
 * Writes the update into the cache along `axis`, from write_indices[batch] on; "circular" wraps around at the
 * end.
 */
export function TensorScatter(
  [cache, update, start]: Inputs,
  { axis = -2, mode = "linear" }: { axis?: number; mode?: string },
): Value {
  const [dims, shape] = [dimsOf(cache!), dimsOf(update!)];
  const at = positiveAxis(axis, dims.length);
  const [length, count] = [dims[at]!, shape[at]!];
  const begin = start ?? host("int64", [dims[0]!], new Float64Array(dims[0]!));
  const spread = shape.map((_, i) => (i === 0 ? dims[0]! : 1));
  const along = shape.map((_, i) => (i === at ? count : 1));
  const steps = Array.from({ length: count }, (_, i) => i);
  let indices: Value;
  if (isHost(begin)) {
    const data = overShape(shape, (c) => {
      const place = begin.array.data[c[0]!]! + c[at]!;
      return mode === "circular" ? place % length : place;
    });
    indices = host("int64", shape, data);
  } else {
    const sum = tf.add(tf.reshape(tf.cast(begin, "int32"), spread), constant(steps, along));
    const round = mode === "circular" ? tf.mod(sum, tf.scalar(length, "int32")) : sum;
    indices = tf.add(round, tf.zeros(shape, "int32"));
  }
  return ScatterElements([cache, indices, update], { axis: at });
}
TensorScatter.facts = facts({
  mixes: ({ attributes: { axis = -2 }, inputs, axes: { inputs: batch } }) => {
    const [cache, update, start = -1] = batch;
    const at = positiveAxis(Number(axis), dimsOf(inputs[0]!).length);
    return cache === at || update !== cache || (start >= 0 && cache !== 0);
  },
});

function topK(x: Value, k: number, axis: number, largest: boolean): Value[] {
  const dims = dimsOf(x);
  const at = positiveAxis(axis, dims.length);
  const attributes = { k, axis: at, largest };
  const indices = isHost(x)
    ? host("int64", dims.with(at, k), topPlaces(x.array.data, dims, attributes))
    : topKIndices(x, attributes);
  return [GatherElements([x, indices], { axis: at }), indices];
}
export const TopK = ([x]: Inputs, { k, axis = -1 }: { k: number; axis?: number }): Value[] =>
  topK(x!, k, axis, true);
TopK.facts = facts({ mixes: alongAxis(-1), tail: "ranks" });
export const TopK_10 = (
  [x, k]: Inputs,
  { axis = -1, largest = 1 }: { axis?: number; largest?: number },
  context: OperatorContext,
): Value[] => topK(x!, toNumbers(k, "K", context)[0]!, axis, largest !== 0);
TopK_10.facts = facts({ mixes: alongAxis(-1), tail: "ranks", note: "the gradient goes to the values taken" });

export function Trilu([x, k]: Inputs, { upper = 1 }: { upper?: number }, context: OperatorContext): Value {
  const dims = dimsOf(x!);
  const diagonal = k === undefined ? 0 : toNumbers(k, "k", context)[0]!;
  const kept = (row: number, column: number) =>
    upper !== 0 ? column - row >= diagonal : column - row <= diagonal;
  const [rows, columns] = dims.slice(-2) as [number, number];
  const mask = overShape([rows, columns], ([row, column]) => Number(kept(row!, column!)));
  if (isHost(x))
    return host(
      x.dtype,
      dims,
      x.array.data.map((v, i) => (mask[i % mask.length] ? v : 0)),
    );
  const t = x as tf.Tensor;
  const open = expand(tf.tensor2d(Uint8Array.from(mask), [rows, columns], "bool"), dims);
  return where(open, t, tf.zeros(dims, t.dtype as "float32"));
}
Trilu.facts = facts({ mixes: along(() => [-2, -1]) });

/** Reverses the first sequence_lens[batch] entries along time_axis. */
export function ReverseSequence(
  [x, lengths]: Inputs,
  { batch_axis = 1, time_axis = 0 }: { batch_axis?: number; time_axis?: number },
): Value {
  const dims = dimsOf(x!);
  if (isHost(lengths)) {
    const data = overShape(dims, (at) => {
      const [t, n] = [at[time_axis]!, lengths.array.data[at[batch_axis]!]!];
      return t < n ? n - 1 - t : t;
    });
    return GatherElements([x, host("int64", dims, data)], { axis: time_axis });
  }
  const time = constant(
    Array.from({ length: dims[time_axis]! }, (_, t) => t),
    dims.map((d, i) => (i === time_axis ? d : 1)),
  );
  const n = tf.reshape(
    tf.cast(lengths as tf.Tensor, "int32"),
    dims.map((d, i) => (i === batch_axis ? d : 1)),
  );
  const inside = tf.cast(tf.less(time, n), "int32");
  // t + inside · (n − 1 − 2t)
  const turned = tf.sub(tf.sub(n, tf.scalar(1, "int32")), tf.mul(time, tf.scalar(2, "int32")));
  const places = tf.add(tf.add(time, tf.mul(inside, turned)), tf.zeros(dims, "int32"));
  return GatherElements([x, places], { axis: time_axis });
}
ReverseSequence.facts = facts({ mixes: along(({ time_axis = 0 }) => [Number(time_axis)]) });

/** The slices whose condition is true; without axis, elements of the flattened input. */
export function Compress(
  [x, condition]: Inputs,
  { axis }: { axis?: number },
  context: OperatorContext,
): Value {
  const chosen = toNumbers(condition, "condition", context).flatMap((c, i) => (c ? [i] : []));
  const dims = axis === undefined ? [elementCount(dimsOf(x!))] : dimsOf(x!);
  const at = axis === undefined ? 0 : positiveAxis(axis, dims.length);
  const inner = elementCount(dims.slice(at + 1));
  const outer = elementCount(dims.slice(0, at));
  const places = Array.from({ length: outer }, (_, o) => chosen.map((c) => o * dims[at]! + c)).flat();
  return takeRows(x!, host("int64", [places.length], places), inner, dims.with(at, chosen.length));
}
Compress.facts = facts({
  mixes: along(({ axis }, rank) => (axis === undefined ? axesFrom(0, rank) : [Number(axis)])),
  note: "the condition is a constant",
});

export const knownShape = "host values only: the output's shape depends on the data";
const refuseTensor = (x: Value | undefined, operand: string, context: OperatorContext): HostTensor => {
  toNumbers(x, operand, context);
  return x as HostTensor;
};

/**
 * Coordinates of the non-zero elements, [rank, count]. Host values only, as the shape depends on the data.
 */
export function NonZero([x]: Inputs, _: object, context: OperatorContext): Value {
  const { array } = refuseTensor(x, "X", context);
  const strides = stridesOf(array.shape);
  const found = Array.from(array.data).flatMap((v, i) => (v !== 0 ? [i] : []));
  const rows = array.shape.map((d, axis) => found.map((i) => Math.floor(i / strides[axis]!) % d));
  return host("int64", [array.shape.length, found.length], rows.flat());
}
NonZero.facts = facts({ ...plain, gradient: "zero", frozen: { 0: "values of NonZero" }, note: knownShape });

/**
 * Distinct slices along `axis` (or elements), their first indices, the inverse indices, and counts; host
 * values only.
 */
export function Unique(
  [x]: Inputs,
  { axis, sorted = 1 }: { axis?: number; sorted?: number },
  context: OperatorContext,
): Value[] {
  const { array, dtype } = refuseTensor(x, "X", context);
  const dims = axis === undefined ? [array.data.length] : [...array.shape];
  const at = axis === undefined ? 0 : positiveAxis(axis, dims.length);
  const [outer, length, inner] = [
    elementCount(dims.slice(0, at)),
    dims[at]!,
    elementCount(dims.slice(at + 1)),
  ];
  const sliceAt = (i: number) =>
    Array.from({ length: outer * inner }, (_, k) => {
      const [o, r] = [Math.floor(k / inner), k % inner];
      return array.data[(o * length + i) * inner + r]!;
    });
  const groups = new Map<string, { slice: number[]; first: number; count: number }>();
  const keys = Array.from({ length }, (_, i) => {
    const slice = sliceAt(i);
    const key = slice.join();
    const group = groups.get(key);
    groups.set(key, { slice, first: group?.first ?? i, count: (group?.count ?? 0) + 1 });
    return key;
  });
  const order = [...groups.keys()];
  const compare = (a: readonly number[], b: readonly number[]) => {
    const k = a.findIndex((v, i) => v !== b[i]);
    return k < 0 ? 0 : a[k]! - b[k]!;
  };
  if (sorted) order.sort((a, b) => compare(groups.get(a)!.slice, groups.get(b)!.slice));
  const places = new Map(order.map((key, i) => [key, i]));
  const chosen = order.map((key) => groups.get(key)!);
  const shape = dims.with(at, order.length);
  const data = overShape(shape, (c) => {
    const o = c.slice(0, at).reduce((sum, v, d) => sum * dims[d]! + v, 0);
    const r = c.slice(at + 1).reduce((sum, v, d) => sum * dims[at + 1 + d]! + v, 0);
    return chosen[c[at]!]!.slice[o * inner + r]!;
  });
  const list = (values: readonly number[]) => host("int64", [values.length], values);
  return [
    host(dtype, shape, data),
    list(chosen.map(({ first }) => first)),
    list(keys.map((key) => places.get(key)!)),
    list(chosen.map(({ count }) => count)),
  ];
}
Unique.facts = facts({
  mixes: always,
  gradient: "zero",
  frozen: { 0: "values of Unique" },
  note: knownShape,
});
