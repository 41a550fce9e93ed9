import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { readTests } from "../../bench/node-tests/archive.ts";
import { runTests } from "../../bench/node-tests/run.ts";
import { share, summary } from "../../bench/node-tests/table.ts";

// The stored outputs come from ONNX's own reference, so they are an independent account of every operator.
describe.each([
  { name: "onnx-node-tests", least: 0.85 },
  { name: "onnx-pytorch-tests", least: 0.85 },
])("$name", ({ name, least }) => {
  const archive = resolve(`../shared/${name}.tar.gz`);
  const present = existsSync(archive);
  if (!present) console.log(`skipped: no archive of operator tests at ${archive}`);

  test.skipIf(!present)(
    `at least ${100 * least} % of the tests on float32, bool, int32 and int64 pass on cpu and compiled`,
    { timeout: 600_000 },
    async () => {
      const results = await runTests(readTests(archive));
      console.log(`${name}: ${summary(results)}`);
      expect(share(results)).toBeGreaterThanOrEqual(least);
    },
  );
});
