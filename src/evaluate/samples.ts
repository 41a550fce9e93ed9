import { encodePng } from "../data/png.ts";
import type { Dataset } from "../data/types.ts";
import type { ModelAnswers } from "./comparison.ts";
import { SETS, type SetName } from "./glossary.ts";

/** A sample in a report; only on request, as it reveals data. */
export interface ShownSample {
  readonly set: SetName;
  /** Position in the data file, from 0. */
  readonly index: number;
  readonly label: number;
  /** Predicted classes. */
  readonly before: number;
  readonly after: number;
  /** A PNG as a data URI, scaled to the range of the values; null if the first model input is no image. */
  readonly thumbnail: string | null;
}

const MOST_PER_SET = 24;
/** Larger images are subsampled to at most this many pixels per side. */
const MOST_PIXELS = 64;

/** Layout of an image [C, H, W] or [H, W, C] with C = 1 or 3; undefined for other shapes. */
function imageShape(dims: readonly number[]) {
  const [a, b, c] = dims;
  if (dims.length !== 3 || !a || !b || !c) return undefined;
  if (a === 1 || a === 3) return { channels: a as 1 | 3, height: b, width: c, first: true };
  if (c === 1 || c === 3) return { channels: c as 1 | 3, height: a, width: b, first: false };
  return undefined;
}

function thumbnail(set: Dataset, index: number): string | null {
  const [input] = Object.values(set.inputs);
  const shape = input && imageShape(input.dims.slice(1));
  if (!input || !shape) return null;
  const { channels, height, width, first } = shape;
  const size = channels * height * width;
  const values = input.data.subarray(index * size, (index + 1) * size);
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of values) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  const step = Math.max(1, Math.ceil(Math.max(height, width) / MOST_PIXELS));
  const [rows, columns] = [Math.ceil(height / step), Math.ceil(width / step)];
  const pixels = new Uint8Array(rows * columns * channels);
  for (let y = 0; y < rows; y++)
    for (let x = 0; x < columns; x++)
      for (let c = 0; c < channels; c++) {
        const [py, px] = [y * step, x * step];
        const at = first ? (c * height + py) * width + px : (py * width + px) * channels + c;
        pixels[(y * columns + x) * channels + c] = (255 * (values[at]! - low)) / (high - low || 1);
      }
  const png = encodePng(pixels, columns, rows, channels);
  return `data:image/png;base64,${Buffer.from(png).toString("base64")}`;
}

/**
 * Forget samples whose predicted class did not change, and newly wrong samples of the other sets; at most 24
 * each.
 */
export function shownSamples(
  sets: Partial<Record<SetName, Dataset>>,
  answers: { readonly before: ModelAnswers; readonly after: ModelAnswers },
): readonly ShownSample[] {
  return SETS.flatMap((name) => {
    const [set, b, a] = [sets[name], answers.before[name], answers.after[name]];
    const classes = set?.task.classes;
    if (!set || !classes || !b || !a) return [];
    const [truth, before, after] = [
      set.truth.data,
      classes.predicted(b.outputs),
      classes.predicted(a.outputs),
    ];
    const wanted = Array.from(truth.keys()).filter((i) =>
      name === "forget" ? after[i] === before[i] : before[i] === truth[i] && after[i] !== truth[i],
    );
    return wanted.slice(0, MOST_PER_SET).map((index) => ({
      set: name,
      index,
      label: truth[index]!,
      before: before[index]!,
      after: after[index]!,
      thumbnail: thumbnail(set, index),
    }));
  });
}
