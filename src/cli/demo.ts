import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Io } from "./main.ts";
import { packageRoot } from "./package.ts";
import { unlearnCommand } from "./unlearn.ts";

/** `onnx-unlearn demo`: forgets 150 handwritten digits out of the classifier that ships with the package. */
export async function demo({ json }: { json?: boolean }, io: Io): Promise<void> {
  const digits = join(packageRoot(), "models", "digits");
  const out = join(mkdtempSync(join(tmpdir(), "onnx-unlearn-demo-")), "scrubbed.onnx");
  if (!json)
    io.out("Forgetting 150 of the 1,200 handwritten digits the shipped classifier was trained on.\n");
  await unlearnCommand(
    {
      model: join(digits, "digits.onnx"),
      forget: join(digits, "digits-forget.npz"),
      retain: join(digits, "digits-retain.npz"),
      test: join(digits, "digits-test.npz"),
      out,
      method: "eupmu",
      epsilon: -0.01,
      dual: "adam",
      epochs: 5,
      lr: 0.001,
      batchSize: 64,
      seed: 0,
      threads: 2,
      train: [],
      freeze: [],
      engine: "onnxruntime",
      scale: 16,
      mean: [0.5],
      std: [0.5],
      ...(json ? { json } : {}),
    },
    io,
  );
}
