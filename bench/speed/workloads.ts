import { mlp, mobilenet, resnet, transformer } from "./models.ts";

/** One row of the table: a training step on synthetic samples. */
export interface Workload {
  readonly name: string;
  readonly model: () => Uint8Array;
  /** Shape of one sample. */
  readonly sample: readonly number[];
  readonly batch: number;
  /** Globs over parameter names; the peer always trains everything. */
  readonly train?: readonly string[];
  /** tfjs `cpu` is measured beside it (minutes per step on the larger ones). */
  readonly tfjs?: boolean;
}

/**
 * A frozen prefix is computed once per sample, so its cost per step depends on the number of epochs: here
 * this many.
 */
export const EPOCHS = 3;

const IMAGE = [3, 32, 32];

export const workloads: Readonly<Record<string, Workload>> = {
  mlp: { name: "MLP 784-512-10, batch 128", model: mlp, sample: [784], batch: 128, tfjs: true },
  resnet18: {
    name: "ResNet-18 widths, 3×32×32, batch 32",
    model: () => resnet([64, 128, 256, 512], 2),
    sample: IMAGE,
    batch: 32,
  },
  resnet20: {
    name: "ResNet-20, 3×32×32, batch 128",
    model: () => resnet([16, 32, 64], 3),
    sample: IMAGE,
    batch: 128,
  },
  "resnet20-bn": {
    name: "ResNet-20 with BatchNormalization, batch 128",
    model: () => resnet([16, 32, 64], 3, true),
    sample: IMAGE,
    batch: 128,
  },
  mobilenet: {
    name: "MobileNetV2-style, 3×96×96, batch 32",
    model: mobilenet,
    sample: [3, 96, 96],
    batch: 32,
  },
  transformer: {
    name: "transformer encoder 2×128, sequence 64, batch 64",
    model: () => transformer(),
    sample: [64, 128],
    batch: 64,
  },
  "resnet20-last": {
    name: `ResNet-20, last stage trained, prefix once in ${EPOCHS} epochs, batch 128`,
    model: () => resnet([16, 32, 64], 3),
    sample: IMAGE,
    batch: 128,
    train: ["layer3.*", "fc.*"],
  },
};

/** The same network at one and at four blocks per stage: does cost grow with depth, and with nothing else? */
export const depths: Readonly<Record<"shallow" | "deep", Workload>> = {
  shallow: {
    name: "ResNet-8, batch 64",
    model: () => resnet([16, 32, 64], 1),
    sample: IMAGE,
    batch: 64,
  },
  deep: {
    name: "ResNet-26, batch 64",
    model: () => resnet([16, 32, 64], 4),
    sample: IMAGE,
    batch: 64,
  },
};
