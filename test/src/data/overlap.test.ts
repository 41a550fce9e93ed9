// Samples that stand in two sets: counted by hand here, as every blank image is told apart by its first pixel.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { encodeNpz } from "../../../src/data/npz.ts";
import { images, MODEL, run, SCALING, temporary } from "../cli/cli.ts";

const folder = temporary();
/** Blank images whose first pixels are `from`, `from` + 1, …, below `to`. */
function pixels(name: string, from: number, to: number): string {
  const path = join(folder, `${name}.npz`);
  writeFileSync(path, encodeNpz(images(to - from, 3, (i) => from + i)));
  return path;
}
type Ranges = Readonly<Record<string, readonly [number, number]>>;
const flags = (sets: Ranges) => [
  ...Object.entries(sets).flatMap(([name, [from, to]]) => [`--${name}`, pixels(name, from, to)]),
  ...SCALING,
  ...["--threads", "1"],
];
const unlearn = (sets: Ranges, ...more: string[]) =>
  run(
    ...["unlearn", "--model", MODEL, "--out", join(folder, "out.onnx"), "--force"],
    ...["--epochs", "1", "--batch-size", "8", "--lr", "0.001", "--json"],
    ...flags(sets),
    ...more,
  );
const SETS = { forget: [0, 8], retain: [100, 140], test: [200, 220], validation: [300, 320] } as const;
const overlap = (changed: Ranges) => ({ ...SETS, ...changed });

describe("unlearning refuses", () => {
  test.each<[string, Ranges, RegExp]>([
    [
      "one sample to be forgotten that is retained",
      { retain: [7, 40] },
      /Sample 7 of .*forget\.npz is also sample 0 of .*retain\.npz;/,
    ],
    [
      "three that are tested",
      { test: [5, 30] },
      /Sample 5 of .*forget\.npz is also sample 0 of .*test\.npz, as are 2 more/,
    ],
    ["forget = test", { test: [0, 8] }, /forget\.npz is also sample 0 of .*test\.npz, as are 7 more/],
    ["forget = validation", { validation: [0, 8] }, /forget\.npz.*validation\.npz, as are 7 more/],
    ["retain = validation", { validation: [100, 140] }, /retain\.npz.*validation\.npz, as are 39 more/],
    ["validation that is part of retain", { validation: [110, 120] }, /retain\.npz.*validation\.npz/],
    ["retain that is part of test", { test: [90, 150] }, /retain\.npz.*test\.npz/],
  ])("%s, unless it is allowed", async (_, changed, says) => {
    const { code, stdout } = await unlearn(overlap(changed));
    expect(code, stdout).toBe(2);
    expect(JSON.parse(stdout).error).toMatchObject({ code: "OVERLAP", message: expect.stringMatching(says) });
  });
});

test("what is allowed is warned of", async () => {
  const { code, stdout, stderr } = await unlearn(overlap({ test: [0, 8] }), "--allow-overlap");
  expect(code, stderr).toBe(0);
  const { warnings } = JSON.parse(stdout);
  expect(warnings).toEqual([expect.stringMatching(/^8 of the 8 samples of the test set .* the forget set/)]);
});

const partial = overlap({ test: [130, 150], validation: [145, 165] });
const counts = [
  expect.stringMatching(/^10 of the 20 samples of the test set \(.*test\.npz\) are also in the retain set/),
  expect.stringMatching(/^5 of the 20 samples of the validation set \(.*\) are also in the test set/),
];
test.each([
  [
    "unlearn",
    ["unlearn", "--model", MODEL, "--out", join(folder, "o.onnx"), "--epochs", "1", "--lr", "0.001"],
  ],
  ["evaluate", ["evaluate", "--model", MODEL]],
  ["diff", ["diff", MODEL, MODEL]],
])("%s: sets that overlap in part are warned of with the counts", async (_, command) => {
  const { code, stdout, stderr } = await run(...command, ...flags(partial), "--json");
  expect(code, stderr).toBe(0);
  expect(JSON.parse(stdout).warnings).toEqual(counts);
  // People are told on stderr; with --json the document tells.
  const told = await run(...command, ...flags(partial), ...(command[0] === "unlearn" ? ["--force"] : []));
  for (const warning of JSON.parse(stdout).warnings) expect(told.stderr).toContain(`warning: ${warning}\n`);
});

test("measuring warns of what unlearning refuses, and further sets are counted too", async () => {
  const also = pixels("part", 104, 106);
  const { code, stdout, stderr } = await run(
    ...["diff", MODEL, MODEL, "--also", `part=${also}`, "--json"],
    ...flags({ ...SETS, test: [0, 8] }),
  );
  expect(code, stderr).toBe(0);
  expect(JSON.parse(stdout).warnings).toEqual([
    expect.stringMatching(/^8 of the 8 samples of the test set .* forget set/),
    expect.stringMatching(/^2 of the 2 samples of the part set .* retain set/),
  ]);
});

test("sets that share nothing: no warnings", async () => {
  const { stdout } = await run("evaluate", "--model", MODEL, ...flags(SETS), "--json");
  expect(JSON.parse(stdout).warnings).toEqual([]);
});
