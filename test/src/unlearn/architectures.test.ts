import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { importModel } from "../../../converters/importer.ts";
import { loadModelFile } from "../../../converters/onnx/read.ts";
import { DEFAULT_OPTIONS } from "../../../src/case/unlearn.ts";
import { loadDataset } from "../../../src/data/dataset.ts";
import { firstSamples } from "../../../src/data/sets.ts";
import type { Dataset } from "../../../src/data/types.ts";
import { ofClasses } from "../../../src/tasks/classification.ts";
import { train } from "../../../src/unlearn/train.ts";
import { installed } from "../engine/installed.ts";
import { fixtures, uniform } from "./harness.ts";

const root = join(import.meta.dirname, "../../..");
const shared = join(root, "../shared");
const cifar = { scale: 255, mean: [0.4914, 0.4822, 0.4465], std: [0.247, 0.2435, 0.2616] };

/** Made-up samples for a model without data of its own. */
function madeUp(dims: readonly number[], classes: number, seed: number): Dataset {
  const random = uniform(seed);
  const [count] = dims as [number];
  const data = Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, random);
  return {
    path: "made up",
    ...ofClasses(Int32Array.from({ length: count }, (_, i) => i % classes)),
    inputs: { input: { data, dims } },
  };
}

const fromFiles = (folder: string, prefix: string, how: typeof cifar) => async (path: string) => {
  const { inputs } = importModel(loadModelFile(path));
  const load = (name: string) => loadDataset(join(folder, `${prefix}-${name}.npz`), inputs, how);
  return [firstSamples(await load("forget"), 1), firstSamples(await load("retain"), 1)] as const;
};

type Pair = readonly [Dataset, Dataset];
const architectures: readonly (readonly [string, string, (path: string) => Pair | Promise<Pair>])[] = [
  [
    "digits CNN",
    join(root, "models/digits/digits.onnx"),
    fromFiles(join(root, "models/digits"), "digits", { scale: 16, mean: [0.5], std: [0.5] } as typeof cifar),
  ],
  [
    "small CNN with max pooling and stride 2",
    join(fixtures, "small.onnx"),
    () => [madeUp([1, 2, 8, 8], 5, 1), madeUp([1, 2, 8, 8], 5, 2)],
  ],
  [
    "ResNet-20, BatchNorm folded",
    join(shared, "models/cifar-resnet20.onnx"),
    fromFiles(join(shared, "data"), "cifar10", cifar),
  ],
  [
    "ResNet-20 with BatchNormalization",
    join(shared, "models/cifar-resnet20-bn.onnx"),
    fromFiles(join(shared, "data"), "cifar10", cifar),
  ],
];

const engines = await installed("onnxruntime", "tensorflow");

for (const [name, path, sets] of architectures) {
  const present = existsSync(path);
  if (!present) console.log(`skipped ${name}: there is no ${path} here`);
  test.skipIf(!present)(`${name}: one step on each engine equals the one on tfjs cpu`, async () => {
    const model = importModel(loadModelFile(path));
    const [forget, retain] = await sets(path);
    // λ₀ > 0, so that the retain gradient takes part in the one step.
    const options = {
      ...DEFAULT_OPTIONS,
      method: "eupmu",
      epochs: 1,
      batchSize: 2,
      threads: 1,
      lambda: 0.5,
    } as const;
    const reference = await train({ model, forget, retain, options: { ...options, engine: "cpu" } });
    expect(reference.steps).toBe(1);
    for (const engine of engines) {
      const result = await train({ model, forget, retain, options: { ...options, engine } });
      for (const key of ["forgetLoss", "retainLoss", "batchRise"] as const) {
        const [a, b] = [result.ledger[0]![key]!, reference.ledger[0]![key]!];
        expect(Math.abs(a - b), `${key} on ${engine}`).toBeLessThanOrEqual(
          1e-3 * Math.max(1e-2, Math.abs(b)),
        );
      }
      for (const { name: weight, data } of model.parameters.filter((p) => p.trainable)) {
        const [a, b] = [result.weights.get(weight)!, reference.weights.get(weight)!];
        const moved = Math.hypot(...Array.from(b, (v, i) => v - data[i]!));
        expect(moved, weight).toBeGreaterThan(0);
        expect(
          Math.hypot(...Array.from(b, (v, i) => v - a[i]!)) / moved,
          `${weight} on ${engine}`,
        ).toBeLessThanOrEqual(1e-3);
      }
    }
  });
}
