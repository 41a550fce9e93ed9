import { z } from "zod";
import { metricNames, setMetrics, uncapitalized } from "../evaluate/glossary.ts";
import { distance } from "./limit.ts";

const level = z
  .enum(["fail", "warn"])
  .default("fail")
  .meta({ description: "warn: shown, but the verdict stands." });
const allowSkipped = z.boolean().optional().meta({ description: "This check may stay unmeasured." });

/** Limits of one metric; each one that is present must hold. */
export const rule = z.strictObject({
  min: z.number().optional().meta({ description: "AFTER's value is at least this." }),
  max: z.number().optional().meta({ description: "AFTER's value is at most this." }),
  maxDrop: distance.optional().meta({ description: "AFTER lies at most this far below BEFORE." }),
  maxRise: distance.optional().meta({ description: "AFTER lies at most this far above BEFORE." }),
  maxGap: distance.optional().meta({ description: "AFTER lies at most this far from the reference." }),
  level,
  allowSkipped,
});
export type Rule = z.infer<typeof rule>;

const classRule = z.strictObject({
  min: z.number().optional(),
  maxDrop: distance.optional(),
  minSamples: z
    .number()
    .int()
    .min(1)
    .default(1)
    .meta({ description: "Classes with fewer samples in the set are left out." }),
  level,
  allowSkipped,
});

const golden = z.strictObject({
  samples: z.string().meta({
    description:
      "A file like the data files, relative to this file; an array named like the model's output holds the wanted outputs, else BEFORE's are.",
  }),
  tolerance: z.number().min(0).meta({ description: "Largest allowed |difference| of any output." }),
  level,
  allowSkipped,
});

const structure = z.strictObject({
  identical: z.literal(true).optional().meta({
    description: "Same inputs, outputs, nodes, opset, metadata: all but the values of float weights.",
  }),
  onlyTensors: z
    .array(z.string())
    .optional()
    .meta({ description: "Globs; no other tensor may have changed." }),
  golden: golden.optional(),
  level,
});

const oneOf = <T extends z.ZodType>(names: readonly string[], value: T) =>
  z.strictObject(Object.fromEntries(names.map((name) => [name, value.optional()])));

/** A gates file. */
export const gatesSchema = z
  .strictObject({
    metrics: oneOf(metricNames, rule)
      .optional()
      .meta({ description: "By the metric's name in the JSON report." }),
    perClass: oneOf(["forget", "retain", "test"], classRule)
      .optional()
      .meta({ description: "Accuracy of every class of a set." }),
    also: z
      .record(z.string(), oneOf(setMetrics.map(uncapitalized), rule))
      .optional()
      .meta({ description: "Further sets by the name given to --also." }),
    structure: structure.optional(),
    latency: z
      .strictObject({
        maxRatio: z
          .number()
          .positive()
          .meta({ description: "AFTER's time over BEFORE's, measured in turn." }),
        level,
      })
      .optional(),
    allowSkipped: z
      .boolean()
      .default(false)
      .meta({ description: "Checks that could not run do not fail the verdict." }),
  })
  .meta({ title: "onnx-unlearn gates file" });
/** Gates with every default filled in. */
export type Gates = z.infer<typeof gatesSchema>;
/** Gates as a user writes them, in a file or as a value; docs/schemas/gates.schema.json lists every key. */
export type WrittenGates = z.input<typeof gatesSchema>;
