import { appendFileSync } from "node:fs";
import { hostname } from "node:os";
import { badInput } from "../../converters/errors.ts";
import type { Output } from "../../converters/export/outputs.ts";
import { writeWhole } from "../../converters/export/whole.ts";
import type { DiffDocument } from "../case/compare.ts";
import type { UnlearnDocument } from "../case/unlearn.ts";

/** Paths of the views of a comparison to write. */
export interface ViewPaths {
  readonly html?: string;
  readonly markdown?: string;
  /** Requires gates, as its test cases are their checks. */
  readonly junit?: string;
}

/**
 * The views as outputs of a command. @param roles what an error calls each, from its kind
 * @throws badInput JUNIT_WITHOUT_GATES
 */
export function viewOutputs(
  { html, markdown, junit }: ViewPaths,
  gates: unknown,
  roles = (kind: string) => `the option ${kind}`,
): readonly Output[] {
  if (junit !== undefined && gates === undefined)
    throw badInput("JUNIT_WITHOUT_GATES", "A JUnit file lists the checks of a gates file; give one.");
  return Object.entries({ html, markdown, junit }).flatMap(([kind, path]) =>
    path === undefined ? [] : [{ role: roles(kind), path, stream: true }],
  );
}

/**
 * Writes the views that have a path. In a GitHub workflow the Markdown is also appended to the job's summary.
 * @param run the unlearning run that made AFTER, if there was one
 */
export async function writeViews(
  paths: ViewPaths,
  document: DiffDocument,
  run?: UnlearnDocument,
  environment: Readonly<Record<string, string | undefined>> = process.env,
): Promise<void> {
  if (paths.html !== undefined) {
    const { htmlReport } = await import("./html.ts");
    writeWhole(paths.html, htmlReport(document, run));
  }
  const summary = environment.GITHUB_STEP_SUMMARY;
  if (paths.markdown !== undefined || summary) {
    const { markdownReport } = await import("./markdown.ts");
    const markdown = markdownReport(document);
    if (paths.markdown !== undefined) writeWhole(paths.markdown, markdown);
    if (summary) appendFileSync(summary, markdown);
  }
  if (paths.junit !== undefined && document.gates) {
    const { junitReport } = await import("./junit.ts");
    writeWhole(paths.junit, junitReport(document.gates, { time: new Date(), host: hostname() }));
  }
}
