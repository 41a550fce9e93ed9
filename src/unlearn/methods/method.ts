import type { StepFunction, Tensors } from "../../../converters/compile/step.ts";
import { tf } from "../../../converters/tf.ts";
import {
  counts,
  type ForgetObjective,
  forgetObjective,
  logLoss,
  ownTargets,
  sideLoss,
} from "../objectives.ts";
import { clipByGlobalNorm, type OptimizerState, optimizerOf, type Weights } from "../optimizer.ts";
import { dualRules } from "../surgery.ts";
import type { UnlearnOptions } from "../types.ts";

export type StepOptions = Pick<
  UnlearnOptions,
  | "dual"
  | "beta"
  | "lambda"
  | "optimizer"
  | "momentum"
  | "weightDecay"
  | "clipNorm"
  | "forgetObjective"
  | "loss"
  | "settings"
>;

export interface MethodContext {
  /** Trainable weights and model inputs → logits [N, C]. */
  readonly apply: (weights: Weights, inputs: Tensors) => tf.Tensor;
  /** Names of the trainable weights. */
  readonly trainable: readonly string[];
  readonly options: StepOptions;
  /** Set where the batch is cut into parts; undefined: one pass over the whole batch. */
  readonly pass?: Pass;
  /**
   * Retained samples stand in the first rows of a batch, in no batch in more than so many: what looks at their loss alone
   * leaves out the other rows. undefined: they may stand anywhere.
   */
  readonly retainRows?: number;
}

/**
 * One pass of a step over a batch in parts (METHOD section 3, gradient accumulation), see accumulate.ts. `gradients`: over one part, with what the other parts
 * add to both losses as `restForget` and `restRetain` in the batch; nothing moves. `update`: over no samples, with the losses `forget` and `retain` of the whole batch,
 * its gradients `g0:<weight>`, `g1:<weight>` … and the retain loss `retainAfter` at the new weights.
 * Both have the sample counts of the whole batch as `nForget` and `nRetain`.
 */
export type Pass =
  | { readonly kind: "gradients"; readonly parts: number; readonly found: (gradients: Weights) => void }
  | { readonly kind: "update"; readonly measuresRise: () => void };

/** A number that belongs to one method. */
export interface Setting {
  readonly value: number;
  readonly minimum: number;
  readonly maximum: number;
  readonly what: string;
}

/**
 * One way to unlearn, as a step over a batch. The batch holds `x:<input>`, `labels` (int32 [N], or float [N, C] for losses on vectors),
 * `forgetMask` and `retainMask` float [N], the scalars `lr`, `epsilon` and `progress` (share of the run done), `teacher` float [N, C] where the method has one,
 * and `mask:<weight>` bool where only part of the weights may change. The carry holds `p:<weight>`, `<slot>:<weight>`, `optimizer:<name>`, `dual:<name>`.
 * Results are float scalars: forgetLoss, retainLoss (means over their own samples), hasForget, hasRetain, lambda,
 * and, where measured, rise with hasRise.
 */
export interface MethodDefinition {
  /** Which samples its batches are drawn from. */
  readonly uses: { readonly forget: boolean; readonly retain: boolean };
  /** `mixed` (default): batches of the shuffled union; `forget-then-retain`: two passes an epoch, see `forgetEpochs`. */
  readonly batches?: "mixed" | "forget-then-retain";
  /** Logits that stand beside each sample: of the start model, or of a ruined one on the forget samples. */
  readonly teacher?: "start" | "ruined-on-forget";
  /** Share of the weights that may change, where the method has its own. */
  readonly saliency?: number;
  readonly settings?: Readonly<Record<string, Setting>>;
  /** Backward passes of a step; undefined = 1. */
  readonly gradients?: number;
  /** Whether a step looks at the retain loss once more, at the new weights. */
  readonly measuresRise?: boolean;
  /** Whether `forgetObjective` may be chosen. */
  readonly choosesObjective: boolean;
  readonly objective: (options: StepOptions) => ForgetObjective;
  /** Start values of the scalars it carries, without the `dual:` prefix. */
  readonly dual: (options: StepOptions) => Readonly<Record<string, number>>;
  readonly step: (context: MethodContext) => StepFunction;
}

export const chosenObjective = (options: StepOptions): ForgetObjective =>
  forgetObjective(options.forgetObjective ?? "random-label", options.loss ?? "cross-entropy");

/** The value of a method's own setting: the given one or its default. */
export const settingOf = (
  settings: Readonly<Record<string, Setting>>,
  options: StepOptions,
  name: string,
): number => options.settings?.[name] ?? settings[name]!.value;

const under = (tensors: Tensors, prefix: string): Record<string, tf.Tensor> =>
  Object.fromEntries(
    Object.entries(tensors)
      .filter(([key]) => key.startsWith(prefix))
      .map(([key, tensor]) => [key.slice(prefix.length), tensor]),
  );

const prefixed = (tensors: Tensors, prefix: string): Record<string, tf.Tensor> =>
  Object.fromEntries(Object.entries(tensors).map(([key, tensor]) => [prefix + key, tensor]));

/** What an objective is made of, at some weights. */
export interface SideLosses {
  /** Each: mean over its own samples × its share of the batch. */
  readonly forget: tf.Scalar;
  readonly retain: tf.Scalar;
  /** Each: mean over its own samples; 0 without any. */
  readonly forgetMean: tf.Scalar;
  readonly retainMean: tf.Scalar;
  readonly logits: tf.Tensor;
  readonly weights: Weights;
  /** Mean over one side's samples, or over all of them, of something else measured per sample. */
  readonly mean: (over: "forget" | "retain" | "all", perSample: tf.Tensor) => tf.Scalar;
}

/** What every method's step works with; made anew for each call. */
export function stepTools(
  { apply, trainable, options, pass, retainRows }: MethodContext,
  objective: ForgetObjective,
) {
  const optimizer = optimizerOf(options);
  const utility = ownTargets(options.loss ?? "cross-entropy");
  return (carry: Tensors, batch: Tensors) => {
    const weights = Object.fromEntries(trainable.map((name) => [name, carry[`p:${name}`]!]));
    const dual = under(carry, "dual:");
    const inputs = under(batch, "x:");
    const masks = under(batch, "mask:");
    const labels = batch.labels!;
    const lr = batch.lr!;
    const epsilon = batch.epsilon!;
    const { nForget, nRetain, n, hasForget, hasRetain } = counts(batch);
    const mean: SideLosses["mean"] = (over, perSample) =>
      over === "forget"
        ? sideLoss(perSample, batch.forgetMask!, tf.maximum(nForget, 1))
        : over === "retain"
          ? sideLoss(perSample, batch.retainMask!, tf.maximum(nRetain, 1))
          : sideLoss(perSample, tf.add(batch.forgetMask!, batch.retainMask!), n);

    const measure = (at: Weights): SideLosses => {
      const logits = apply(at, inputs);
      // The value is the whole batch's, the gradient this part's: summed over the parts it is that of any function of both losses.
      const whole = (part: tf.Scalar, rest: tf.Tensor | undefined) =>
        (rest ? tf.add(part, rest) : part) as tf.Scalar;
      const forgetEach = objective.perSample(logits, labels);
      // One tensor where both sides have the same loss: the gradient then passes it once.
      const retainEach =
        objective.perSample === utility.perSample ? forgetEach : utility.perSample(logits, labels);
      const forget = whole(sideLoss(forgetEach, batch.forgetMask!, n), batch.restForget);
      const retain = whole(sideLoss(retainEach, batch.retainMask!, n), batch.restRetain);
      return {
        forget,
        retain,
        forgetMean: tf.div(tf.mul(forget, n), tf.maximum(nForget, 1)),
        retainMean: tf.div(tf.mul(retain, n), tf.maximum(nRetain, 1)),
        logits,
        weights: at,
        mean,
      };
    };

    /** One forward and one backward pass; the side losses at the present weights come along. */
    let passes = 0;
    const backward = (objectiveOf: (sides: SideLosses) => tf.Tensor) => {
      if (pass?.kind === "update")
        return {
          sides: { forget: batch.forget as tf.Scalar, retain: batch.retain as tf.Scalar },
          gradients: under(batch, `g${passes++}:`),
        };
      let seen: { readonly forget: tf.Scalar; readonly retain: tf.Scalar } | undefined;
      const { grads } = tf.valueAndGrads((...values: tf.Tensor[]) => {
        const sides = measure(Object.fromEntries(trainable.map((name, i) => [name, values[i]!])));
        seen = { forget: tf.keep(sides.forget), retain: tf.keep(sides.retain) };
        return objectiveOf(sides) as tf.Scalar;
      })(trainable.map((name) => weights[name]!));
      const kept = seen!;
      // Out of `keep` and back under the surrounding tidy.
      const sides = { forget: kept.forget.clone(), retain: kept.retain.clone() };
      tf.dispose([kept.forget, kept.retain]);
      const gradients = Object.fromEntries(trainable.map((name, i) => [name, grads[i]!]));
      if (pass?.kind === "gradients") pass.found(gradients);
      return { sides, gradients };
    };

    const state: OptimizerState = {
      slots: Object.fromEntries(optimizer.slots.map((slot) => [slot, under(carry, `${slot}:`)])),
      scalars: under(carry, "optimizer:"),
    };
    /** Clips, moves, and puts back what the mask keeps: a masked weight does not change by a bit, not even by decay. */
    const descend = (gradients: Weights): { readonly state: OptimizerState; readonly weights: Weights } => {
      if (pass?.kind === "gradients") return { state, weights };
      const masked = Object.fromEntries(
        Object.entries(gradients).map(([name, g]) => [
          name,
          masks[name] ? tf.where(masks[name]!, g, tf.zerosLike(g)) : g,
        ]),
      );
      const clipped = options.clipNorm === undefined ? masked : clipByGlobalNorm(masked, options.clipNorm);
      const moved = optimizer.update(clipped, state, weights, lr);
      return {
        state: moved.state,
        weights: Object.fromEntries(
          Object.entries(moved.weights).map(([name, w]) => [
            name,
            masks[name] ? tf.where(masks[name]!, w, weights[name]!) : w,
          ]),
        ),
      };
    };

    /** The retain loss alone, of this batch. */
    const retainLossAt = (at: Weights): tf.Scalar => {
      if (retainRows === undefined) return measure(at).retain;
      const head = (tensor: tf.Tensor) => tf.slice(tensor, 0, retainRows);
      const logits = apply(
        at,
        Object.fromEntries(Object.entries(inputs).map(([name, x]) => [name, head(x)])),
      );
      return sideLoss(utility.perSample(logits, head(labels)), head(batch.retainMask!), n);
    };

    /** Log ratio of the utility loss after to before, on this batch; 0 without retained samples. */
    const measureRise = (after: Weights, before: { readonly retain: tf.Scalar }): tf.Tensor => {
      if (pass?.kind === "gradients") return tf.scalar(0);
      if (pass) pass.measuresRise();
      const retain = pass ? (batch.retainAfter as tf.Scalar) : retainLossAt(after);
      return tf.mul(tf.sub(logLoss(retain), logLoss(before.retain)), hasRetain);
    };

    const moveDual = (error: tf.Tensor, moved: tf.Tensor) =>
      dualRules[options.dual].update(dual, error, moved, options.beta);

    const finish = (
      next: { readonly weights: Weights; readonly state: OptimizerState },
      sides: { readonly forget: tf.Scalar; readonly retain: tf.Scalar },
      extra: { readonly lambda?: tf.Tensor; readonly rise?: tf.Tensor; readonly hasRise?: tf.Tensor } = {},
      nextDual: Tensors = {},
    ) => ({
      carry: {
        ...prefixed(next.weights, "p:"),
        ...Object.assign(
          {},
          ...Object.entries(next.state.slots).map(([slot, tensors]) => prefixed(tensors, `${slot}:`)),
        ),
        ...prefixed(next.state.scalars, "optimizer:"),
        ...prefixed(nextDual, "dual:"),
      } as Tensors,
      results: {
        forgetLoss: tf.div(tf.mul(sides.forget, n), tf.maximum(nForget, 1)),
        retainLoss: tf.div(tf.mul(sides.retain, n), tf.maximum(nRetain, 1)),
        hasForget,
        hasRetain,
        lambda: tf.scalar(0),
        ...extra,
      },
    });

    return {
      dual,
      weights,
      lr,
      epsilon,
      hasForget,
      hasRetain,
      progress: batch.progress!,
      /** Of what is added in every part and belongs to no sample. */
      share: pass?.kind === "gradients" ? 1 / pass.parts : 1,
      measure,
      teacher: batch.teacher,
      backward,
      descend,
      measureRise,
      moveDual,
      finish,
    };
  };
}

/** ⟨a, b⟩ over all weights together. */
export const inner = (a: Weights, b: Weights): tf.Tensor =>
  Object.keys(a)
    .map((name): tf.Tensor => tf.sum(tf.mul(a[name]!, b[name]!)))
    .reduce((sum, term) => tf.add(sum, term));

/** a + factor·b, weight by weight. */
export const plus = (a: Weights, b: Weights, factor: tf.Tensor): Weights =>
  Object.fromEntries(Object.keys(a).map((name) => [name, tf.add(a[name]!, tf.mul(b[name]!, factor))]));

/** Starting scalars of the chosen dual rule. */
export const startDual = (options: StepOptions, lambda: number) =>
  dualRules[options.dual].init(options.lambda ?? lambda);

/** The forget loss as it enters a logged objective: logged only where the objective allows it. */
export const maybeLogged = (objective: ForgetObjective, loss: tf.Tensor): tf.Tensor =>
  objective.loggable ? logLoss(loss) : loss;

/** A baseline without surgery: one backward pass of a plain sum. */
export const plainMethod = (
  definition: Pick<
    MethodDefinition,
    "uses" | "objective" | "batches" | "teacher" | "saliency" | "settings"
  > & {
    readonly total: (
      sides: SideLosses,
      given: {
        readonly setting: (name: string) => number;
        readonly progress: tf.Tensor;
        readonly teacher: tf.Tensor | undefined;
        /** Weight of a term that belongs to no sample, in one part of a batch. */
        readonly share: number;
      },
    ) => tf.Tensor;
  },
): MethodDefinition => {
  const { total, ...rest } = definition;
  return {
    ...rest,
    choosesObjective: false,
    dual: () => ({}),
    step: (context) => {
      const tools = stepTools(context, definition.objective(context.options));
      const setting = (name: string) => settingOf(definition.settings ?? {}, context.options, name);
      return (carry, batch) => {
        const { backward, descend, finish, progress, teacher, share } = tools(carry, batch);
        const { sides, gradients } = backward((at) => total(at, { setting, progress, teacher, share }));
        return finish(descend(gradients), sides);
      };
    },
  };
};
