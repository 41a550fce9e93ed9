import type { TensorSpec } from "../../converters/compile/step.ts";
import { tf } from "../../converters/tf.ts";
import type { Arrays, Engine, NumberArray, PrepareOptions, Runner } from "../engine/engine.ts";
import { type MethodContext, type MethodDefinition, type Pass, stepTools } from "./methods/method.ts";

/** Entries of a batch that hold one row per sample. */
const isPerSample = (key: string) =>
  key.startsWith("x:") || ["labels", "forgetMask", "retainMask", "teacher"].includes(key);

const SCALAR: TensorSpec = { shape: [], dtype: "float32" };
const scalar = (value: number) => Float32Array.of(value);
const prefixed = (prefix: string, names: readonly string[], of: (name: string) => TensorSpec) =>
  Object.fromEntries(names.map((name) => [`${prefix}${name}`, of(name)]));

/** Rows `from` … of every entry that has some; rows beyond the end repeat the first one and are left out by both masks. */
function part(batch: Arrays, rows: number, whole: number, from: number): Record<string, NumberArray> {
  const cut: Record<string, NumberArray> = {};
  for (const [key, values] of Object.entries(batch)) {
    if (!isPerSample(key)) continue;
    const width = values.length / whole;
    const out = new (values.constructor as new (length: number) => NumberArray)(rows * width);
    for (let row = 0; row < rows; row++) {
      const valid = from + row < whole;
      const at = valid ? from + row : 0;
      if (valid || !key.endsWith("Mask")) out.set(values.subarray(at * width, (at + 1) * width), row * width);
    }
    cut[key] = out;
  }
  return cut;
}

/**
 * A method's step over batches that are too large for the graph: gradient accumulation, equal to the step over the whole batch (METHOD section 3). The losses of all
 * parts are known before the first gradient is taken, so logarithms and ratios are those of the whole batch. Per step: a forward pass over every part, a
 * forward and backward pass over every part, the update, and, where the method measures the rise, a forward pass over every part at the new weights.
 * @param carry and batch as of the whole step; the batch with `rows` in place of its own number of samples
 * @param whole samples of a whole batch
 */
export async function prepareAccumulated(
  engine: Engine,
  method: MethodDefinition,
  context: MethodContext,
  carry: Readonly<Record<string, { readonly spec: TensorSpec; readonly data: NumberArray }>>,
  batch: Readonly<Record<string, TensorSpec>>,
  whole: number,
  options: PrepareOptions,
): Promise<Runner> {
  const rows = batch["forgetMask"]!.shape[0]!;
  const starts = Array.from({ length: Math.ceil(whole / rows) }, (_, i) => i * rows);
  const { trainable } = context;
  const objective = method.objective(context.options);
  const specOf = (name: string) => carry[`p:${name}`]!.spec;
  const weights = prefixed("p:", trainable, specOf);
  const held = (keep: (key: string) => boolean) =>
    Object.fromEntries(Object.entries(batch).filter(([key]) => keep(key)));
  const samples = { ...held(isPerSample), nForget: SCALAR, nRetain: SCALAR };
  const rest = held((key) => !isPerSample(key));
  const dual = Object.fromEntries(
    Object.keys(carry)
      .filter((key) => key.startsWith("dual:"))
      .map((key) => [key, SCALAR]),
  );

  const opened: Runner[] = [];
  const open = async (...given: Parameters<Engine["prepare"]>) => {
    const runner = await engine.prepare(...given);
    opened.push(runner);
    return runner;
  };
  const dispose = async () => {
    for (const runner of opened) await runner.dispose();
  };
  try {
    const forward = await open(
      (_, given) => {
        const { forget, retain } = stepTools(context, objective)(given, {
          ...given,
          lr: tf.scalar(0),
          epsilon: tf.scalar(0),
          progress: tf.scalar(0),
        }).measure(Object.fromEntries(trainable.map((name) => [name, given[`p:${name}`]!])));
        return { carry: {}, results: { forget, retain } };
      },
      {},
      { ...samples, ...weights },
      options,
    );
    const sets = method.gradients ?? 1;
    const gradientSpecs = Object.assign(
      {},
      ...Array.from({ length: sets }, (_, i) => prefixed(`g${i}:`, trainable, specOf)),
    ) as Record<string, TensorSpec>;
    const zeros = Object.fromEntries(
      Object.entries(gradientSpecs).map(([key, { shape }]) => [
        key,
        new Float32Array(shape.reduce((a, b) => a * b, 1)),
      ]),
    );
    const backward = await open(
      (sums, given) => {
        const found: Readonly<Record<string, tf.Tensor>>[] = [];
        const pass: Pass = { kind: "gradients", parts: starts.length, found: (g) => found.push(g) };
        method.step({ ...context, pass })(given, given);
        return {
          carry: Object.fromEntries(
            Object.keys(gradientSpecs).map((key) => {
              const [, i, name] = /^g(\d+):(.*)$/s.exec(key)!;
              return [key, tf.add(sums[key]!, found[Number(i)]![name!]!)];
            }),
          ),
          results: {},
        };
      },
      Object.fromEntries(
        Object.entries(gradientSpecs).map(([key, spec]) => [key, { spec, data: zeros[key]! }]),
      ),
      {
        ...samples,
        ...weights,
        ...dual,
        ...held((key) => ["lr", "epsilon", "progress"].includes(key)),
        restForget: SCALAR,
        restRetain: SCALAR,
      },
      options,
    );
    let risesMeasured = false;
    const update = await open(
      (state, given) =>
        method.step({
          ...context,
          pass: {
            kind: "update",
            measuresRise: () => {
              risesMeasured = true;
            },
          },
        })(state, given),
      carry,
      {
        ...rest,
        ...gradientSpecs,
        ...{ nForget: SCALAR, nRetain: SCALAR, forget: SCALAR, retain: SCALAR, retainAfter: SCALAR },
      },
      options,
    );

    const underP = (state: Arrays) =>
      Object.fromEntries(trainable.map((name) => [`p:${name}`, state[`p:${name}`]!]));
    return {
      compileSeconds: opened.reduce((sum, { compileSeconds }) => sum + compileSeconds, 0),
      async run(given) {
        const parts = starts.map((from) => part(given, rows, whole, from));
        const sum = (values: NumberArray) => Array.from(values).reduce((a, b) => a + b, 0);
        const counted = {
          nForget: scalar(sum(given["forgetMask"]!)),
          nRetain: scalar(sum(given["retainMask"]!)),
        };
        const others = Object.fromEntries(Object.entries(given).filter(([key]) => !isPerSample(key)));
        const losses = async (at: Arrays, of = parts) => {
          const each: { readonly forget: number; readonly retain: number }[] = [];
          for (const samples of of) {
            const { forget, retain } = await forward.run({ ...samples, ...counted, ...at });
            each.push({ forget: forget![0]!, retain: retain![0]! });
          }
          return {
            each,
            forget: each.reduce((total, { forget }) => total + forget, 0),
            retain: each.reduce((total, { retain }) => total + retain, 0),
          };
        };
        const state = await update.read();
        const before = await losses(underP(state));
        await backward.write(zeros);
        for (const [i, samples] of parts.entries())
          await backward.run({
            ...samples,
            ...counted,
            ...underP(state),
            ...Object.fromEntries(Object.keys(dual).map((key) => [key, state[key]!])),
            ...Object.fromEntries(["lr", "epsilon", "progress"].map((key) => [key, others[key]!])),
            restForget: scalar(before.forget - before.each[i]!.forget),
            restRetain: scalar(before.retain - before.each[i]!.retain),
          });
        const whatMoves = {
          ...others,
          ...counted,
          ...(await backward.read()),
          forget: scalar(before.forget),
          retain: scalar(before.retain),
        };
        const moved = await update.run({ ...whatMoves, retainAfter: scalar(before.retain) });
        if (!risesMeasured) return moved;
        // The rise is that at the new weights: the same update once more, now that it is known.
        const retained = parts.filter(({ retainMask }) => sum(retainMask!) > 0);
        const after = await losses(underP(await update.read()), retained);
        await update.write(state);
        return update.run({ ...whatMoves, retainAfter: scalar(after.retain) });
      },
      read: () => update.read(),
      write: (state) => update.write(state),
      dispose,
    };
  } catch (error) {
    await dispose();
    throw error;
  }
}
