import { notTrainable } from "../../errors.ts";
import { tf } from "../../tf.ts";
import { type OperatorFacts, repeated, unlessBatchIn } from "../operator.ts";
import { type Inputs, isHost, type OperatorContext, toTensor, type Value } from "../value.ts";

interface RecurrentAttributes {
  readonly activations?: readonly string[];
  readonly activation_alpha?: readonly number[];
  readonly activation_beta?: readonly number[];
  readonly clip?: number;
  readonly direction?: string;
  readonly hidden_size?: number;
  readonly layout?: number;
}

type Activation = (x: tf.Tensor) => tf.Tensor;
const scaled = (x: tf.Tensor, factor: number) => (factor === 1 ? x : tf.mul(x, tf.scalar(factor)));

/** Activations by name, with ONNX's default alpha and beta; undefined where the function takes none. */
const ACTIVATIONS: Readonly<
  Record<
    string,
    { alpha?: number; beta?: number; of: (x: tf.Tensor, alpha: number, beta: number) => tf.Tensor }
  >
> = {
  sigmoid: { of: tf.sigmoid },
  tanh: { of: tf.tanh },
  relu: { of: tf.relu },
  softsign: { of: (x) => tf.div(x, tf.add(tf.abs(x), tf.scalar(1))) },
  softplus: { of: tf.softplus },
  affine: { alpha: 1, beta: 0, of: (x, a, b) => tf.add(scaled(x, a), tf.scalar(b)) },
  leakyrelu: { alpha: 0.01, of: (x, a) => tf.sub(tf.relu(x), scaled(tf.relu(tf.neg(x)), a)) },
  elu: {
    alpha: 1,
    of: (x, a) => tf.add(tf.relu(x), scaled(tf.sub(tf.exp(tf.neg(tf.relu(tf.neg(x)))), tf.scalar(1)), a)),
  },
  thresholdedrelu: { alpha: 1, of: (x, a) => tf.mul(x, tf.cast(tf.greater(x, tf.scalar(a)), "float32")) },
  scaledtanh: { alpha: 1, beta: 1, of: (x, a, b) => scaled(tf.tanh(scaled(x, b)), a) },
  hardsigmoid: {
    alpha: 0.2,
    beta: 0.5,
    of: (x, a, b) => clamped(tf.add(scaled(x, a), tf.scalar(b)), 0, 1),
  },
};
const clamped = (x: tf.Tensor, low: number, high: number) =>
  tf.minimum(tf.maximum(x, tf.scalar(low)), tf.scalar(high));

/**
 * The activations of all directions in order. The lists of alpha and beta have entries only for activations
 * that use them.
 */
function activationsOf(
  { activations, activation_alpha = [], activation_beta = [] }: RecurrentAttributes,
  defaults: readonly string[],
  directions: number,
  where: string,
): Activation[] {
  const names = activations ?? Array.from({ length: directions }, () => defaults).flat();
  let [a, b] = [0, 0];
  return names.map((name) => {
    const found = ACTIVATIONS[name.toLowerCase()];
    if (!found)
      throw notTrainable("ACTIVATION_UNKNOWN", `${where}: the activation "${name}" is not one of ONNX's.`);
    const alpha = found.alpha === undefined ? 0 : (activation_alpha[a++] ?? found.alpha);
    const beta = found.beta === undefined ? 0 : (activation_beta[b++] ?? found.beta);
    return (x) => found.of(x, alpha, beta);
  });
}

/**
 * One time step: maps the parts of the projected input [batch, widths[i] · hidden] and the states to the new
 * states, hidden state first.
 */
type Cell = (projected: readonly tf.Tensor[], states: readonly tf.Tensor[]) => tf.Tensor[];
/** The parameters of a cell in one direction. */
interface Direction {
  /** [gates·hidden, hidden] */
  readonly recurrence: tf.Tensor;
  /** [gates·hidden]; the input's own bias is already in the projection. */
  readonly bias: tf.Tensor | undefined;
  readonly peephole: tf.Tensor | undefined;
  readonly activations: readonly Activation[];
  readonly hidden: number;
  /** Clips the input of an activation. */
  readonly bound: Activation;
}

/** The slices along the first axis. With a single slice tfjs's gradient of unstack fails. */
const rows = (x: tf.Tensor): tf.Tensor[] =>
  x.shape[0] === 1 ? [tf.reshape(x, x.shape.slice(1))] : tf.unstack(x);
/** Splits the last axis into these widths: unlike slices, its gradient is a single concatenation. */
const split = (x: tf.Tensor, widths: readonly number[]): tf.Tensor[] =>
  widths.length === 1 ? [x] : tf.split(x, [...widths], x.rank - 1);

/**
 * Runs a cell over time, unrolled, in one or both directions.
 * Inputs X [time, batch, input], W [directions, gates·hidden, input], R, B, sequence_lens, initial states;
 * outputs Y, then the last states. With layout 1 the batch comes first. After the end of a sequence its state
 * stays and its outputs are zero.
 */
function recurrent(
  [x, w, r, b, lengths, ...rest]: Inputs,
  attributes: RecurrentAttributes,
  context: OperatorContext,
  spec: {
    /** Number of gates in each part of the projected input; the parts are cut once for all steps. */
    readonly widths: readonly number[];
    readonly states: number;
    readonly defaults: readonly string[];
    readonly cell: (direction: Direction) => Cell;
    /** Whether the recurrence's bias can be added to the input's before the loop over time. */
    readonly joinsBias: boolean;
  },
): Value[] {
  const { clip, direction = "forward", layout = 0 } = attributes;
  const batchFirst = (t: tf.Tensor) => (layout === 0 ? t : tf.transpose(t, [1, 0, 2]));
  const input = batchFirst(toTensor(x!));
  const [time, batch, width] = input.shape as [number, number, number];
  const [weights, recurrence] = [toTensor(w!), toTensor(r!)];
  const [directions, height] = weights.shape as [number, number];
  const hidden = height / spec.widths.reduce((a, b) => a + b, 0);
  const activations = activationsOf(attributes, spec.defaults, directions, context.where);
  const bound: Activation = clip === undefined ? (t) => t : (t) => clamped(t, -clip, clip);
  const [initial, peepholes] = [rest.slice(0, spec.states), rest[spec.states]];

  const ragged = lengths && !(isHost(lengths) && lengths.array.data.every((n) => n >= time));
  const limit = ragged ? tf.reshape(tf.cast(toTensor(lengths), "int32"), [batch, 1]) : undefined;

  const each = (v: Value | undefined) => v && rows(toTensor(v));
  const [weightOf, recurrenceOf] = [rows(weights), rows(recurrence)];
  const [biasOf, peepholeOf] = [each(b), each(peepholes)];
  const initialOf = initial.map((given) => given && rows(batchFirst(toTensor(given))));

  const perDirection = Array.from({ length: directions }, (_, d) => {
    const [ofInput, ofState] = biasOf ? split(biasOf[d]!, [height, height]) : [];
    const flat = tf.reshape(input, [time * batch, width]);
    const product = tf.matMul(flat as tf.Tensor2D, weightOf[d] as tf.Tensor2D, false, true);
    const added = spec.joinsBias && ofInput && ofState ? tf.add(ofInput, ofState) : ofInput;
    const projected = tf.reshape(added ? tf.add(product, added) : product, [time, batch, height]);
    const steps = split(
      projected,
      spec.widths.map((w) => w * hidden),
    ).map(rows);
    const cell = spec.cell({
      recurrence: recurrenceOf[d]!,
      bias: spec.joinsBias ? undefined : ofState,
      peephole: peepholeOf?.[d],
      activations: activations.slice(d * spec.defaults.length, (d + 1) * spec.defaults.length),
      hidden,
      bound,
    });
    let states: tf.Tensor[] = Array.from({ length: spec.states }, (_v, s) => {
      return initialOf[s]?.[d] ?? tf.zeros([batch, hidden]);
    });
    const backward = direction === "reverse" || d === 1;
    const outputs = new Array<tf.Tensor>(time);
    for (let step = 0; step < time; step++) {
      const t = backward ? time - 1 - step : step;
      const next = cell(
        steps.map((part) => part[t]!),
        states,
      );
      if (limit) {
        const alive = tf.cast(tf.less(tf.scalar(t, "int32"), limit), "float32");
        const old = states;
        states = next.map((s, i) => tf.add(old[i]!, tf.mul(alive, tf.sub(s, old[i]!))));
        outputs[t] = tf.mul(alive, next[0]!);
      } else {
        states = next;
        outputs[t] = next[0]!;
      }
    }
    return { outputs, states };
  });

  const y = tf.stack(
    Array.from({ length: time }, (_, t) => tf.stack(perDirection.map(({ outputs }) => outputs[t]!))),
  );
  const last = Array.from({ length: spec.states }, (_, s) =>
    batchFirst(tf.stack(perDirection.map(({ states }) => states[s]!))),
  );
  return [layout === 0 ? y : tf.transpose(y, [2, 0, 1, 3]), ...last];
}

/** @param states indices of the initial states, which exporters write for one sample */
const unrolled = (states: readonly number[]): OperatorFacts => ({
  // X, sequence_lens and the states hold the batch; the weights do not.
  mixes: (node) => {
    const at = Number(node.attributes["layout"] ?? 0) ? 0 : 1;
    return unlessBatchIn(at, -1, -1, -1, 0, at, at)(node);
  },
  rebatch: (batch) => {
    const { node, inputs, axisOf } = batch;
    if ((axisOf(0) ?? -1) < 0) return inputs;
    const at = Number(node.attributes["layout"] ?? 0) ? 0 : 1;
    return inputs.map((value, i) =>
      value && states.includes(i) && axisOf(i) === -1 ? repeated(value, at, batch) : value,
    );
  },
  note: "unrolled over the steps of the sequence",
});

const times = (state: tf.Tensor, weights: tf.Tensor) =>
  tf.matMul(state as tf.Tensor2D, weights as tf.Tensor2D, false, true);

/** H′ = f(X Wᵀ + H Rᵀ + biases) */
export const RNN = (inputs: Inputs, attributes: RecurrentAttributes, context: OperatorContext): Value[] =>
  recurrent(inputs, attributes, context, {
    widths: [1],
    states: 1,
    defaults: ["Tanh"],
    joinsBias: true,
    cell:
      ({ recurrence, activations: [f], bound }) =>
      ([projected], [h]) => [f!(bound(tf.add(projected!, times(h!, recurrence))))],
  });
RNN.facts = unrolled([5]);

/**
 * z, r = f(…); h̃ = g(X Wₕᵀ + (r ∘ H) Rₕᵀ + …), or with linear_before_reset r ∘ (H Rₕᵀ + bias); H′ = (1 − z)
 * h̃ + z H
 */
export const GRU = (
  inputs: Inputs,
  { linear_before_reset = 0, ...attributes }: RecurrentAttributes & { linear_before_reset?: number },
  context: OperatorContext,
): Value[] =>
  recurrent(inputs, attributes, context, {
    widths: [2, 1],
    states: 1,
    defaults: ["Sigmoid", "Tanh"],
    joinsBias: linear_before_reset === 0,
    cell: ({ recurrence, bias, activations: [f, g], hidden, bound }) => {
      const [both, candidate] = tf.split(recurrence, [2 * hidden, hidden]) as [tf.Tensor, tf.Tensor];
      const [gateBias, candidateBias] = bias ? split(bias, [2 * hidden, hidden]) : [];
      const biased = (x: tf.Tensor, by: tf.Tensor | undefined) => (by ? tf.add(x, by) : x);
      return ([gates, proposal], [h]) => {
        const open = f!(bound(tf.add(gates!, biased(times(h!, both), gateBias))));
        const [update, reset] = split(open, [hidden, hidden]) as [tf.Tensor, tf.Tensor];
        const recurrentPart = linear_before_reset
          ? tf.mul(reset, biased(times(h!, candidate), candidateBias))
          : times(tf.mul(reset, h!), candidate);
        const proposed = g!(bound(tf.add(proposal!, recurrentPart)));
        return [tf.add(proposed, tf.mul(update, tf.sub(h!, proposed)))];
      };
    },
  });
GRU.facts = unrolled([5]);

/** i, o, f = f(… + P ∘ C); C′ = f C + i g(…); H′ = o h(C′). Gates in the order i, o, f, c. */
export const LSTM = (
  inputs: Inputs,
  { input_forget = 0, ...attributes }: RecurrentAttributes & { input_forget?: number },
  context: OperatorContext,
): Value[] =>
  recurrent(inputs, attributes, context, {
    widths: [4],
    states: 2,
    defaults: ["Sigmoid", "Tanh", "Tanh"],
    joinsBias: true,
    cell: ({ recurrence, peephole, activations: [f, g, h], hidden, bound }) => {
      const three = [hidden, hidden, hidden];
      const [ofInput, ofOutput, ofForget] = peephole ? split(peephole, three) : [];
      const peeked = (gate: tf.Tensor, by: tf.Tensor | undefined, cell: tf.Tensor) =>
        f!(bound(by ? tf.add(gate, tf.mul(by, cell)) : gate));
      return ([projected], [state, memory]) => {
        const sum = tf.add(projected!, times(state!, recurrence));
        const [gates, proposal] = split(sum, [3 * hidden, hidden]) as [tf.Tensor, tf.Tensor];
        // Without peepholes, the three gates take one activation call.
        const [i, o, forgotten] = split(peephole ? gates : f!(bound(gates)), three) as [
          tf.Tensor,
          tf.Tensor,
          tf.Tensor,
        ];
        const input = peephole ? peeked(i, ofInput, memory!) : i;
        const kept = peephole ? peeked(forgotten, ofForget, memory!) : forgotten;
        const forget = input_forget ? tf.sub(tf.scalar(1), input) : kept;
        const next = tf.add(tf.mul(forget, memory!), tf.mul(input, g!(bound(proposal))));
        return [tf.mul(peephole ? peeked(o, ofOutput, next) : o, h!(next)), next];
      };
    },
  });
LSTM.facts = unrolled([5, 6]);
