import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

export default defineConfig({
  // The examples import the package by its name; here that is the source.
  resolve: { alias: { "onnx-unlearn": fileURLToPath(new URL("src/index.ts", import.meta.url)) } },
  test: {
    include: ["test/**/*.test.ts"],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    pool: "forks",
    maxWorkers: 2,
    // Tests take ONNX Runtime as an oracle without going through src/runtime.ts.
    env: { ORT_DISABLE_TELEMETRY: "1" },
  },
});
