import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { writeWhole } from "../../converters/export/whole.ts";
import type { TrainableModel } from "../../converters/import/model.ts";
import type { DiffDocument } from "../case/compare.ts";
import { claim, inputFiles } from "../case/inputs.ts";
import { openModel, openReference } from "../case/model.ts";
import { type Case, openCase } from "../case/open.ts";
import { type Scrubbed, scrub } from "../case/scrub.ts";
import type { UnlearnDocument, UnlearnHooks, UnlearnSettings } from "../case/unlearn.ts";
import { versions } from "../case/versions.ts";
import { NO_PREPROCESSING } from "../data/dataset.ts";
import { openSource } from "../data/open-source.ts";
import { refuseOverlaps } from "../data/overlap.ts";
import { openSources, readSet, type SetSources } from "../data/sets.ts";
import { loadShadows } from "../data/shadows.ts";
import { writeViews } from "../report/views.ts";
import { modelResources, resourceOf } from "./files.ts";
import { type Plan, planOutputs, readPlan } from "./plan.ts";
import { type ReceiptFacts, type Resource, receiptText } from "./receipt.ts";
import { type NamedSet, nameSet, readKey } from "./records.ts";
import type { UnlearnRequest } from "./unlearn.ts";
import type { VerifyDocument } from "./verify.ts";

/**
 * The report of a pipeline run: that of its unlearning, and what the later steps found. `verify --report`
 * takes it.
 */
export interface RunDocument extends UnlearnDocument {
  readonly verdict: "passed" | "failed";
  readonly verify: VerifyDocument;
  readonly diff: DiffDocument;
}

/** Data sets under the key, each named by what it was for. */
async function namedSets(
  key: Buffer,
  { also, ...main }: SetSources,
  { inputs }: TrainableModel,
  loss: UnlearnRequest["loss"],
): Promise<Readonly<Record<string, NamedSet>>> {
  const further = Object.fromEntries(Object.entries(also).map(([name, source]) => [`also.${name}`, source]));
  const named: Record<string, NamedSet> = {};
  for (const [name, source] of Object.entries({ ...main, ...further }))
    if (source)
      named[name] = nameSet(key, await readSet(source, inputs, { preprocessing: NO_PREPROCESSING, loss }), {
        records: name === "forget",
      });
  return named;
}

/** A plan with everything that it reads, read once. */
interface OpenedPlan {
  readonly opened: Case;
  readonly sources: SetSources;
  readonly settings: UnlearnSettings;
}

/** How the outputs of a plan are claimed. */
interface PlanOptions {
  /** Replace outputs that exist. */
  readonly force?: boolean | undefined;
  readonly onPhase?: UnlearnHooks["onPhase"];
}

/** Reads everything a plan needs. @throws badInput, notTrainable */
async function openPlan(plan: Plan, { force, onPhase }: PlanOptions): Promise<OpenedPlan> {
  const { unlearn: request, gates, gatesFile, receipt, out } = plan;
  const model = openModel(plan.model, request);
  // Relearning trains the same weights of both files.
  const reference =
    plan.reference === undefined
      ? undefined
      : (plan.relearn ? openModel : openReference)(plan.reference, request);
  const inputs = inputFiles({
    models: { "the model": model.source, "the reference": reference?.source },
    sets: plan.sets,
    shadow: plan.shadow,
    gates: { given: gatesFile, read: gates },
    others: { "the pipeline file": plan.file, '"receipt.key"': receipt.key },
  }).filter(({ path }) => existsSync(path));
  claim({ inputs, outputs: planOutputs(plan), force, from: plan.file, model: { out, from: model } }, onPhase);
  const sources = await openSources(plan.sets);
  const { seed, threads } = request.options ?? {};
  const { preprocessing } = plan.sets;
  const opened = await openCase(model, sources, { ...request, preprocessing, seed, threads });
  return { opened, sources, settings: { ...request, reference } };
}

/** Reads everything a plan needs, and does nothing. @throws badInput, notTrainable as the run itself would */
export async function checkPlan(plan: Plan, options: PlanOptions): Promise<OpenedPlan> {
  const read = await openPlan(plan, options);
  const { sets, model } = read.opened;
  if (!plan.unlearn.allowOverlap) refuseOverlaps(sets);
  if (plan.gates?.golden !== undefined) {
    const golden = await openSource(plan.gates.golden, "the golden samples");
    await readSet(golden, model.inputs, { preprocessing: plan.sets.preprocessing, loss: "any" });
  }
  if (plan.receipt.key !== undefined && existsSync(plan.receipt.key))
    readKey(plan.receipt.key, { create: false });
  return read;
}

/** What the run's verification found: all of it was held to the new bytes before they were put anywhere. */
const verificationOf = ({ candidate, document }: Scrubbed): VerifyDocument => ({
  verified: true,
  changedTensors: candidate.changes,
  report: null,
  parity: document.export.parity,
  receipt: null,
  model: document.model,
  versions: document.versions,
});

/**
 * A pipeline file as one step with one verdict: unlearn, verify, compare, judge, report, receipt. Where a
 * gate fails the new file lies at
 * `OUT.rejected`, and the verdict in the report and in the receipt, which are written all the same, is
 * "failed".
 * @param options `force` replaces outputs that exist
 * @throws OnnxUnlearnError with the exit code of the command line
 */
export async function runPipeline(
  file: string,
  options: { readonly force?: boolean } = {},
  hooks: UnlearnHooks = {},
): Promise<RunDocument> {
  const startedOn = new Date().toISOString();
  const plan = readPlan(file);
  hooks.onPhase?.("reading the model and the data");
  const { opened, sources, settings } = await checkPlan(plan, {
    ...options,
    onPhase: hooks.onPhase,
  });
  const { model } = opened;
  const key = plan.receipt.key === undefined ? undefined : readKey(plan.receipt.key, { create: true });
  // Named as they stand in the files; what is read for it is not kept through the training.
  const data = key ? await namedSets(key, sources, model, plan.unlearn.loss) : null;
  const { forget, test } = opened.sets;
  const scrubbed = await scrub(
    opened,
    {
      settings,
      comparing: {
        shadows:
          plan.shadow === undefined
            ? undefined
            : await loadShadows(plan.shadow, { forget: forget.count, test: test?.count ?? 0 }),
        relearn: plan.relearn ? {} : undefined,
        showSamples: plan.showSamples,
      },
      gates: plan.gates,
      out: plan.out,
      force: options.force,
    },
    hooks,
  );
  const { candidate, document: unlearned } = scrubbed;
  const comparison = scrubbed.comparison!;
  const verdict = comparison.gates?.verdict ?? "passed";
  const document: RunDocument = {
    ...unlearned,
    verdict,
    verify: verificationOf(scrubbed),
    diff: comparison,
  };
  hooks.onPhase?.("writing reports and the receipt");
  writeWhole(plan.report, `${JSON.stringify(document, null, 2)}\n`);
  await writeViews(plan.views, comparison, unlearned);
  const report: Resource = {
    ...resourceOf(plan.report, "report"),
    annotations: {
      role: "report",
      verdict,
      ...(comparison.gates
        ? {
            failed: comparison.gates.checks
              .filter(({ status }) => status === "failed")
              .map(({ name }) => name),
          }
        : {}),
    },
  };
  const { bytes, sideFiles } = candidate;
  const facts: ReceiptFacts = {
    subject: modelResources({ path: unlearned.rejected ?? plan.out, bytes, sideFiles }, "model"),
    dependencies: [
      ...modelResources(model.source, "model"),
      ...(settings.reference ? modelResources(settings.reference.source, "reference") : []),
      ...(plan.gatesFile === undefined ? [] : [resourceOf(plan.gatesFile, "gates")]),
    ],
    byproducts: [report, ...Object.values(plan.views).map((view) => resourceOf(view, "view"))],
    options: { ...unlearned.options, preprocessing: plan.sets.preprocessing },
    data,
    seed: unlearned.seed,
    threads: unlearned.threads,
    versions: { ...versions() },
    invocationId: randomUUID(),
    startedOn,
    finishedOn: new Date().toISOString(),
  };
  writeWhole(plan.receipt.file, receiptText(facts, key));
  return document;
}
