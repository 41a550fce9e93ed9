import { randomUUID } from "node:crypto";
import { existsSync, writeFileSync } from "node:fs";
import { importModel } from "../../converters/importer.ts";
import { loadModelFile } from "../../converters/onnx/read.ts";
import { loadDataset, NO_PREPROCESSING } from "../data/dataset.ts";
import { loadSets, refuseOverlap, type SetPaths } from "../data/sets.ts";
import { modelResources, resourceOf } from "../pipeline/files.ts";
import { type Plan, readPlan } from "../pipeline/plan.ts";
import { type ReceiptFacts, type Resource, receiptText } from "../pipeline/receipt.ts";
import { type NamedSet, nameSet, readKey } from "../pipeline/records.ts";
import { writeViews } from "../report/views.ts";
import { type DiffDocument, diff } from "./diff.ts";
import { type UnlearnDocument, type UnlearnHooks, unlearn } from "./unlearn.ts";
import { type VerifyDocument, verify } from "./verify.ts";
import { versions } from "./versions.ts";

/** The report of a pipeline run: that of its unlearning, and what the later steps found. `verify --report` takes it. */
export interface RunDocument extends UnlearnDocument {
  readonly verdict: "passed" | "failed";
  readonly verify: VerifyDocument;
  readonly diff: DiffDocument;
}

/** Data sets under the key, each named by what it was for. */
export function namedSets(
  key: Buffer,
  paths: Pick<SetPaths, "forget" | "retain"> & Partial<SetPaths>,
  inputs: Parameters<typeof loadDataset>[1],
): Readonly<Record<string, NamedSet>> {
  const { forget, retain, test, validation, also } = paths;
  const files = {
    forget,
    retain,
    test,
    validation,
    ...Object.fromEntries(Object.entries(also ?? {}).map(([name, path]) => [`also.${name}`, path])),
  };
  return Object.fromEntries(
    Object.entries(files).flatMap(([name, path]) =>
      path === undefined
        ? []
        : [
            [
              name,
              nameSet(key, loadDataset(path, inputs, NO_PREPROCESSING, paths.loss), {
                records: name === "forget",
              }),
            ],
          ],
    ),
  );
}

/** Reads everything a plan needs, and does nothing. @throws badInput, notTrainable as the run itself would */
export function checkPlan(plan: Plan): void {
  const { unlearn: request } = plan;
  const model = importModel(loadModelFile(request.model), request);
  const sets = loadSets(request, model.inputs);
  if (!request.allowOverlap) refuseOverlap(sets.forget, sets.retain);
  if (plan.reference !== undefined) importModel(loadModelFile(plan.reference), request);
  if (plan.gates?.golden !== undefined)
    loadDataset(plan.gates.golden, model.inputs, request.preprocessing, "any");
  if (plan.receipt.key !== undefined && existsSync(plan.receipt.key))
    readKey(plan.receipt.key, { create: false });
}

/**
 * A pipeline file as one step with one verdict: unlearn, verify, compare, judge, report, receipt. Where a gate fails the new file lies at
 * `OUT.rejected`, and the verdict in the report and in the receipt, which are written all the same, is "failed".
 * @param options `force` replaces an existing output
 * @throws OnnxUnlearnError with the exit code of the command line
 */
export async function runPipeline(
  file: string,
  options: { readonly force?: boolean } = {},
  hooks: UnlearnHooks = {},
): Promise<RunDocument> {
  const startedOn = new Date().toISOString();
  const plan = readPlan(file);
  checkPlan(plan);
  const key = plan.receipt.key === undefined ? undefined : readKey(plan.receipt.key, { create: true });

  const write = (document: unknown) => writeFileSync(plan.report, `${JSON.stringify(document, null, 2)}\n`);
  const { model: before, forget, preprocessing, logits } = plan.unlearn;
  let found: { readonly verified: VerifyDocument; readonly compared: DiffDocument } | undefined;
  const judge = async (after: string, document: UnlearnDocument): Promise<boolean> => {
    const { threads, seed } = document;
    write(document);
    hooks.onPhase?.("verifying the new file against the report");
    const report = plan.report;
    const verified = await verify({ before, after, report, samples: forget, preprocessing, logits, threads });
    hooks.onPhase?.("comparing both files");
    const compared = await diff({
      ...plan.unlearn,
      before,
      after,
      reference: plan.reference,
      shadow: plan.shadow,
      relearn: plan.relearn ? {} : undefined,
      gates: plan.gates,
      showSamples: plan.showSamples,
      threads,
      seed,
    });
    found = { verified, compared };
    return compared.gates?.verdict !== "failed";
  };
  const unlearned = await unlearn({ ...plan.unlearn, force: options.force }, { ...hooks, judge });
  const { verified, compared } = found!;
  const { threads, seed, rejected } = unlearned;
  const verdict = compared.gates?.verdict ?? "passed";
  const document: RunDocument = {
    ...unlearned,
    ...(compared.gates ? { gates: compared.gates } : {}),
    verdict,
    verify: { ...verified, report: null },
    diff: compared,
  };
  hooks.onPhase?.("writing reports and the receipt");
  write(document);
  await writeViews(plan.views, compared, unlearned);
  const report: Resource = {
    ...resourceOf(plan.report, "report"),
    annotations: {
      role: "report",
      verdict,
      ...(compared.gates
        ? {
            failed: compared.gates.checks.filter(({ status }) => status === "failed").map(({ name }) => name),
          }
        : {}),
    },
  };
  const facts: ReceiptFacts = {
    subject: modelResources(rejected ?? plan.unlearn.out, "model"),
    dependencies: [
      ...modelResources(before, "model"),
      ...(plan.reference === undefined ? [] : modelResources(plan.reference, "reference")),
      ...(plan.gatesFile === undefined ? [] : [resourceOf(plan.gatesFile, "gates")]),
    ],
    byproducts: [report, ...Object.values(plan.views).map((view) => resourceOf(view, "view"))],
    options: { ...unlearned.options, preprocessing },
    data: key ? namedSets(key, plan.unlearn, importModel(loadModelFile(before), plan.unlearn).inputs) : null,
    seed,
    threads,
    versions: { ...versions() },
    invocationId: randomUUID(),
    startedOn,
    finishedOn: new Date().toISOString(),
  };
  writeFileSync(plan.receipt.file, receiptText(facts, key));
  return document;
}
