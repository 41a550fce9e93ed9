import { defineConfig } from "vitest/config";

export default defineConfig({
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
