// What the repository says of itself: package.json, licence, changelog, workflows, and the sources that
// comments cite.
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { releaseNotes } from "../bench/release/notes.ts";
import { METHODS } from "../src/unlearn/types.ts";

const root = resolve(import.meta.dirname, "..");
const read = (...path: string[]) => readFileSync(join(root, ...path), "utf8");
const manifest = JSON.parse(read("package.json"));

/**
 * SHA-256 of licence texts as their authors publish them, by SPDX identifier:
 * apache.org/licenses/LICENSE-2.0.txt.
 */
const LICENCES: Readonly<Record<string, string>> = {
  "Apache-2.0": "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30",
};

/** Every source and page of the repository, this file excepted; paths from the root. */
const texts = [
  ...readdirSync(root).filter((name) => name.endsWith(".md")),
  ...["src", "converters", "bench", "docs", "examples", "models", "test", ".github"].flatMap((folder) =>
    existsSync(join(root, folder))
      ? readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
          .filter((name) => /\.(ts|m?js|md|py|ya?ml)$/.test(name) && !name.includes("node_modules"))
          .map((name) => join(folder, name))
      : [],
  ),
].filter((path) => path !== relative(root, import.meta.filename));

/** Lines of the repository that match, as path:line. */
const linesWith = (pattern: RegExp): string[] =>
  texts.flatMap((path) =>
    read(path)
      .split("\n")
      .flatMap((line, i) => (pattern.test(line) ? [`${path}:${i + 1}: ${line.trim()}`] : [])),
  );

describe("package.json", () => {
  test("says where the project lives", () => {
    const home = /^git\+(https:\/\/.+)\.git$/.exec(manifest.repository.url)?.[1];
    expect(manifest.repository.type).toBe("git");
    expect(manifest.homepage).toBe(`${home}#readme`);
    expect(manifest.bugs).toBe(`${home}/issues`);
    expect(read("SECURITY.md")).toContain(`${home}/security/advisories/new`);
  });

  test("the licence it declares is the one that lies beside it", () => {
    expect(createHash("sha256").update(read("LICENSE")).digest("hex")).toBe(LICENCES[manifest.license]);
  });

  test("the changelog has its version and goes along", () => {
    expect(releaseNotes(read("CHANGELOG.md"), manifest.version).length).toBeGreaterThan(0);
    expect(manifest.files).toContain("CHANGELOG.md");
  });
});

test("release notes are the section of a version", () => {
  const changelog =
    "# Changelog\n\n## [Unreleased]\n\n- c\n\n## [0.2.0] - 2000-02-01\n\n### Added\n\n- b\n\n## [0.2.0-1]\n\n- a\n";
  expect(releaseNotes(changelog, "0.2.0")).toBe("### Added\n\n- b");
  expect(() => releaseNotes(changelog, "0.1.0")).toThrow("no section [0.1.0]");
});

test("workflows run what a clone runs, on the oldest Node that is supported too", () => {
  const { jobs: ci } = parse(read(".github/workflows/ci.yml"));
  const { jobs: release } = parse(read(".github/workflows/release.yml"));
  for (const { steps } of [ci.test, release.release])
    expect(steps.map(({ run }: { run?: string }) => run)).toContain(".ci/run");
  expect(`>=${Math.min(...ci.test.strategy.matrix.node)}`).toBe(manifest.engines.node);
});

describe("docs/method.md", () => {
  const page = read("docs/method.md");
  const sections = [...page.matchAll(/^## (.*)\n([\s\S]*?)(?=^## |(?![\s\S]))/gm)].map(
    ([, title, body]) => [title!, body!] as const,
  );
  const section = (title: string) => sections.find(([name]) => name === title)?.[1] ?? "";
  const sources = section("Sources").split(/^- /m).slice(1);
  const isLinked = (entry: string) => /\]\(https:\/\/(arxiv|doi)\.org\//.test(entry);
  const linked = (name: string) => sources.some((entry) => entry.includes(name) && isLinked(entry));

  test("every source is linked", () => {
    expect(sources.length).toBeGreaterThan(0);
    expect(sources.filter((entry) => !isLinked(entry))).toEqual([]);
  });

  test.each(METHODS)("the method %s has a row whose paper is linked", (method) => {
    const row = section("Baselines")
      .split("\n")
      .find((line) => line.startsWith("| ") && line.split(" | ")[0]!.includes(`\`${method}\``));
    const [, anchor] = /\]\(#([^)]+)\)/.exec(row ?? "") ?? [];
    expect(anchor, row).toBeDefined();
    expect(linked(`<a id="${anchor}">`), anchor).toBe(true);
  });

  const folder = "src/unlearn/methods";
  const files = readdirSync(join(root, folder)).filter((name) => !["index.ts", "method.ts"].includes(name));
  test.each(files)("%s cites its source", (file) => {
    const cites = /et al\.|docs\/method\.md, "/.test(read(folder, file));
    expect(cites, "a paper, or a section of docs/method.md").toBe(true);
  });

  test("every paper that the sources name is linked here", () => {
    for (const path of texts.filter((name) => name.startsWith("src/")))
      for (const [, author] of read(path).matchAll(/(\p{Lu}\p{L}+) et al\./gu))
        expect(linked(`${author} et al.`), `${author} et al. in ${path}`).toBe(true);
  });

  test("its sections that comments cite exist", () => {
    const titles = sections.map(([title]) => title);
    for (const path of texts)
      for (const [, title] of read(path).matchAll(/docs\/method\.md,(?:\s|\*|\/\/)*"([^"]+)"/g))
        expect(titles, path).toContain(title!.replaceAll(/\s*\n[\s*/]*/g, " "));
  });
});

test("nothing cites a document that is not in the repository", () => {
  expect(linesWith(/\b(METHOD|DESIGN)\b|\b(METHOD\S*|REVIEW|STYLE)\.md\b|folder beside the project/)).toEqual(
    [],
  );
});
