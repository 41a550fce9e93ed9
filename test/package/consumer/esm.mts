// A program that imports the package: compiled strictly, with the declarations checked too, and not run.
import {
  type Candidate,
  type Case,
  type Comparison,
  compare,
  DEFAULT_OPTIONS,
  type ForgetObjective,
  type GateReport,
  judge,
  type LedgerEntry,
  type Method,
  type MethodDefinition,
  OnnxUnlearnError,
  open,
  pointsOf,
  readGates,
  type SetInput,
  type Source,
  type SweepDocument,
  sweep,
  tf,
  type UnlearnOptions,
  type Verdict,
} from "onnx-unlearn";

/** float [N, C], int32 [N] -> float [N] */
export const hinge = (logits: tf.Tensor, targets: tf.Tensor): tf.Tensor => {
  const label = tf.oneHot(tf.cast(targets, "int32"), logits.shape[1] ?? 0);
  return tf.relu(tf.sub(tf.sum(tf.mul(logits, label), 1), tf.max(logits, 1)));
};

const objective: ForgetObjective = { perSample: hinge, loggable: false };
/** Both losses at once, without a dual variable. */
export const own: MethodDefinition = {
  name: "own",
  uses: { forget: true, retain: true },
  objective,
  losses: [({ forget, retain }): tf.Tensor => tf.add(forget, retain)],
};

const method: Method = DEFAULT_OPTIONS.batchSize > 64 ? "eupmu-fast" : "eupmu";
const options: Partial<UnlearnOptions> = { method, forgetObjective: objective, epochs: 3 };

async function* batches() {
  yield { x: { data: new Float32Array(64), dims: [1, 1, 8, 8] }, y: { data: Int32Array.of(3), dims: [1] } };
}
const source: Source = {
  name: "mine",
  count: 1,
  columns: [{ name: "y", kind: "integer", shape: [] }],
  gather: () => new Map([["y", { kind: "integer" as const, data: Int32Array.of(1), dims: [1] }]]),
};
const forget: SetInput = batches();

export async function release(model: Uint8Array, signal: AbortSignal): Promise<Uint8Array | GateReport | null> {
  const opened: Case = await open(model, { forget, retain: source }, { seed: 1 });
  const candidate: Candidate = await opened.unlearn(
    { budget: "0.5pp", options },
    { signal, onStep: ({ step, entry }) => console.log(step, entry satisfies LedgerEntry) },
  );
  const comparison: Comparison = await compare(opened, candidate.model);
  const verdict: Verdict = judge(comparison, readGates({ metrics: { testAccuracy: { maxDrop: "1pp" } } }));
  return verdict.passed ? candidate.bytes : verdict.gates;
}

export const front = (folder: string): Promise<SweepDocument> =>
  sweep({ model: "m.onnx", forget, retain: "retain.npz", folder, points: pointsOf(["scrub"], "budget", ["1pp"], [0]) });

export function statusOf(error: unknown): number {
  return error instanceof OnnxUnlearnError ? error.exitCode : 70;
}

// The types are not `any`.
// @ts-expect-error a budget is text
export const wrongBudget = (opened: Case) => opened.unlearn({ budget: 0.5 });
// @ts-expect-error there is no such method
export const wrongMethod: Method = "eupmu-slow";
// @ts-expect-error a loss is a tensor
export const wrongTensor: tf.Tensor = "text";
// @ts-expect-error a sum takes a tensor
export const wrongSum = () => tf.sum(new Date());
