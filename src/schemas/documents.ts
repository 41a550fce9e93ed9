import { z } from "zod";
import { ERRORS, type ErrorCode } from "../../converters/error-codes.ts";
import type { DiffDocument } from "../case/compare.ts";
import type { EvaluateDocument } from "../case/evaluate.ts";
import type { InspectDocument } from "../case/inspect.ts";
import type { UnlearnDocument } from "../case/unlearn.ts";
import {
  type MetricName,
  metricNames,
  SETS,
  type SetMetric,
  setMetrics,
  uncapitalized,
} from "../evaluate/glossary.ts";
import { gatesSchema } from "../gates/schema.ts";
import { receiptSchema } from "../release/receipt.ts";
import type { RunDocument } from "../release/run.ts";
import { pipelineSchema } from "../release/schema.ts";
import type { VerifyDocument } from "../release/verify.ts";
import type { SweepDocument } from "../sweep/sweep.ts";

// The published schemas allow further fields: later versions may add fields, but never remove or change one.

const fraction = z.number().min(0).max(1);
const count = z.number().int().min(0);
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const file = z
  .object({
    sha256,
    bytes: count,
    sideFiles: z
      .array(z.object({ name: z.string(), sha256 }))
      .meta({ description: "External data by their names in the model file." }),
  })
  .meta({ description: "Which bytes a model held." });

const pairOf = <T extends z.ZodType>(value: T) => z.object({ before: value, after: value });

const evaluation = z
  .object({
    forgetAccuracy: fraction.nullable().meta({
      description:
        "Accuracy on the forget set; UA = 1 − this. Of several labels per sample the share that is right; null for a regression.",
    }),
    retainAccuracy: fraction.nullable().meta({ description: "Accuracy on the retained set (RA)." }),
    testAccuracy: fraction
      .nullable()
      .meta({ description: "Accuracy on the test set (TA); null without --test." }),
    miaEfficacy: fraction.nullable().meta({
      description:
        "Share of the forget set that an SVM on the true label's confidence, trained on retain against test, calls non-member.",
    }),
    validationAccuracy: fraction.nullable(),
    losses: z
      .object({
        unit: z.enum(["nats", "squared error"]),
        forget: z.number(),
        retain: z.number(),
        test: z.number().nullable(),
        validation: z.number().nullable(),
      })
      .optional()
      .meta({ description: "Mean losses, where the targets are several labels or values." }),
    reason: z.string().optional().meta({ description: "Why a figure is null." }),
  })
  .meta({ description: "Measured on a model file in ONNX Runtime, as fractions." });

const gap = z
  .object({
    forgetAccuracy: fraction.nullable(),
    retainAccuracy: fraction.nullable(),
    testAccuracy: fraction.nullable(),
    miaEfficacy: fraction.nullable(),
    average: fraction.nullable(),
  })
  .meta({ description: "|metric − the same metric of the reference|, as fractions; smaller is better." });
const referenceOfPair = z.object({ model: file, metrics: evaluation, gap: pairOf(gap) }).nullable();

const change = z.number().min(-1).max(1).nullable();
const interval = z.tuple([z.number(), z.number()]).readonly();
const figure = z
  .object({
    before: z.number().nullable(),
    after: z.number().nullable(),
    reference: z.number().nullable().optional(),
    interval: z
      .object({ before: interval.optional(), after: interval.optional(), change: interval.optional() })
      .optional()
      .meta({ description: "95 % confidence intervals; change is after − before on the same samples." }),
    reason: z.string().optional().meta({ description: "Why a value is null." }),
  })
  .meta({ description: "One metric; docs/evaluation.md has the glossary." });
const leak = z.object({
  verdict: z.enum(["none found", "remembered", "over-forgotten", "not measured"]),
  sentence: z.string(),
});
const perClass = z.array(z.object({ label: count, count, before: fraction, after: fraction }));
const sets = <T extends z.ZodType>(value: T) =>
  z.object({ forget: value.optional(), retain: value.optional(), test: value.optional() });
const relearning = z.object({
  steps: count.nullable(),
  accuracy: z.array(fraction),
  measured: count,
});
const gateReport = z.object({
  verdict: z.enum(["passed", "failed"]),
  checks: z.array(
    z.object({
      name: z.string(),
      level: z.enum(["fail", "warn"]),
      status: z.enum(["passed", "failed", "warned", "skipped"]),
      value: z.number().nullable(),
      limit: z.string(),
      sentence: z.string(),
    }),
  ),
});
const figureNames = z.enum(metricNames as [MetricName, ...MetricName[]]);
const setMetricNames = z.enum(
  setMetrics.map(uncapitalized) as [Uncapitalize<SetMetric>, ...Uncapitalize<SetMetric>[]],
);

const versions = z.object({
  onnxUnlearn: z.string(),
  node: z.string(),
  onnxruntime: z.string(),
  tfjs: z.string(),
  platform: z.string(),
});
const samples = z
  .object({ forget: count, retain: count, validation: count.nullable(), test: count.nullable() })
  .meta({ description: "Samples per set; null for a set that was not given." });
const parity = z
  .object({
    maxAbsDiff: z.number().min(0).nullable(),
    samples: count,
    reason: z.string().optional(),
  })
  .meta({ description: "ONNX Runtime on the file against the imported graph with the file's weights." });
const ledgerEntry = z.object({
  step: count,
  forgetLoss: z.number().nullable(),
  retainLoss: z.number().nullable(),
  batchRise: z.number().nullable().meta({ description: "log L_r after − before, on the step's batch." }),
  validationRise: z
    .number()
    .nullable()
    .meta({ description: "Utility lost on validation data so far; null where it was not measured." }),
  epsilon: z.number(),
  lambda: z.number().min(0),
});
const budgetAmount = z.object({
  amount: z.number().min(0),
  unit: z.enum(["accuracy", "nats", "squared error"]),
});
// Figures are null for weights that are not finite, as JSON has no NaN.
const check = z.object({
  step: count,
  validationAccuracy: z.number().nullable(),
  validationLoss: z.number().nullable(),
  forgetAccuracy: z.number().nullable(),
  forgetLoss: z.number().nullable(),
  spent: z.number().nullable(),
  also: z.record(z.string(), z.number().nullable()),
  within: z.boolean(),
  forgets: z.boolean(),
  stop: z.string().optional(),
});
const guard = z.object({
  spent: z.number(),
  interval: z
    .object({ lower: z.number(), upper: z.number() })
    .meta({ description: "95 % confidence interval of spent, paired by sample." }),
  within: z.boolean(),
  forgets: z.boolean(),
  also: z.record(z.string(), pairOf(fraction)),
  total: budgetAmount.nullable(),
  validation: z.object({ samples: count, withheld: z.boolean() }),
  goal: z.enum(["unseen", "gone"]),
  minForgetting: z.union([z.number(), z.string()]),
  step: count,
  stoppedBy: z.string().nullable(),
});
const warnings = z
  .array(z.string())
  .meta({ description: "Samples that stand in two sets, a sentence for each two." });
const tensorChange = z.object({
  name: z.string(),
  dtype: z.string(),
  elements: count,
  changedElements: count,
  // Null for NaN, where an element became or stopped being finite, as JSON has no NaN.
  maxAbsChange: z.number().nullable(),
});

export const unlearnDocument = z
  .object({
    before: evaluation,
    after: evaluation,
    budget: z.object({
      epsilon: z.number().meta({ description: "ε_t per step, log-ratio units of the utility loss." }),
      steps: count,
      spent: z.number().nullable(),
      lambda: z.number(),
      guard: guard
        .nullable()
        .meta({ description: "The exported file against the budget, limits and validation data." }),
    }),
    checks: z.array(check).meta({ description: "Looks at the watched sets during the run." }),
    ledger: z.union([z.array(ledgerEntry), z.object({ file: z.string(), steps: count })]).meta({
      description: "One entry per step, or the name of the file beside the report that holds them.",
    }),
    export: z.object({ changedTensors: z.array(z.string()), changedBytes: count, parity }),
    model: pairOf(file),
    samples,
    warnings,
    timing: z.object({
      seconds: z.number().min(0),
      compileSeconds: z.number().min(0),
      steps: count,
      samplesPerSecond: z.number().min(0),
    }),
    seed: count,
    threads: count,
    options: z.object({ method: z.string(), epochs: count, lr: z.number(), batchSize: count }),
    versions,
    reference: referenceOfPair.meta({ description: "The gaps to --reference; null without one." }),
    rejected: z
      .string()
      .optional()
      .meta({ description: "Where the new file lies instead of at --out, as a gate failed." }),
    gates: gateReport.optional().meta({ description: "With --gates." }),
  })
  .meta({ title: "onnx-unlearn unlearn" });

export const evaluateDocument = z
  .object({
    model: file,
    metrics: evaluation,
    reference: z.object({ model: file, metrics: evaluation, gap }).nullable(),
    samples,
    warnings,
    versions,
  })
  .meta({ title: "onnx-unlearn evaluate" });

export const diffDocument = z
  .object({
    before: evaluation,
    after: evaluation,
    change: z
      .object({
        forgetAccuracy: change,
        retainAccuracy: change,
        testAccuracy: change,
        miaEfficacy: change,
      })
      .meta({ description: "after − before, as fractions." }),
    reference: referenceOfPair,
    structure: z.object({
      identical: z.boolean(),
      differences: z.array(z.string()),
      changedTensors: z.array(tensorChange),
    }),
    figures: z.partialRecord(figureNames, figure),
    perClass: sets(perClass),
    also: z
      .record(z.string(), z.partialRecord(setMetricNames, figure))
      .meta({ description: "Further sets by name." }),
    leak: pairOf(leak),
    curves: z.object({
      roc: pairOf(z.array(z.tuple([fraction, fraction]))).optional(),
      confidence: sets(pairOf(z.array(count))),
    }),
    weights: z.object({
      tensors: z.array(
        z.object({
          name: z.string(),
          elements: count,
          changedElements: count,
          norm: z.number(),
          changeNorm: z.number().nullable(),
          nonFinite: count,
        }),
      ),
      relative: z.number().nullable(),
    }),
    latency: z.object({
      before: z.number().min(0),
      after: z.number().min(0),
      ratio: z.number().min(0),
      rounds: count,
      batch: count,
    }),
    relearning: z
      .object({
        target: fraction,
        lr: z.number(),
        batchSize: count,
        maxSteps: count,
        after: relearning,
        reference: relearning.nullable(),
      })
      .nullable(),
    golden: z
      .object({
        maxAbsDiff: z.number().nullable(),
        samples: count,
        against: z.enum(["recorded outputs", "BEFORE"]),
      })
      .nullable(),
    shown: z
      .array(
        z.object({
          set: z.enum(SETS),
          index: count,
          label: count,
          before: z.number().int(),
          after: z.number().int(),
          thumbnail: z.string().nullable(),
        }),
      )
      .nullable()
      .meta({ description: "Samples, only with --show-samples." }),
    gates: gateReport.nullable().meta({ description: "Null without --gates." }),
    seed: count,
    model: pairOf(file),
    samples,
    warnings,
    versions,
  })
  .meta({ title: "onnx-unlearn diff" });

export const verifyDocument = z
  .object({
    verified: z.literal(true),
    changedTensors: z.array(tensorChange),
    report: z.string().nullable(),
    parity: parity.nullable(),
    receipt: z
      .object({ verdict: z.string(), reports: z.array(z.string()), data: z.array(z.string()) })
      .nullable(),
    model: pairOf(file),
    versions,
  })
  .meta({ title: "onnx-unlearn verify" });

export const runDocument = unlearnDocument
  .extend({ verdict: z.enum(["passed", "failed"]), verify: verifyDocument, diff: diffDocument })
  .meta({ title: "onnx-unlearn run" });

export const demoDocument = z
  .object({ unlearn: unlearnDocument, diff: diffDocument })
  .meta({ title: "onnx-unlearn demo" });

export const sweepDocument = z
  .object({
    before: evaluation.nullable(),
    utility: z
      .enum(["validationAccuracy", "retainAccuracy"])
      .meta({ description: "The figure that stands for utility on the front." }),
    runs: z.array(
      z.object({
        name: z.string(),
        method: z.string(),
        knob: z.enum(["epsilon", "budget"]),
        value: z.string(),
        seed: count,
        exitCode: z.number().int(),
        after: evaluation.nullable(),
        averageGap: z.number().min(0).nullable(),
        seconds: z.number().min(0).nullable(),
        model: z.string().nullable(),
        error: z.string().nullable(),
        gates: z.enum(["passed", "failed"]).nullable().meta({ description: "Null without --gates." }),
        onFront: z.boolean(),
      }),
    ),
    front: z.array(z.string()).meta({ description: "Names along the front, by falling forget accuracy." }),
    reference: evaluation.nullable(),
    versions,
  })
  .meta({ title: "onnx-unlearn sweep" });

const errorCode = z
  .enum(Object.keys(ERRORS) as ErrorCode[])
  .meta({ description: "As in docs/errors.md; later versions may add codes, never remove one." });

export const errorDocument = z
  .object({
    error: z.object({
      code: errorCode,
      message: z.string(),
      exitCode: z.number().int(),
    }),
  })
  .meta({ title: "What every command prints with --json when it fails" });

// Does not compile if the type of a document does not match its schema.
type Mutable<T> = T extends object ? { -readonly [K in keyof T]: Mutable<T[K]> } : T;
type Described<Document, Schema extends z.ZodType> = Mutable<Document> extends z.input<Schema> ? true : never;
true satisfies Described<UnlearnDocument, typeof unlearnDocument>;
true satisfies Described<EvaluateDocument, typeof evaluateDocument>;
true satisfies Described<DiffDocument, typeof diffDocument>;
true satisfies Described<SweepDocument, typeof sweepDocument>;
true satisfies Described<VerifyDocument, typeof verifyDocument>;
true satisfies Described<RunDocument, typeof runDocument>;

/** Files that users write, by the name of their schema; each is checked when it is read. */
export const inputDocuments: Readonly<Record<string, z.ZodType>> = {
  gates: gatesSchema,
  pipeline: pipelineSchema,
};

const graphValue = z.object({
  name: z.string(),
  dtype: z.string().nullable(),
  dims: z
    .array(z.union([z.number(), z.string()]).nullable())
    .nullable()
    .meta({
      description:
        "A number, the name of a free dimension, or null; null as a whole where the file says nothing.",
    }),
});
const head = z.object({ logits: z.string(), output: z.string(), outputKind: z.string() });

export const inspectDocument = z
  .object({
    trainable: z.boolean(),
    refusal: z.object({ code: errorCode, message: z.string() }).nullable(),
    producer: z.string(),
    irVersion: count,
    opsets: z.record(z.string(), z.number()),
    inputs: z.array(graphValue),
    outputs: z.array(graphValue),
    fixedBatch: count.nullable(),
    batching: z.object({ kind: z.string() }).nullable(),
    head: head.nullable(),
    classes: count.nullable(),
    logitsShape: z.array(count).nullable(),
    candidates: z.array(head),
    weights: z.object({ tensors: count, trainableTensors: count, elements: count, trainableElements: count }),
    parameters: z.array(
      z.object({
        name: z.string(),
        dims: z.array(count),
        dtype: z.string(),
        trainable: z.boolean(),
        frozenBecause: z.string().nullable(),
      }),
    ),
    operators: z.array(
      z.object({
        domain: z.string(),
        operator: z.string(),
        count,
        mark: z.enum(["trainable", "frozen", "refused"]),
        because: z.string().nullable(),
      }),
    ),
    memory: z.object({ weightsBytes: z.number(), bytesPerSample: z.number().nullable() }).nullable(),
    suggestedTrain: z.array(z.string()),
  })
  .meta({ title: "onnx-unlearn inspect" });
true satisfies Described<InspectDocument, typeof inspectDocument>;

/** Every document that the command line prints, by the name of its schema (docs/schemas/NAME.schema.json). */
export const documents: Readonly<Record<string, z.ZodType>> = {
  inspect: inspectDocument,
  unlearn: unlearnDocument,
  evaluate: evaluateDocument,
  diff: diffDocument,
  verify: verifyDocument,
  run: runDocument,
  receipt: receiptSchema,
  sweep: sweepDocument,
  demo: demoDocument,
  error: errorDocument,
};

/** The published JSON Schema (draft 2020-12) of a document. */
export const schemaText = (name: string): string =>
  `${JSON.stringify(z.toJSONSchema({ ...documents, ...inputDocuments }[name]!, { io: "input" }), null, 2)}\n`;
