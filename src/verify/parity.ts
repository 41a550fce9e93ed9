import { verificationFailed } from "../../converters/errors.ts";
import { importModel } from "../../converters/import/graph.ts";
import type { ImportOptions } from "../../converters/import/model.ts";
import { loadModelFile } from "../../converters/onnx/read.ts";
import { firstSamples } from "../data/sets.ts";
import { getEngine } from "../engine/index.ts";
import { predict, throughHead } from "../evaluate/predict.ts";
import type { Dataset } from "../unlearn/types.ts";

export interface Parity {
  /** Largest |a − b| over all outputs of all samples; null where the file hands out labels only. */
  readonly maxAbsDiff: number | null;
  readonly samples: number;
  readonly reason?: string;
}

/** Largest |a − b| allowed between ONNX Runtime on the file and the trained graph, by the weights' element type. */
export const parityTolerance = (dtypes: readonly string[], largest: number): number =>
  (dtypes.some((d) => d === "float16" || d === "bfloat16") ? 1e-2 : 1e-4) * Math.max(1, largest);

/** Enough to meet every code path of the graph, few enough to cost nothing beside training. */
const SAMPLES = 32;

/**
 * Runs the file in ONNX Runtime and the graph imported from the same file (so with rounded weights) on the first samples
 * of a set, and compares what comes out of the file's head.
 * @throws verificationFailed PARITY (exit 4)
 */
export async function checkParity(
  file: string,
  options: ImportOptions,
  set: Dataset,
  threads?: number,
): Promise<Parity> {
  const written = importModel(loadModelFile(file), options);
  const part = firstSamples(set, SAMPLES);
  const samples = part.count;
  const wanted = await predict(file, part, { ...written, threads });
  const { outputKind } = written.head;
  if (outputKind === "labels")
    return {
      maxAbsDiff: null,
      samples,
      reason: "the file hands out labels only, there is nothing to compare",
    };
  const inputsOf = (prefix: string) => written.inputs.map(({ name }) => [`${prefix}${name}`, name] as const);
  const engine = await getEngine("onnxruntime");
  const runner = await engine.prepare(
    (carry, batch) => ({
      carry,
      results: {
        logits: written.apply(
          carry,
          Object.fromEntries(inputsOf("x:").map(([key, name]) => [name, batch[key]!])),
        ),
      },
    }),
    Object.fromEntries(
      written.parameters
        .filter((p) => p.trainable)
        .map((p) => [p.name, { spec: { shape: p.dims, dtype: "float32" as const }, data: p.data }]),
    ),
    Object.fromEntries(
      inputsOf("x:").map(([key, name]) => {
        const { data, dims } = part.inputs[name]!;
        return [
          key,
          { shape: dims, dtype: data instanceof Float32Array ? ("float32" as const) : ("int32" as const) },
        ];
      }),
    ),
    { threads },
  );
  try {
    const { logits } = await runner.run(
      Object.fromEntries(inputsOf("x:").map(([key, name]) => [key, part.inputs[name]!.data])),
    );
    const ours = throughHead(logits as Float32Array, logits!.length / samples, outputKind);
    let maxAbsDiff = 0;
    let largest = 0;
    wanted.raw.forEach((v, i) => {
      const difference = Math.abs(v - ours[i]!);
      if (!(difference <= maxAbsDiff)) maxAbsDiff = difference;
      largest = Math.max(largest, Math.abs(v));
    });
    const tolerance = parityTolerance(
      written.parameters.map((p) => p.dtype),
      largest,
    );
    if (!(maxAbsDiff <= tolerance))
      throw verificationFailed(
        "PARITY",
        `ONNX Runtime's outputs on ${file} differ from the imported graph's by ${maxAbsDiff}, more than ${tolerance}; this is a defect of the importer for this model, please report it.`,
      );
    return { maxAbsDiff, samples };
  } finally {
    await runner.dispose();
  }
}
