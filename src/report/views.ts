import { accessSync, appendFileSync, constants, existsSync, statSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { dirname, resolve } from "node:path";
import { badInput } from "../../converters/errors.ts";
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
 * Checks the paths of views before any work.
 * @param taken files of the command, which a view must not overwrite
 * @throws badInput JUNIT_WITHOUT_GATES, VIEW_FOLDER, VIEW_PATH
 */
export function refuseBadViews(
  { html, markdown, junit }: ViewPaths,
  gates: { readonly given: boolean; readonly file?: string },
  taken: readonly (string | undefined)[],
): void {
  if (junit !== undefined && !gates.given)
    throw badInput("JUNIT_WITHOUT_GATES", "A JUnit file lists the checks of a gates file; give one.");
  const used = [...taken, gates.file].flatMap((path) => (path === undefined ? [] : [resolve(path)]));
  for (const [option, path] of Object.entries({ html, markdown, junit })) {
    if (path === undefined) continue;
    const folder = dirname(resolve(path));
    if (!existsSync(folder))
      throw badInput(
        "VIEW_FOLDER",
        `There is no folder ${folder} to write --${option} into; create it first.`,
      );
    if (existsSync(path) && statSync(path).isDirectory())
      throw badInput("VIEW_FOLDER", `--${option} ${path} is a folder; give a file name.`);
    if (used.includes(resolve(path)))
      throw badInput(
        "VIEW_PATH",
        `--${option} would replace ${path}, another file of this command; choose another name.`,
      );
    try {
      accessSync(existsSync(path) ? path : folder, constants.W_OK);
    } catch {
      throw badInput(
        "VIEW_FOLDER",
        `--${option} ${path} cannot be written; choose another path or change its permissions.`,
      );
    }
    used.push(resolve(path));
  }
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
