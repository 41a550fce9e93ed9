import { verificationFailed } from "../../converters/errors.ts";
import type { ImportOptions, TrainableModel } from "../../converters/import/model.ts";
import { importModel } from "../../converters/importer.ts";
import { firstSamples } from "../data/sets.ts";
import type { Dataset } from "../data/types.ts";
import { getEngine } from "../engine/index.ts";
import { predict } from "../evaluate/predict.ts";
import { withPrefix } from "../prepare/frozen-prefix.ts";

/** How far ONNX Runtime on the exported file and the trained graph lie apart. */
export interface Parity {
  /** Largest |a − b| over all outputs of all samples; null where the file hands out labels only. */
  readonly maxAbsDiff: number | null;
  readonly samples: number;
  readonly reason?: string;
}

/**
 * Largest |a − b| allowed between ONNX Runtime on the file and the trained graph, by the weights' element
 * type.
 */
export const parityTolerance = (dtypes: readonly string[], largest: number): number =>
  (dtypes.some((d) => d === "float16" || d === "bfloat16") ? 1e-2 : 1e-4) * Math.max(1, largest);

/** Share of samples on which a quantised file and its graph must decide alike. */
const SAME_DECISIONS = 0.99;

/** Whether activations or weights are rounded to a grid on the way. */
const isQuantised = ({ source, parameters }: TrainableModel): boolean =>
  parameters.some(({ dtype }) => /^u?int/.test(dtype)) ||
  source.graph.nodes.some(({ opType }) => /QuantizeLinear|^QLinear|Integer$/.test(opType));

/**
 * Share of rows whose largest entry is at the same place; of single numbers, those on the same side of one
 * half.
 */
function agreement(a: ArrayLike<number>, b: ArrayLike<number>, rows: number): number {
  const width = b.length / rows;
  const decision = (values: ArrayLike<number>, row: number) => {
    if (width === 1) return Number(values[row]! > 0.5);
    let best = row * width;
    for (let i = best; i < (row + 1) * width; i++) if (values[i]! > values[best]!) best = i;
    return best - row * width;
  };
  let same = 0;
  for (let row = 0; row < rows; row++) same += Number(decision(a, row) === decision(b, row));
  return same / rows;
}

/** Enough to meet every code path of the graph, few enough to cost nothing beside training. */
const SAMPLES = 32;

/**
 * Compares ONNX Runtime on a file with the graph imported from the same file (so with rounded weights), on
 * the first samples of a set, by what
 * comes out of the file's head.
 * @param written imported from the file
 * @param answered the file's output on the set, where it is known: [N, units] row-major
 * @throws verificationFailed PARITY (exit 4)
 */
export async function checkParity(
  written: TrainableModel,
  options: ImportOptions,
  set: Dataset,
  threads?: number,
  answered?: Float32Array,
): Promise<Parity> {
  const { source } = written;
  const file = source.path ?? "the new file";
  const part = await withPrefix(written, firstSamples(set, SAMPLES));
  const samples = part.count;
  const { outputKind } = written.head;
  if (outputKind === "labels")
    return {
      maxAbsDiff: null,
      samples,
      reason: "the file hands out labels only, there is nothing to compare",
    };
  const raw = answered ?? (await predict(written, part, { threads })).raw;
  const wanted = raw.subarray(0, (raw.length / (answered ? set.count : samples)) * samples);
  // The output itself: what follows the logits is then compared too.
  const { logits, output: shown } = written.head;
  const seen = logits === shown ? written : importModel(source, { ...options, logits: shown });
  const inputsOf = (prefix: string) => seen.stepInputs.map(({ name }) => [`${prefix}${name}`, name] as const);
  const engine = await getEngine("onnxruntime");
  const runner = await engine.prepare(
    (carry, batch) => ({
      carry,
      results: {
        output: seen.forward(
          carry,
          Object.fromEntries(inputsOf("x:").map(([key, name]) => [name, batch[key]!])),
        ),
      },
    }),
    Object.fromEntries(
      seen.parameters
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
    const { output } = await runner.run(
      Object.fromEntries(inputsOf("x:").map(([key, name]) => [key, part.inputs[name]!.data])),
    );
    const ours = output as Float32Array;
    let maxAbsDiff = 0;
    let largest = 0;
    wanted.forEach((v, i) => {
      const difference = Math.abs(v - ours[i]!);
      if (!(difference <= maxAbsDiff)) maxAbsDiff = difference;
      largest = Math.max(largest, Math.abs(v));
    });
    if (isQuantised(written)) {
      // A tie that rounds the other way moves an activation by a whole step of its grid: the decisions are
      // compared.
      const same = agreement(ours, wanted, samples);
      if (same < SAME_DECISIONS)
        throw verificationFailed(
          "PARITY",
          `ONNX Runtime decides otherwise than the imported graph on ${Math.round((1 - same) * samples)} of ${samples} samples of ${file}; this is a defect of the importer for this model, please report it.`,
        );
      return {
        maxAbsDiff,
        samples,
        reason: `quantised: the same decision on ${Math.round(same * samples)} samples`,
      };
    }
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
