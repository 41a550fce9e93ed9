// A sweep without the command line: the model is opened once and unlearned by two methods under two budgets.
// Callbacks tell how far it is, and Ctrl-C stops it between two steps. Runs found in the folder are not run
// again, so give it a folder that stays in place of this temporary one.
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { pointsOf, sweep } from "onnx-unlearn";

const digits = new URL("../models/digits/", import.meta.url);
/** @param {string} name */
const file = (name) => fileURLToPath(new URL(name, digits));
/** @param {number | null | undefined} share a fraction of samples */
const percent = (share) => `${(100 * (share ?? Number.NaN)).toFixed(1)} %`;
const stop = new AbortController();
process.once("SIGINT", () => stop.abort());

const { before, runs, front } = await sweep({
  model: file("digits.onnx"),
  forget: file("digits-forget.npz"),
  retain: file("digits-retain.npz"),
  validation: file("digits-test.npz"),
  preprocessing: { scale: 16, mean: [0.5], std: [0.5] },
  threads: 1,
  folder: mkdtempSync(join(tmpdir(), "onnx-unlearn-sweep-")),
  points: pointsOf(["eupmu-fast", "neggrad-plus"], "budget", ["0.2pp", "1pp"], [0]),
  settings: { goal: "gone", options: { epochs: 3, batchSize: 64 } },
  onStep: ({ step, steps }) => {
    if (process.stderr.isTTY) process.stderr.write(`\rstep ${step} of ${steps} `);
  },
  onRun: (done, all, { name, error }) => console.log(`${done} of ${all}: ${name} ${error ?? "done"}`),
  signal: stop.signal,
});

// Less accuracy on what should be forgotten and more on validation data is better: the front is what no other
// run beats.
console.log(
  `before: forget ${percent(before?.forgetAccuracy)}, validation ${percent(before?.validationAccuracy)}`,
);
for (const { name, after, onFront } of runs)
  if (after)
    console.log(
      `${name}: forget ${percent(after.forgetAccuracy)},`,
      `validation ${percent(after.validationAccuracy)}${onFront ? ", on the front" : ""}`,
    );
console.log(`${front.length} of ${runs.length} runs are on the front`);
