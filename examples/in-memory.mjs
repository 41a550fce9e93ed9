// A model and its data in memory, the new model as bytes: nothing is read from or written to a disk on the
// way. Here the bytes come from files of the repository; yours may come from a database, an upload or a
// network.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { open, openSource } from "onnx-unlearn";

const digits = new URL("../models/digits/", import.meta.url);
const bytes = readFileSync(new URL("digits.onnx", digits));

/**
 * Arrays of all samples together, row-major, the first axis counting samples: images uint8 [N, 1, 8, 8],
 * classes [N].
 * @param {string} name
 */
async function arraysOf(name) {
  const source = await openSource(fileURLToPath(new URL(`digits-${name}.npz`, digits)), name);
  const arrays = await source.gather();
  const [images, labels] = [arrays.get("x"), arrays.get("y")];
  if (!images || !labels) throw new Error(`${name} has no images or no labels`);
  return {
    input: { data: Uint8Array.from(images.data), dims: images.dims },
    y: { data: Int32Array.from(labels.data), dims: labels.dims },
  };
}

const opened = await open(
  bytes,
  { forget: await arraysOf("forget"), retain: await arraysOf("retain"), test: await arraysOf("test") },
  { preprocessing: { scale: 16, mean: [0.5], std: [0.5] }, seed: 0, threads: 1 },
);
const candidate = await opened.unlearn({ budget: "0.5pp", options: { batchSize: 64 } });

// The verified file: keep it, send it, or open it once more.
const { before, after } = candidate.document;
/** @param {number | null | undefined} share a fraction of samples */
const percent = (share) => `${(100 * (share ?? Number.NaN)).toFixed(1)} %`;
console.log(`the new model has ${candidate.bytes.length} bytes, the old one ${bytes.length}`);
console.log(
  `accuracy on what it forgot: ${percent(before.forgetAccuracy)} -> ${percent(after.forgetAccuracy)}`,
);
console.log(`accuracy on unseen digits: ${percent(before.testAccuracy)} -> ${percent(after.testAccuracy)}`);
