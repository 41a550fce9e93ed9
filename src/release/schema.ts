import { z } from "zod";
import { gatesSchema } from "../gates/schema.ts";
import type { Kind } from "../unlearn/option-kind.ts";
import {
  type NamesInSection,
  OPTION_NAMES,
  OPTIONS,
  type OptionValue,
  type Section,
  type Spelled,
  sectionOf,
  spelled,
} from "../unlearn/option-table.ts";

const path = z.string().min(1);
const positive = z.number().positive();
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

function schemaOf(kind: Kind): z.ZodType {
  switch (kind.is) {
    case "number": {
      let value = z.number();
      if (kind.minimum !== undefined) value = value.min(kind.minimum);
      if (kind.above !== undefined) value = value.gt(kind.above);
      if (kind.maximum !== undefined) value = value.max(kind.maximum);
      return kind.or === undefined ? value : z.union([value, z.literal(kind.or)]);
    }
    case "whole":
      return z.number().int().min(kind.minimum);
    case "choice":
      return z.enum(kind.of);
    case "text":
      return z.string();
    case "amount":
      return z.union([z.number(), z.string()]);
    case "list":
      return z.array(z.string());
    case "map":
      return z.record(z.string(), kind.of === "number" ? z.number() : z.string());
    case "flag":
      return z.boolean();
  }
}

/** The options in one part of the file, by their keys; defaults are filled in by `resolveOptions`. */
type OptionShape<S extends Section> = {
  readonly [N in NamesInSection<S> as Spelled<N, "key">]: z.ZodOptional<z.ZodType<OptionValue<N>>>;
};
const optionShape = <S extends Section>(section: S): OptionShape<S> =>
  Object.fromEntries(
    OPTION_NAMES.filter((name) => sectionOf(name) === section).map((name) => {
      const { kind, what, default: value, underBudget } = OPTIONS[name];
      const shown = value === undefined || underBudget !== undefined ? {} : { default: value };
      return [
        spelled(name, "key"),
        schemaOf(kind)
          .optional()
          .meta({ description: what, ...shown }),
      ];
    }),
  ) as OptionShape<S>;

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
    ...optionShape("top"),
    unlearn: z.strictObject(optionShape("unlearn")).default({}),
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
