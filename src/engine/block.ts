import { NCHWC } from "../../converters/compile/graph-builder.ts";
import { onnx } from "../../converters/onnx/proto.ts";
import * as ort from "../runtime.ts";

const CHANNELS = 64;
let probed: Promise<number> | undefined;

/**
 * Channels per block of ONNX Runtime's blocked convolution layout (NCHWc) on this machine: 8 with AVX2, 16
 * with AVX-512, 0 if it has none. Probed once per process, as ONNX Runtime does not report it. It must be
 * right: a graph compiled for another number runs without error, but computes wrong values.
 */
export const blockSize = (): Promise<number> => {
  probed ??= probe();
  return probed;
};

async function probe(): Promise<number> {
  const info = (name: string) => ({
    name,
    type: { tensorType: { elemType: 1, shape: { dim: [1, CHANNELS, 1, 2].map((d) => ({ dimValue: d })) } } },
  });
  const bytes = onnx.ModelProto.encode({
    irVersion: 8,
    opsetImport: [
      { domain: "", version: 21 },
      { domain: NCHWC, version: 1 },
    ],
    graph: {
      name: "probe",
      node: [{ opType: "ReorderInput", domain: NCHWC, input: ["x"], output: ["y"] }],
      input: [info("x")],
      output: [info("y")],
    },
  }).finish();
  try {
    const session = await ort.InferenceSession.create(bytes, { logSeverityLevel: 4, intraOpNumThreads: 1 });
    const x = Float32Array.from({ length: 2 * CHANNELS }, (_, i) => i);
    const { y } = await session.run({ x: new ort.Tensor("float32", x, [1, CHANNELS, 1, 2]) });
    await session.release();
    const out = y!.data as Float32Array;
    // x holds 2·channel + pixel. In blocked order, the value 1 (channel 0, pixel 1) comes after pixel 0 of
    // the first `block` channels, so its index is the block size.
    const block = out.indexOf(1);
    const ordered = out.every((v, i) => {
      const [pixel, channel] = [Math.floor(i / block) % 2, Math.floor(i / (2 * block)) * block + (i % block)];
      return v === 2 * channel + pixel;
    });
    return block > 1 && ordered ? block : 0;
  } catch {
    return 0;
  }
}
