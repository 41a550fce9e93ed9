import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { errorsPage } from "../../bench/docs/errors.ts";
import { ERRORS } from "../../converters/error-codes.ts";

const root = join(import.meta.dirname, "../..");
const sources = ["converters", "src"].flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => readFileSync(join(root, folder, name), "utf8")),
);

const STATUS_OF: Readonly<Record<string, number>> = {
  gateFailed: 1,
  badInput: 2,
  notTrainable: 3,
  verificationFailed: 4,
};
const THROWN =
  /\b(?:(gateFailed|badInput|notTrainable|verificationFailed)|OnnxUnlearnError|super)\(\s*"([A-Z0-9_]+)"/g;

test("every code of the table is thrown, with every exit status it lists", () => {
  const thrown = sources.flatMap((text) =>
    [...text.matchAll(THROWN)].flatMap(([, by, code]) =>
      // The compiler holds the constructor, and so BudgetError, to the table.
      by ? [`${code} ${STATUS_OF[by]}`] : ERRORS[code as keyof typeof ERRORS].exit.map((e) => `${code} ${e}`),
    ),
  );
  const listed = Object.entries(ERRORS).flatMap(([code, { exit }]) => exit.map((e) => `${code} ${e}`));
  expect([...new Set(thrown)].sort()).toEqual(listed.sort());
});

test.each(Object.entries(ERRORS))("%s has a meaning and a remedy, one sentence each", (_, entry) => {
  for (const sentence of [entry.meaning, entry.remedy]) {
    expect(sentence).toMatch(/^\S.*\w.*[.)]$/);
    expect(sentence).not.toMatch(/[.!?;]\s+[A-Z]/);
    // A cell of a Markdown table.
    expect(sentence).not.toContain("|");
  }
});

test("converters name no flag of the command line", () => {
  for (const name of readdirSync(join(root, "converters"), { recursive: true, encoding: "utf8" }))
    if (name.endsWith(".ts"))
      expect(readFileSync(join(root, "converters", name), "utf8").match(/--[a-z][a-z-]*/g), name).toEqual(
        name === "error-codes.ts" ? ["--help"] : null,
      );
});

test("docs/errors.md is what `npm run docs` writes", () => {
  expect(readFileSync(join(root, "docs/errors.md"), "utf8")).toBe(errorsPage());
});
