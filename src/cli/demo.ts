import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Command } from "commander";
import { packageRoot } from "../package.ts";
import { type Io, printJson } from "./io.ts";

export const defineDemo = (command: Command, io: Io): Command =>
  command
    .option("--json", "print one JSON document on stdout")
    .action((flags: { readonly json?: boolean }) => demo(flags, io));

/** A mislabelled batch went into training and was learnt by heart: the shipped classifier forgets it. */
async function demo({ json }: { readonly json?: boolean }, io: Io): Promise<void> {
  const digits = join(packageRoot(), "models", "digits");
  const model = join(digits, "digits.onnx");
  const out = join(mkdtempSync(join(tmpdir(), "onnx-unlearn-demo-")), "scrubbed.onnx");
  const sets = {
    forget: join(digits, "digits-forget.npz"),
    retain: join(digits, "digits-retain.npz"),
    test: join(digits, "digits-test.npz"),
    preprocessing: { scale: 16, mean: [0.5], std: [0.5] },
  };
  if (!json)
    io.out(
      "150 of the 1,200 handwritten digits this classifier was trained on carried a wrong label, and it learnt them by heart.\n" +
        "It now forgets them and may lose at most half a point of accuracy on validation data; the reference was retrained without\nthem and is only measured.\n",
    );
  const [{ runUnlearn, printUnlearn }, { printDiff }, { diff }] = await Promise.all([
    import("./unlearn.ts"),
    import("./diff.ts"),
    import("../case/diff.ts"),
  ]);
  const options = { batchSize: 64, seed: 0, threads: 2 };
  const unlearned = await runUnlearn({ ...sets, model, out, budget: "0.5pp", options }, io);
  const document = await diff({
    ...sets,
    before: model,
    after: out,
    reference: join(digits, "digits-retrained.onnx"),
    threads: options.threads,
  });
  if (json) return printJson(io, { unlearn: unlearned, diff: document });
  await printUnlearn(unlearned, out, io);
  io.out("\nAgainst the retrained reference (smaller gaps are better):\n");
  await printDiff(document, io);
}
