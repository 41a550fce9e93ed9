import { appendFileSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { badInput } from "../../converters/errors.ts";
import type { DiffDocument } from "../api/diff.ts";
import type { UnlearnDocument } from "../api/unlearn.ts";

/** Files that show a comparison. */
export interface ViewPaths {
  readonly html?: string;
  readonly markdown?: string;
  /** Needs gates: its test cases are their checks. */
  readonly junit?: string;
}

/** @throws badInput JUNIT_WITHOUT_GATES */
export function refuseBadViews({ junit }: ViewPaths, gates: string | undefined): void {
  if (junit !== undefined && gates === undefined)
    throw badInput("JUNIT_WITHOUT_GATES", "--junit lists the checks of a gates file; give one with --gates.");
}

/**
 * Writes the asked-for views. In a GitHub workflow the Markdown is also appended to the job's summary.
 * @param run the unlearning that made AFTER, where there was one
 */
export async function writeViews(
  paths: ViewPaths,
  document: DiffDocument,
  run?: UnlearnDocument,
  environment: Readonly<Record<string, string | undefined>> = process.env,
): Promise<void> {
  if (paths.html !== undefined) {
    const { htmlReport } = await import("./html.ts");
    writeFileSync(paths.html, htmlReport(document, run));
  }
  const summary = environment.GITHUB_STEP_SUMMARY;
  if (paths.markdown !== undefined || summary) {
    const { markdownReport } = await import("./markdown.ts");
    const markdown = markdownReport(document);
    if (paths.markdown !== undefined) writeFileSync(paths.markdown, markdown);
    if (summary) appendFileSync(summary, markdown);
  }
  if (paths.junit !== undefined && document.gates) {
    const { junitReport } = await import("./junit.ts");
    writeFileSync(paths.junit, junitReport(document.gates, { time: new Date(), host: hostname() }));
  }
}
