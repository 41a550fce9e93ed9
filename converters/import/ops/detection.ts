import { gather } from "../../kernels/movement.ts";
import { tf } from "../../tf.ts";
import { always, facts } from "../operator.ts";
import {
  dimsOf,
  host,
  type Inputs,
  type OperatorContext,
  toNumbers,
  toTensor,
  type Value,
} from "../value.ts";
import { firstMaxima, regional } from "./image.ts";
import { knownShape } from "./indexing.ts";

type Box = readonly [low: readonly [number, number], high: readonly [number, number]];

/** Corners in any order, or centre and size. */
function boxOf(numbers: readonly number[], centred: boolean): Box {
  const [a, b, c, d] = numbers as [number, number, number, number];
  if (centred)
    return [
      [a - c / 2, b - d / 2],
      [a + c / 2, b + d / 2],
    ];
  return [
    [Math.min(a, c), Math.min(b, d)],
    [Math.max(a, c), Math.max(b, d)],
  ];
}
function overlap([a, b]: Box, [c, d]: Box): number {
  const side = (axis: 0 | 1) => Math.max(0, Math.min(b[axis], d[axis]) - Math.max(a[axis], c[axis]));
  const shared = side(0) * side(1);
  const area = (low: readonly [number, number], high: readonly [number, number]) =>
    (high[0] - low[0]) * (high[1] - low[1]);
  const total = area(a, b) + area(c, d) - shared;
  return total > 0 ? shared / total : 0;
}

/**
 * [batch, class, box] of the selected boxes per class, best score first. Host values only, as the number of
 * boxes depends on the data.
 */
export function NonMaxSuppression(
  [boxes, scores, maximum, iouThreshold, scoreThreshold]: Inputs,
  { center_point_box = 0 }: { center_point_box?: number },
  context: OperatorContext,
): Value {
  const coordinates = toNumbers(boxes, "boxes", context);
  const values = toNumbers(scores, "scores", context);
  const number = (value: Value | undefined, name: string) =>
    value ? toNumbers(value, name, context)[0] : undefined;
  const most = number(maximum, "max_output_boxes_per_class") ?? 0;
  const limit = number(iouThreshold, "iou_threshold") ?? 0;
  const least = number(scoreThreshold, "score_threshold") ?? Number.NEGATIVE_INFINITY;
  const [images, classes, count] = dimsOf(scores!) as [number, number, number];
  const selected: number[] = [];
  for (let image = 0; image < images; image++) {
    const own = Array.from({ length: count }, (_, i) =>
      boxOf(coordinates.slice((image * count + i) * 4, (image * count + i + 1) * 4), center_point_box !== 0),
    );
    for (let c = 0; c < classes; c++) {
      const score = (i: number) => values[(image * classes + c) * count + i]!;
      const order = Array.from({ length: count }, (_, i) => i)
        .filter((i) => score(i) > least)
        .sort((a, b) => score(b) - score(a) || a - b);
      const kept: number[] = [];
      for (const i of order) {
        if (kept.length >= most) break;
        if (kept.every((k) => overlap(own[k]!, own[i]!) <= limit)) kept.push(i);
      }
      selected.push(...kept.flatMap((i) => [image, c, i]));
    }
  }
  return host("int64", [selected.length / 3, 3], selected);
}
NonMaxSuppression.facts = facts({
  mixes: always,
  gradient: "zero",
  frozen: {
    0: "boxes of NonMaxSuppression",
    1: "scores of NonMaxSuppression",
    3: "threshold of NonMaxSuppression",
    4: "threshold of NonMaxSuppression",
  },
  note: knownShape,
});

/**
 * Maxima over the bins of each region [image, x1, y1, x2, y2], rounded to whole pixels; regions are host
 * values.
 */
export function MaxRoiPool(
  [x, rois]: Inputs,
  { pooled_shape, spatial_scale = 1 }: { pooled_shape: readonly number[]; spatial_scale?: number },
  context: OperatorContext,
): Value {
  const t = toTensor(x!);
  const [n, c, h, w] = t.shape as [number, number, number, number];
  const [oh, ow] = pooled_shape as [number, number];
  const regions = toNumbers(rois, "rois", context);
  const count = regions.length / 5;
  const bins: number[][] = [];
  for (let r = 0; r < count; r++) {
    const [image, ...corners] = regions.slice(5 * r, 5 * r + 5) as [number, ...number[]];
    const [x1, y1, x2, y2] = corners.map((v) => Math.round(v * spatial_scale)) as [
      number,
      number,
      number,
      number,
    ];
    const [height, width] = [Math.max(y2 - y1 + 1, 1), Math.max(x2 - x1 + 1, 1)];
    const range = (i: number, size: number, parts: number, from: number, end: number) => {
      const clamp = (v: number) => Math.min(Math.max(v + from, 0), end);
      return [clamp(Math.floor((i * size) / parts)), clamp(Math.ceil(((i + 1) * size) / parts))] as const;
    };
    for (let i = 0; i < oh; i++)
      for (let j = 0; j < ow; j++) {
        const [top, bottom] = range(i, height, oh, y1, h);
        const [left, right] = range(j, width, ow, x1, w);
        const bin: number[] = [];
        for (let y = top; y < bottom; y++)
          for (let px = left; px < right; px++) bin.push((image * h + y) * w + px);
        bins.push(bin);
      }
  }
  // An empty bin gives 0: it reads a row of zeros that follows the pixels.
  const rows = tf.concat([tf.reshape(tf.transpose(t, [0, 2, 3, 1]), [n * h * w, c]), tf.zeros([1, c])]);
  const filled = bins.map((bin) => (bin.length > 0 ? bin : [n * h * w]));
  const taps = Math.max(...filled.map((bin) => bin.length));
  const places = filled.flatMap((bin) => Array.from({ length: taps }, (_, i) => bin[i] ?? 0));
  const values = gather(rows, tf.tensor1d(Int32Array.from(places), "int32"), 0);
  const maxima = firstMaxima(
    tf.reshape(values, [filled.length, taps, c]),
    filled.map((bin) => bin.length),
  );
  return tf.transpose(tf.reshape(maxima, [count, oh, ow, c]), [0, 3, 1, 2]);
}
MaxRoiPool.facts = regional;
