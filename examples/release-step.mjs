// The release step from code: open, unlearn, compare with the shipped file and with a retrained reference,
// judge by gates, and put the new file in place only where they hold. The exit status is 0 or 1, as of
// `onnx-unlearn run`.
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { compare, judge, open, openModel, readGates } from "onnx-unlearn";

const digits = new URL("../models/digits/", import.meta.url);
/** @param {string} name */
const file = (name) => fileURLToPath(new URL(name, digits));
const out = join(mkdtempSync(join(tmpdir(), "onnx-unlearn-release-")), "scrubbed.onnx");

const opened = await open(
  file("digits.onnx"),
  {
    forget: file("digits-forget.npz"),
    retain: file("digits-retain.npz"),
    test: file("digits-test.npz"),
  },
  { preprocessing: { scale: 16, mean: [0.5], std: [0.5] }, seed: 0, threads: 1 },
);
const candidate = await opened.unlearn({ budget: "0.5pp", options: { batchSize: 64 } });

const reference = openModel(file("digits-retrained.onnx"));
const comparison = await compare(opened, candidate.model, { reference });
const rules = readGates({
  metrics: { testAccuracy: { maxDrop: "1pp" }, averageGap: { max: 0.05 } },
  structure: { identical: true },
});
const { passed, gates } = judge(comparison, rules);
for (const { status, name, sentence } of gates?.checks ?? []) console.log(`${status}: ${name}, ${sentence}`);

if (passed) await candidate.commit(out);
else await candidate.reject(out);
console.log(
  passed ? "the new file is in place" : "the old file stays; the new one lies beside it as .rejected",
);
if (!passed) process.exitCode = 1;
