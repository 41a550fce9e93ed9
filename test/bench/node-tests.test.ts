import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { expect, test } from "vitest";
import { readTests } from "../../bench/node-tests/archive.ts";
import { runTests } from "../../bench/node-tests/run.ts";
import { share, summary } from "../../bench/node-tests/table.ts";

// The stored outputs come from ONNX's own reference, so they are an independent account of every operator.
const archive = resolve("../shared/onnx-node-tests.tar.gz");
const present = existsSync(archive);
if (!present) console.log(`skipped: no archive of ONNX's operator tests at ${archive}`);

test.skipIf(!present)(
  "at least 85 % of ONNX's own tests on float32, bool, int32 and int64 pass on cpu and compiled",
  { timeout: 600_000 },
  async () => {
    const results = await runTests(readTests(archive));
    console.log(summary(results));
    expect(share(results)).toBeGreaterThanOrEqual(0.85);
  },
);
