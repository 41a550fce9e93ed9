import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { optionsPage } from "../../../bench/docs/options-page.ts";
import { importModel } from "../../../converters/importer.ts";
import { loadModelFile } from "../../../converters/onnx/read.ts";
import { Command } from "../../../src/cli/commander.ts";
import { withOptions } from "../../../src/cli/options.ts";
import { loadDataset } from "../../../src/data/dataset.ts";
import { firstSamples } from "../../../src/data/sets.ts";
import { readPlan } from "../../../src/release/plan.ts";
import type { Kind } from "../../../src/unlearn/option-kind.ts";
import {
  DEFAULT_OPTIONS,
  flagName,
  METHODS,
  OPTION_GROUPS,
  OPTION_NAMES,
  OPTIONS,
  type OptionName,
  requestOptions,
  type Section,
  sectionOf,
  spelled,
} from "../../../src/unlearn/option-table.ts";
import { checkOptions, resolveOptions } from "../../../src/unlearn/options.ts";
import { train } from "../../../src/unlearn/train.ts";
import type { Method, UnlearnOptions } from "../../../src/unlearn/types.ts";
import { FORGET, MODEL, RETAIN, run, temporary } from "../cli/cli.ts";

const docs = join(import.meta.dirname, "../../../docs");
const folder = temporary();
const inSection = (section: Section) => OPTION_NAMES.filter((name) => sectionOf(name) === section);

/** Values of a kind, those at its bounds among them. */
function examples(kind: Kind): readonly unknown[] {
  switch (kind.is) {
    case "number":
      return [kind.minimum ?? (kind.above ?? -1) + 0.25, kind.maximum ?? 3.5, kind.or ?? 0.5];
    case "whole":
      return [kind.minimum, 7];
    case "choice":
      return kind.of;
    case "text":
      return ["0.5pp"];
    case "amount":
      return [2, "0.01nats"];
    case "list":
      return [["a"], ["a", "b*"]];
    case "map":
      return kind.of === "number" ? [{ a: 1 }, { a: 0.5, b: -2 }] : [{ a: "+1pp" }, { a: "-1pp", b: "+2pp" }];
    case "flag":
      return [true];
  }
}
/** Values beside a kind's bounds. */
const outside = (kind: Kind): readonly number[] =>
  kind.is === "whole"
    ? [kind.minimum - 1, kind.minimum + 0.5]
    : kind.is === "number"
      ? [
          ...(kind.minimum === undefined ? [] : [kind.minimum - 0.25]),
          ...(kind.above === undefined ? [] : [kind.above]),
          ...(kind.maximum === undefined ? [] : [kind.maximum + 0.25]),
        ]
      : [];

/** A value for every option, by name; different ones for different rounds. */
const valuesOf = (names: readonly OptionName[], round: number) =>
  Object.fromEntries(
    names.map((name) => {
      const all = examples(OPTIONS[name].kind);
      return [name, all[round % all.length]];
    }),
  );
/** The parts of a request that hold options of these values. */
const requestWith = (values: Readonly<Record<string, unknown>>) => {
  const training: readonly string[] = OPTION_GROUPS.training;
  const entries = Object.entries(values);
  return {
    ...Object.fromEntries(entries.filter(([name]) => !training.includes(name))),
    options: Object.fromEntries(entries.filter(([name]) => training.includes(name))),
  };
};

let files = 0;
const plan = (values: Readonly<Record<string, unknown>>) => {
  const path = join(folder, `${files++}.yaml`);
  const section = (of: Section) =>
    Object.fromEntries(
      inSection(of).flatMap((name) => (name in values ? [[spelled(name, "key"), values[name]]] : [])),
    );
  const data = { forget: "forget.npz", retain: "retain.npz" };
  writeFileSync(
    path,
    stringify({ model: "model.onnx", out: "out.onnx", data, ...section("top"), unlearn: section("unlearn") }),
  );
  return readPlan(path).unlearn;
};

const argvOf = (values: Readonly<Record<string, unknown>>) =>
  Object.entries(values).flatMap(([name, value]) => {
    const flag = flagName(name as OptionName);
    if (value === true) return [flag];
    if (typeof value !== "object" || value === null) return [`${flag}=${value}`];
    const items = Array.isArray(value) ? value : Object.entries(value).map(([key, of]) => `${key}=${of}`);
    return items.map((item) => `${flag}=${item}`);
  });
const parse = (values: Readonly<Record<string, unknown>>) =>
  requestOptions(
    withOptions(new Command(), OPTION_NAMES)
      .exitOverride()
      .configureOutput({ outputError: () => {} })
      .parse(argvOf(values), { from: "user" })
      .opts(),
    "flag",
  );

beforeAll(() => {
  for (const [from, to] of [
    [MODEL, "model.onnx"],
    [FORGET, "forget.npz"],
    [RETAIN, "retain.npz"],
  ] as const)
    copyFileSync(from, join(folder, to));
});

describe("flags, pipeline keys and the page are the table", () => {
  test("unlearn --help", async () => {
    const { stdout } = await run("unlearn", "--help");
    const flags = [...stdout.matchAll(/^ {2}(?:-h, )?(--[a-z-]+)/gm)].map(([, flag]) => flag!);
    // Files, what is printed, and preprocessing.
    const others =
      "model out forget retain test validation also reference scale mean std gates html markdown";
    const more = `${others} junit show-samples report json profile help`
      .split(" ")
      .map((name) => `--${name}`);
    expect(flags.filter((flag) => !more.includes(flag)).sort()).toEqual(OPTION_NAMES.map(flagName).sort());
  });

  test("the pipeline's schema", () => {
    const { properties } = JSON.parse(readFileSync(join(docs, "schemas/pipeline.schema.json"), "utf8"));
    const keys = (section: Section) =>
      inSection(section)
        .map((name) => spelled(name, "key"))
        .sort();
    expect(Object.keys(properties.unlearn.properties).sort()).toEqual(keys("unlearn"));
    const others = ["model", "out", "data", "reference", "shadow", "relearn", "unlearn", "gates", "reports"];
    const top = Object.keys(properties).filter((key) => ![...others, "receipt"].includes(key));
    expect(top.sort()).toEqual(keys("top"));
  });

  test("docs/options.md is what `npm run docs` writes, one row per option", () => {
    const page = readFileSync(join(docs, "options.md"), "utf8");
    expect(page).toBe(optionsPage());
    const rows = [...page.matchAll(/^\| `([A-Za-z]+)` \| `--/gm)].map(([, name]) => name!);
    expect(rows.sort()).toEqual([...OPTION_NAMES].sort());
  });
});

// One round more than the longest list of choices has names.
describe.each(Array.from({ length: METHODS.length + 1 }, (_, i) => i))(
  "every option at once, %i",
  (round) => {
    test("a pipeline file brings it to the request unchanged", () => {
      const values = valuesOf([...inSection("unlearn"), ...inSection("top")], round);
      expect(plan(values)).toMatchObject(requestWith(values));
      expect(Object.keys(plan(values).options!).sort()).toEqual([...OPTION_GROUPS.training].sort());
    });
    test("flags too, where texts stand for amounts", () => {
      const values = { ...valuesOf(OPTION_NAMES, round), minForgetting: "1pp" };
      expect(parse(values)).toEqual(requestWith(values));
    });
  },
);

test.each(OPTION_NAMES.flatMap((name) => outside(OPTIONS[name].kind).map((value) => [name, value] as const)))(
  "%s %d is refused by check, flag and pipeline file",
  (name, value) => {
    expect(() => checkOptions({ ...DEFAULT_OPTIONS, [name]: value })).toThrow(
      expect.objectContaining({ code: "OPTION_RANGE" }),
    );
    expect(() => parse({ [name]: value })).toThrow("it must be");
    expect(() => plan({ [name]: value })).toThrow(expect.objectContaining({ code: "SETTINGS_INVALID" }));
  },
);

test("an option that is absent everywhere is absent in the request", () => {
  expect(plan({}).options).toEqual({});
  expect(parse({})).toEqual({ options: {} });
});

describe("resolveOptions", () => {
  const found = (
    options: Partial<UnlearnOptions>,
    { budget, goal = "gone" }: { budget?: string; goal?: "gone" | "unseen" } = {},
  ) => {
    const { method, epochs, lr, optimizer, forgetObjective } = resolveOptions({ options, budget }, goal);
    return [method, epochs, lr, optimizer, forgetObjective];
  };
  const budget = "0.5pp";

  test("without a budget: the defaults, and what was given", () => {
    expect(found({})).toEqual(["eupmu", 5, 0.001, undefined, undefined]);
    expect(found({ method: "scrub", lr: "auto", epochs: undefined })).toEqual([
      ...["scrub", 5, "auto", undefined, undefined],
    ]);
  });
  test("with a budget: the rate with its optimizer, the objective with its goal", () => {
    expect(found({}, { budget })).toEqual(["eupmu-fast", 10, "auto", "adamw", "bounded-ascent"]);
    expect(found({}, { budget, goal: "unseen" })).toEqual(["eupmu-fast", 10, "auto", "adamw", undefined]);
    expect(found({ lr: 0.01, epochs: 3 }, { budget })).toEqual([
      ...["eupmu-fast", 3, 0.01, undefined, "bounded-ascent"],
    ]);
    expect(found({ lr: "auto", optimizer: "sgd", forgetObjective: "uniform" }, { budget })).toEqual([
      ...["eupmu-fast", 10, "auto", "sgd", "uniform"],
    ]);
    // A method with an objective of its own, and a loss without bounded ascent.
    expect(found({ method: "scrub" }, { budget })[4]).toBeUndefined();
    expect(found({ loss: "mse" }, { budget })[4]).toBeUndefined();
  });
  test("the loss of the sets is the loss of the training", () => {
    expect(resolveOptions({ loss: "mse", options: { seed: 3 } }, undefined)).toEqual({
      ...DEFAULT_OPTIONS,
      loss: "mse",
      seed: 3,
    });
  });
});

describe("what the table says of an option is what training does", async () => {
  const model = importModel(loadModelFile(MODEL));
  const load = async (path: string, count: number) =>
    firstSamples(await loadDataset(path, model.inputs, { scale: 16, mean: [0.5], std: [0.5] }), count);
  const [forget, retain] = [await load(FORGET, 12), await load(RETAIN, 20)];
  const trained = async (options: Partial<UnlearnOptions>) => {
    const all = { ...DEFAULT_OPTIONS, epochs: 2, batchSize: 8, lr: 0.01, threads: 1, ...options };
    const { weights } = await train({ model, forget, retain, options: all });
    return [...weights.values()].map(({ buffer }) => Buffer.from(buffer).toString("base64")).join();
  };
  const others: Partial<UnlearnOptions> = {
    epsilon: 0.5,
    epsilonSchedule: "linear",
    dual: "ascent",
    beta: 0.1,
    lambda: 0.5,
  };
  const heeds = (name: OptionName, method: Method) => OPTIONS[name].heeded?.methods?.includes(method) ?? true;

  test.each(METHODS)("%s heeds what it is said to heed", async (method) => {
    const base = await trained({ method });
    const [heeded, unheeded] = [true, false].map((wanted) =>
      Object.entries(others).filter(([name]) => heeds(name as OptionName, method) === wanted),
    );
    for (const [name, value] of heeded!)
      expect(await trained({ method, [name]: value }), name).not.toBe(base);
    expect(await trained({ method, ...Object.fromEntries(unheeded!) })).toBe(base);
    const choose = () => checkOptions({ ...DEFAULT_OPTIONS, method, forgetObjective: "uniform" });
    if (heeds("forgetObjective", method)) expect(choose).not.toThrow();
    else expect(choose).toThrow(expect.objectContaining({ code: "OBJECTIVE_FIXED" }));
  });

  test("momentum is heeded by SGD alone", async () => {
    for (const optimizer of ["sgd", "adamw"] as const)
      expect((await trained({ optimizer })) === (await trained({ optimizer, momentum: 0 }))).toBe(
        !OPTIONS.momentum.heeded!.optimizers!.includes(optimizer),
      );
  });

  test("an absent option is the value that is said to stand for it", async () => {
    const names = ["epsilonSchedule", "forgetObjective", "loss", "schedule", "optimizer"] as const;
    const plain = Object.fromEntries(names.map((name) => [name, OPTIONS[name].absent]));
    const absent: Partial<UnlearnOptions> = { ...plain, warmup: Number(OPTIONS.warmup.absent) };
    expect(OPTIONS.lambda.absent).toBe("0; 1 for eupmu-fast");
    expect(OPTIONS.saliency.absent).toBe("1; 0.5 for salun");
    expect(await trained({ ...absent, lambda: 0, saliency: 1 })).toBe(await trained({}));
    const method = "eupmu-fast";
    expect(await trained({ method, ...absent, lambda: 1 })).toBe(await trained({ method }));
    expect(await trained({ method: "salun", saliency: 0.5 })).toBe(await trained({ method: "salun" }));
  });
});
