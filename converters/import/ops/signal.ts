import { positiveAxis } from "../../dims.ts";
import { gather } from "../../kernels/movement.ts";
import { tf } from "../../tf.ts";
import { along, alongAxesAfter, facts, numbersOf, operator, plain } from "../operator.ts";
import {
  dimsOf,
  host,
  type Inputs,
  type OperatorContext,
  toNumbers,
  toTensor,
  type Value,
} from "../value.ts";
import { Cast } from "./activation.ts";
import { matMul } from "./linalg.ts";

interface WindowAttributes {
  readonly output_datatype?: number;
  readonly periodic?: number;
}
/** a₀ − a₁ cos(2πn/N) + a₂ cos(4πn/N), with N = size, or size − 1 for a symmetric window. */
const cosineWindow = (a0: number, a1: number, a2: number) =>
  operator(
    { ...plain, gradient: "zero" },
    (
      [size]: Inputs,
      { output_datatype = 1, periodic = 1 }: WindowAttributes,
      context: OperatorContext,
    ): Value => {
      const count = toNumbers(size, "size", context)[0]!;
      const period = periodic ? count : count - 1;
      const at = (n: number) => {
        const angle = (2 * Math.PI * n) / period;
        return a0 - a1 * Math.cos(angle) + a2 * Math.cos(2 * angle);
      };
      const window = host(
        "float32",
        [count],
        Array.from({ length: count }, (_, n) => at(n)),
      );
      return Cast([window], { to: output_datatype }, context);
    },
  );
export const HannWindow = cosineWindow(0.5, 0.5, 0);
export const HammingWindow = cosineWindow(25 / 46, 21 / 46, 0);
export const BlackmanWindow = cosineWindow(0.42, 0.5, 0.08);

/** Triangular filters, evenly spaced on the mel scale: [⌊dft_length / 2⌋ + 1, num_mel_bins]. */
export function MelWeightMatrix(
  inputs: Inputs,
  { output_datatype = 1 }: { output_datatype?: number },
  context: OperatorContext,
): Value {
  const names = ["num_mel_bins", "dft_length", "sample_rate", "lower_edge_hertz", "upper_edge_hertz"];
  const [bins, length, rate, lower, upper] = names.map(
    (name, i) => toNumbers(inputs[i], name, context)[0]!,
  ) as [number, number, number, number, number];
  const toMel = (hertz: number) => 2595 * Math.log10(1 + hertz / 700);
  const toHertz = (mel: number) => 700 * (10 ** (mel / 2595) - 1);
  const step = (toMel(upper) - toMel(lower)) / (bins + 2);
  const edges = Array.from({ length: bins + 2 }, (_, i) =>
    Math.floor(((length + 1) * toHertz(i * step + toMel(lower))) / rate),
  );
  const rows = Math.floor(length / 2) + 1;
  const matrix = new Float64Array(rows * bins);
  for (let i = 0; i < bins; i++) {
    const [left, centre, right] = edges.slice(i, i + 3) as [number, number, number];
    if (left === centre) matrix[centre * bins + i] = 1;
    else for (let j = left; j <= centre; j++) matrix[j * bins + i] = (j - left) / (centre - left);
    for (let j = centre; j < right; j++) matrix[j * bins + i] = (right - j) / (right - centre);
  }
  return Cast([host("float32", [rows, bins], matrix)], { to: output_datatype }, context);
}
MelWeightMatrix.facts = facts({
  ...plain,
  gradient: "zero",
  frozen: { 3: "edge of MelWeightMatrix", 4: "edge of MelWeightMatrix" },
});

/**
 * The discrete Fourier transform as a matrix from (time, channel) to (frequency, channel). Channels are real
 * and imaginary part, or the real part alone.
 * @param entries length of the input, which is cut or zero-padded to `length`
 */
function dftMatrix(
  entries: number,
  channels: number,
  length: number,
  inverse: boolean,
  onesided: boolean,
): { readonly matrix: tf.Tensor2D; readonly count: number; readonly channels: number } {
  const toReal = inverse && onesided;
  const count = onesided && !inverse ? Math.floor(length / 2) + 1 : length;
  const out = toReal ? 1 : 2;
  const used = Math.min(entries, toReal ? Math.floor(length / 2) + 1 : length);
  const matrix = new Float32Array(entries * channels * count * out);
  const width = count * out;
  const angles = Array.from({ length }, (_, i) => (2 * Math.PI * i) / length);
  const [cosines, sines] = [angles.map(Math.cos), angles.map(Math.sin)];
  for (let j = 0; j < used; j++) {
    // Each frequency of a one-sided spectrum also represents its conjugate.
    const both = toReal && j > 0 && 2 * j !== length ? 2 : 1;
    const weight = inverse ? both / length : 1;
    for (let k = 0; k < count; k++) {
      const turn = (k * j) % length;
      const [c, s] = [weight * cosines[turn]!, weight * sines[turn]! * (inverse ? 1 : -1)];
      const put = (channel: number, part: number, value: number) => {
        if (channel < channels && part < out)
          matrix[(j * channels + channel) * width + k * out + part] = value;
      };
      put(0, 0, c);
      put(0, 1, s);
      put(1, 0, -s);
      put(1, 1, c);
    }
  }
  return { matrix: tf.tensor2d(matrix, [entries * channels, width]), count, channels: out };
}

function transformed(
  x: tf.Tensor,
  axis: number,
  dftLength: number | undefined,
  inverse: boolean,
  onesided: boolean,
): tf.Tensor {
  const rank = x.rank;
  const at = positiveAxis(axis, rank);
  const [entries, channels] = [x.shape[at]!, x.shape[rank - 1]!];
  const length = dftLength ?? (inverse && onesided ? 2 * (entries - 1) : entries);
  // The transformed axis moves next to the channels.
  const order = [...Array.from({ length: rank - 1 }, (_, i) => i).filter((i) => i !== at), at, rank - 1];
  const rows = tf.transpose(x, order);
  const lead = rows.shape.slice(0, -2);
  const dft = dftMatrix(entries, channels, length, inverse, onesided);
  const product = matMul(tf.reshape(rows, [x.size / (entries * channels), entries * channels]), dft.matrix);
  const back = order.map((_, i) => order.indexOf(i));
  return tf.transpose(tf.reshape(product, [...lead, dft.count, dft.channels]), back);
}

interface DftAttributes {
  readonly axis?: number;
  readonly inverse?: number;
  readonly onesided?: number;
}
const optional = (value: Value | undefined, name: string, context: OperatorContext) =>
  value === undefined ? undefined : toNumbers(value, name, context)[0];

export const DFT = (
  [x, length]: Inputs,
  { axis = 1, inverse = 0, onesided = 0 }: DftAttributes,
  context: OperatorContext,
): Value =>
  transformed(toTensor(x!), axis, optional(length, "dft_length", context), inverse !== 0, onesided !== 0);
DFT.facts = facts({
  mixes: along(({ axis = 1 }) => [Number(axis), -1]),
  note: "a product with a constant matrix",
});
export const DFT_20 = (
  [x, length, axis]: Inputs,
  { inverse = 0, onesided = 0 }: DftAttributes,
  context: OperatorContext,
): Value => {
  const along = optional(axis, "axis", context) ?? -2;
  return DFT([x, length], { axis: along, inverse, onesided }, context);
};
DFT_20.facts = facts({
  mixes: along((_, __, [, , axis]) => [numbersOf(axis)[0] ?? -2, -1]),
  note: "a product with a constant matrix",
});

/**
 * The Fourier transforms of windowed frames of signal [batch, time] or [batch, time, 1 or 2]: [batch, frames,
 * frequencies, 2].
 */
export function STFT(
  [signal, step, window, frameLength]: Inputs,
  { onesided = 1 }: { onesided?: number },
  context: OperatorContext,
): Value {
  const given = toTensor(signal!);
  const x = given.rank === 2 ? tf.reshape(given, [...given.shape, 1]) : given;
  const [batch, time, channels] = x.shape as [number, number, number];
  const length = optional(frameLength, "frame_length", context) ?? (window ? dimsOf(window)[0]! : time);
  const hop = toNumbers(step, "frame_step", context)[0]!;
  const frames = 1 + Math.floor((time - length) / hop);
  const places = Int32Array.from(
    { length: frames * length },
    (_, i) => Math.floor(i / length) * hop + (i % length),
  );
  const framed = tf.reshape(gather(x, tf.tensor1d(places, "int32"), 1), [batch, frames, length, channels]);
  const weighed = window ? tf.mul(framed, tf.reshape(toTensor(window), [length, 1])) : framed;
  return transformed(weighed, 2, length, false, onesided !== 0);
}
STFT.facts = facts({ mixes: alongAxesAfter(0), note: "a product with a constant matrix" });
