import { existsSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { badInput } from "../../converters/errors.ts";
import type { Output } from "../../converters/export/outputs.ts";
import { rejectedPlace } from "../case/unlearn.ts";
import type { Preprocessing } from "../data/dataset.ts";
import { type GateSettings, readGates } from "../gates/read.ts";
import { readSettings } from "../gates/settings.ts";
import type { ViewPaths } from "../report/views.ts";
import { requestOptions } from "../unlearn/option-table.ts";
import type { UnlearnOptions } from "../unlearn/types.ts";
import { type Pipeline, pipelineSchema } from "./schema.ts";
import type { UnlearnRequest } from "./unlearn.ts";

/** Paths of the data files. */
interface PlanSets {
  readonly forget: string;
  readonly retain: string;
  readonly test: string | undefined;
  readonly validation: string | undefined;
  readonly also: Readonly<Record<string, string>>;
  readonly preprocessing: Preprocessing;
}

/** A pipeline file with its paths resolved and its gates read. */
export interface Plan {
  readonly file: string;
  readonly model: string;
  readonly out: string;
  readonly sets: PlanSets;
  readonly unlearn: UnlearnRequest;
  readonly reference: string | undefined;
  readonly shadow: string | undefined;
  readonly relearn: boolean;
  readonly gates: GateSettings | undefined;
  /** The gates file, where there is one. */
  readonly gatesFile: string | undefined;
  readonly report: string;
  readonly views: ViewPaths;
  readonly showSamples: boolean;
  readonly receipt: { readonly file: string; readonly key: string | undefined };
}

const withoutUndefined = <T extends object>(value: T): T =>
  Object.fromEntries(Object.entries(value).filter(([, v]) => v !== undefined)) as T;

/** The request of a pipeline file: its files, and the options of the table wherever they stand. */
function unlearnRequest(pipeline: Pipeline, at: (path: string) => string, sets: PlanSets): UnlearnRequest {
  const { unlearn, ...top } = pipeline;
  const options = requestOptions({ ...top, ...unlearn }, "key");
  return {
    ...sets,
    ...(unlearn.loss === undefined ? {} : { loss: unlearn.loss }),
    ...options,
    model: at(pipeline.model),
    out: at(pipeline.out),
  };
}

/**
 * Reads a pipeline file.
 * @throws badInput for a wrong file or a missing input
 */
export function readPlan(path: string): Plan {
  const pipeline = readSettings(path, pipelineSchema);
  const folder = dirname(resolve(path));
  const at = (relative: string): string => resolve(folder, relative);
  const maybe = (relative: string | undefined) => (relative === undefined ? undefined : at(relative));
  const { data, reports, receipt, gates } = pipeline;
  const sets: PlanSets = {
    forget: at(data.forget),
    retain: at(data.retain),
    test: maybe(data.test),
    validation: maybe(data.validation),
    also: Object.fromEntries(Object.entries(data.also ?? {}).map(([name, file]) => [name, at(file)])),
    preprocessing: { scale: data.scale, mean: data.mean, std: data.std },
  };
  const gatesFile = typeof gates === "string" ? at(gates) : undefined;
  const plan: Plan = {
    file: path,
    model: at(pipeline.model),
    out: at(pipeline.out),
    sets,
    unlearn: unlearnRequest(pipeline, at, sets),
    reference: maybe(pipeline.reference),
    shadow: maybe(pipeline.shadow),
    relearn: pipeline.relearn,
    gates:
      gatesFile !== undefined
        ? readGates(gatesFile)
        : typeof gates === "object"
          ? { gates, golden: maybe(gates.structure?.golden?.samples) }
          : undefined,
    gatesFile,
    report: at(reports.json),
    views: withoutUndefined({
      html: maybe(reports.html),
      markdown: maybe(reports.markdown),
      junit: maybe(reports.junit),
    }),
    showSamples: reports.showSamples,
    receipt: { file: at(receipt.file), key: maybe(receipt.key) },
  };
  refuseMissing(plan);
  return plan;
}

/** @throws badInput FILE_MISSING, JUNIT_WITHOUT_GATES */
function refuseMissing({ file, model, sets, reference, shadow, views, gates }: Plan): void {
  const inputs = {
    model,
    "data.forget": sets.forget,
    "data.retain": sets.retain,
    "data.test": sets.test,
    "data.validation": sets.validation,
    ...Object.fromEntries(Object.entries(sets.also).map(([name, path]) => [`data.also.${name}`, path])),
    reference,
    shadow,
    "gates.structure.golden.samples": typeof gates?.golden === "string" ? gates.golden : undefined,
  };
  for (const [key, path] of Object.entries(inputs))
    if (path !== undefined && !existsSync(path))
      throw badInput(
        "FILE_MISSING",
        `${file}: "${key}" names ${path}, which does not exist; mend the path (it is relative to the file).`,
      );
  if (views.junit !== undefined && !gates)
    throw badInput("JUNIT_WITHOUT_GATES", `${file}: "reports.junit" lists the checks of gates; add "gates".`);
}

/** Every file that the run writes, by its key; the key of the receipt is one where it has yet to be made. */
export function planOutputs({ out, report, views, receipt, gates }: Plan): readonly Output[] {
  const makesKey = receipt.key !== undefined && !existsSync(receipt.key);
  // Their bytes go into the receipt, so none of them is a stream.
  return Object.entries({
    out,
    "out.rejected": gates && rejectedPlace(out),
    "reports.json": report,
    "reports.html": views.html,
    "reports.markdown": views.markdown,
    "reports.junit": views.junit,
    "receipt.file": receipt.file,
    "receipt.key": makesKey ? receipt.key : undefined,
  }).flatMap(([key, path]) => (path === undefined ? [] : [{ role: `"${key}"`, path }]));
}

/** The plan in words, one line per step. @param options as the run will take them */
export function planText(plan: Plan, options: UnlearnOptions): string {
  const { unlearn, gates, views, receipt } = plan;
  const { method, forgetObjective, epochs, lr, optimizer, seed } = options;
  const settings = [
    method,
    `epochs ${epochs}`,
    `lr ${lr}${optimizer === undefined ? "" : ` with ${optimizer}`}`,
    `seed ${seed}`,
    ...(unlearn.budget === undefined ? [] : [`budget ${unlearn.budget}`]),
    ...(forgetObjective === undefined ? [] : [`objective ${forgetObjective}`]),
  ];
  const named = (files: ViewPaths) => Object.entries(files).map(([kind, path]) => `${kind} ${path}`);
  return [
    `1. unlearn  ${plan.model} → ${plan.out} (${settings.join(", ")})`,
    `            forget ${plan.sets.forget}, retain ${plan.sets.retain}${plan.sets.test === undefined ? "" : `, test ${plan.sets.test}`}`,
    "2. verify   the new file against the old one and the run's report",
    `3. compare  both files${plan.reference === undefined ? "" : `, with the reference ${plan.reference}`}${plan.shadow === undefined ? "" : `, shadow models of ${plan.shadow}`}${plan.relearn ? ", relearning test" : ""}`,
    gates
      ? `4. judge    by ${plan.gatesFile ?? "the gates in the file"}`
      : "4. judge    nothing: no gates are given",
    `5. report   ${[`json ${plan.report}`, ...named(views)].join(", ")}`,
    `6. receipt  ${receipt.file}${receipt.key === undefined ? " (no key: data are not named)" : ` (records named under ${receipt.key})`}`,
  ].join("\n");
}
