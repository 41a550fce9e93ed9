import { z } from "zod";
import { gatesSchema } from "../gates/schema.ts";
import {
  EPSILON_SCHEDULES,
  FORGET_OBJECTIVES,
  GOALS,
  LEARNING_RATE_SCHEDULES,
  LOSSES,
  METHODS,
  OPTIMIZERS,
} from "../unlearn/types.ts";

const path = z.string().min(1);
const positive = z.number().positive();
const count = z.number().int().min(0);
const numbers = z.union([z.number().transform((value) => [value]), z.array(z.number()).min(1)]);

const data = z.strictObject({
  forget: path.meta({ description: "Samples to forget (.npz)." }),
  retain: path.meta({ description: "Samples to keep." }),
  test: path.optional().meta({ description: "Samples the model never saw; only measured." }),
  validation: path.optional().meta({ description: "Samples that choices may look at." }),
  also: z.record(z.string(), path).optional().meta({ description: "Further sets by name." }),
  scale: positive.default(1).meta({ description: "x' = (x / scale − mean) / std" }),
  mean: numbers.default([0]),
  std: numbers.default([1]),
});

/** The options of `onnx-unlearn unlearn`, by the names they have there. */
const unlearn = z.strictObject({
  method: z.enum(METHODS).optional(),
  budget: z.string().optional(),
  minForgetting: z.union([z.number(), z.string()]).optional(),
  goal: z.enum(GOALS).optional(),
  limits: z.record(z.string(), z.string()).optional(),
  stopWhen: z.array(z.string()).optional(),
  epsilon: z.number().optional(),
  epsilonSchedule: z.enum(EPSILON_SCHEDULES).optional(),
  dual: z.enum(["adam", "ascent"]).optional(),
  beta: positive.optional(),
  lambda: z.number().optional(),
  objective: z.enum(FORGET_OBJECTIVES).optional(),
  loss: z.enum(LOSSES).optional(),
  optimizer: z.enum(OPTIMIZERS).optional(),
  momentum: z.number().optional(),
  weightDecay: z.number().optional(),
  schedule: z.enum(LEARNING_RATE_SCHEDULES).optional(),
  warmup: z.number().optional(),
  clipNorm: positive.optional(),
  saliency: positive.optional(),
  settings: z.record(z.string(), z.number()).optional(),
  epochs: count.optional(),
  lr: z.union([positive, z.literal("auto")]).optional(),
  batchSize: count.min(1).optional(),
  engine: z.enum(["onnxruntime", "tensorflow", "cpu"]).optional(),
  train: z.array(z.string()).optional(),
  freeze: z.array(z.string()).optional(),
  allowOverlap: z.boolean().optional(),
});

const reports = z.strictObject({
  json: path.default("report.json").meta({ description: "The record; the others are views of it." }),
  html: path.optional(),
  markdown: path.optional(),
  junit: path.optional(),
  showSamples: z
    .boolean()
    .default(false)
    .meta({ description: "Ids and thumbnails of samples in the reports." }),
});

/** A pipeline file: unlearn, verify, compare, judge, report, as one step. Paths are relative to the file. */
export const pipelineSchema = z
  .strictObject({
    model: path.meta({ description: "The shipped model; never touched." }),
    out: path.meta({ description: "The scrubbed model." }),
    data,
    reference: path.optional().meta({ description: "A model retrained without the forget set." }),
    shadow: path.optional().meta({ description: "A folder of shadow models." }),
    relearn: z.boolean().default(false),
    logits: z.string().optional(),
    seed: count.default(0),
    threads: count.min(1).optional(),
    unlearn: unlearn.default({}),
    gates: z.union([path, gatesSchema]).optional().meta({ description: "A gates file, or its content." }),
    reports: reports.prefault({}),
    receipt: z
      .strictObject({
        file: path.default("receipt.json"),
        key: path.optional().meta({
          description:
            "A file with the secret under which data records are named; made where it does not exist. Without it the receipt names no data.",
        }),
      })
      .prefault({}),
  })
  .meta({ title: "onnx-unlearn pipeline file" });
export type Pipeline = z.infer<typeof pipelineSchema>;
