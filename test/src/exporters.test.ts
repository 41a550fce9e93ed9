// Text and tabular classifiers from PyTorch's current exporter (torch.export) and its legacy one go the whole
// road.
// fixtures/exporters/make_exporters.py made the files and recorded what PyTorch measured on the same data.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { encodeNpz, type NpzInput } from "../../src/data/npz.ts";
import { run, temporary } from "./cli/cli.ts";

const fixtures = join(import.meta.dirname, "../fixtures/exporters");
const recorded = JSON.parse(readFileSync(join(fixtures, "exporters.json"), "utf8"));
const data = resolve("../shared/data");
const present = existsSync(data);
if (!present) console.log(`skipped: no text and tabular data at ${data}`);

type Arrays = Readonly<Record<string, NpzInput>>;

/** 32-bit FNV-1a of the UTF-8 bytes. */
const fnv = (text: string): number =>
  new TextEncoder().encode(text).reduce((hash, byte) => Math.imul(hash ^ byte, 16777619) >>> 0, 2166136261);

const LENGTH = 32;
const NUMERIC = [0, 2, 4, 10, 11, 12];

/** Sentences as hashed tokens with their mask; the label stands after the last tab. */
function text(lines: readonly string[]): Arrays {
  const rows = lines.map((line) => {
    const at = line.lastIndexOf("\t");
    const words = line.slice(0, at).split(" ").filter(Boolean).slice(0, LENGTH);
    const ids = words.map((word) => 1 + (fnv(word) % 2047));
    return {
      ids: [...ids, ...new Array<number>(LENGTH - ids.length).fill(0)],
      label: Number(line.slice(at)),
    };
  });
  const ids = rows.flatMap((row) => row.ids);
  const dims = [rows.length, LENGTH];
  return {
    input_ids: { dtype: "int64", dims, values: ids },
    attention_mask: { dtype: "int64", dims, values: ids.map((id) => Number(id !== 0)) },
    y: { dtype: "int64", dims: [rows.length], values: rows.map(({ label }) => label) },
  };
}

/** Rows of the Adult data: numeric columns, then counts of hashed `column=value` in 64 buckets. */
function tabular(lines: readonly string[]): Arrays {
  const rows = lines.map((line) => line.split(",").map((cell) => cell.trim()));
  const values = rows.flatMap((row) => {
    const buckets = new Array<number>(64).fill(0);
    for (let c = 0; c < 14; c++) if (!NUMERIC.includes(c)) buckets[fnv(`${c}=${row[c]}`) % 64]!++;
    return [...NUMERIC.map((c) => Number(row[c])), ...buckets];
  });
  return {
    features: { dtype: "float32", dims: [rows.length, 70], values },
    y: {
      dtype: "int64",
      dims: [rows.length],
      values: rows.map((row) => Number(row[14]!.startsWith(">"))),
    },
  };
}

const linesOf = (file: string) =>
  readFileSync(join(data, file), "utf8")
    .split("\n")
    .filter((line) => line.trim() !== "");

interface Task {
  readonly arrays: (lines: readonly string[]) => Arrays;
  readonly lines: () => { readonly train: readonly string[]; readonly test: readonly string[] };
  readonly flags: readonly string[];
}

const tasks: Readonly<Record<"text" | "tabular", Task>> = {
  text: {
    arrays: text,
    lines: () => ({ train: linesOf("text/sst2-train.tsv"), test: linesOf("text/sst2-test.tsv") }),
    flags: ["--lr", "0.003"],
  },
  tabular: {
    arrays: tabular,
    lines: () => {
      const rows = (file: string) =>
        linesOf(file).filter((line) => line.split(",").length === 15 && /^\d/.test(line));
      return {
        train: rows("tabular/adult.data").slice(0, 10_000),
        test: rows("tabular/adult.test").slice(0, 4_000),
      };
    },
    flags: ["--lr", "0.003", "--mean", recorded.tabular.mean.join(), "--std", recorded.tabular.std.join()],
  },
};

describe.each(["text-dynamo", "text-legacy", "tabular-dynamo", "tabular-legacy"] as const)("%s", (name) => {
  const task = name.startsWith("text") ? "text" : "tabular";
  const { arrays, lines, flags } = tasks[task];
  const model = join(fixtures, `${name}.onnx`);

  test("made-up data: trains, exports, verifies", async () => {
    const folder = temporary();
    const rows = (count: number, salt: number) =>
      arrays(
        Array.from({ length: count }, (_, i) =>
          task === "text"
            ? `word${i + salt} and w${(7 * i + salt) % 11} more${i % 3 ? " so" : ""}\t${(i + salt) % 2}`
            : [
                ...Array.from({ length: 14 }, (_, c) => (c === 0 ? i + salt : (i * 5 + c * 3 + salt) % 40)),
                i % 2 ? ">50K" : "<=50K",
              ].join(),
        ),
      );
    for (const [file, salt] of [
      ["f", 0],
      ["r", 100],
    ] as const)
      writeFileSync(join(folder, `${file}.npz`), encodeNpz(rows(24, salt)));
    const [out, report] = [join(folder, "out.onnx"), join(folder, "report.json")];
    const sets = ["--forget", join(folder, "f.npz"), "--retain", join(folder, "r.npz")];
    const training = ["--epochs", "1", "--batch-size", "16", "--threads", "1"];
    const result = await run(
      "unlearn",
      "--model",
      model,
      ...sets,
      ...flags,
      ...training,
      "--out",
      out,
      "--report",
      report,
      "--json",
    );
    expect(result.code, result.stdout).toBe(0);
    const document = JSON.parse(result.stdout);
    expect(document.export.parity.maxAbsDiff).toBeLessThan(1e-4);
    const trained = document.export.changedTensors;
    expect(trained.length).toBeGreaterThanOrEqual(task === "text" ? 20 : 6);
    if (task === "text") expect(trained).toContain("words.weight");
    expect((await run("verify", out, "--before", model, "--report", report)).code).toBe(0);
  });

  describe.skipIf(!present)("real data", () => {
    const folder = temporary();
    const file = (set: string) => join(folder, `${set}.npz`);
    const sets = ["--forget", file("forget"), "--retain", file("retain"), "--test", file("test")];
    let train: readonly string[];
    beforeAll(() => {
      const all = lines();
      train = all.train;
      const tenth = Math.floor(train.length / 10);
      writeFileSync(file("forget"), encodeNpz(arrays(train.slice(0, tenth))));
      writeFileSync(file("retain"), encodeNpz(arrays(train.slice(tenth))));
      writeFileSync(file("test"), encodeNpz(arrays(all.test)));
    });

    test("forgets a tenth of the training set, and is as accurate before as PyTorch recorded", async () => {
      const [out, report] = [join(folder, "out.onnx"), join(folder, "report.json")];
      const result = await run(
        "unlearn",
        "--model",
        model,
        ...sets,
        ...flags,
        "--epochs",
        "2",
        "--threads",
        "2",
        "--allow-overlap",
        "--out",
        out,
        "--report",
        report,
        "--json",
      );
      expect(result.code, result.stdout).toBe(0);
      const { before, after, samples } = JSON.parse(result.stdout);
      console.log(name, JSON.stringify({ before, after }));
      const right = before.forgetAccuracy * samples.forget + before.retainAccuracy * samples.retain;
      expect(right / (samples.forget + samples.retain)).toBeCloseTo(recorded[task].trainAccuracy, 3);
      expect(after.forgetAccuracy).toBeLessThan(before.forgetAccuracy);
      expect(after.testAccuracy).toBeGreaterThan(before.testAccuracy - 0.01);
      expect((await run("verify", out, "--before", model, "--report", report)).code).toBe(0);
    });
  });
});
