import pkg from "onnx-proto";
import * as ort from "../../src/runtime.ts";

const { onnx } = pkg;

/** The machine's own matrix-product rate in FLOP/s: the best of some 1024³ products in ONNX Runtime. */
export async function matmulRate(threads: number): Promise<number> {
  const n = 1024;
  const info = (name: string) => ({
    name,
    type: { tensorType: { elemType: 1, shape: { dim: [{ dimValue: n }, { dimValue: n }] } } },
  });
  const session = await ort.InferenceSession.create(
    onnx.ModelProto.encode({
      irVersion: 8,
      opsetImport: [{ domain: "", version: 17 }],
      graph: {
        name: "product",
        node: [{ opType: "MatMul", input: ["a", "b"], output: ["y"] }],
        input: [info("a"), info("b")],
        output: [info("y")],
      },
    }).finish(),
    { intraOpNumThreads: threads },
  );
  const square = () =>
    new ort.Tensor(
      "float32",
      Float32Array.from({ length: n * n }, (_, i) => (i % 17) / 17 - 0.5),
      [n, n],
    );
  const feeds = { a: square(), b: square() };
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 12; i++) {
    const started = performance.now();
    await session.run(feeds);
    best = Math.min(best, (performance.now() - started) / 1000);
  }
  await session.release();
  return (2 * n ** 3) / best;
}
