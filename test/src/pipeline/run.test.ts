import { createHash } from "node:crypto";
import { copyFileSync, existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { loadModelFile } from "../../../converters/onnx/read.ts";
import { encodeNpz } from "../../../src/data/npz.ts";
import { verifyReceipt } from "../../../src/release/check-receipt.ts";
import { type Receipt, readReceipt } from "../../../src/release/receipt.ts";
import type { RunDocument } from "../../../src/release/run.ts";
import type { UnlearnOptions } from "../../../src/unlearn/types.ts";
import { FORGET, images, MODEL, RETAIN, RETRAINED, run, TEST, temporary } from "../cli/cli.ts";

const folder = temporary();
const file = (name: string) => join(folder, name);
const pipeline = {
  model: "shipped.onnx",
  out: "scrubbed.onnx",
  data: { forget: "forget.npz", retain: "retain.npz", test: "test.npz", scale: 16, mean: 0.5, std: 0.5 },
  reference: "retrained.onnx",
  seed: 3,
  threads: 1,
  unlearn: { epochs: 2, lr: 0.003, batchSize: 64 },
  gates: { metrics: { testAccuracy: { min: 0.8 } }, structure: { identical: true } },
  reports: { html: "report.html", markdown: "report.md", junit: "junit.xml" },
  receipt: { key: "receipt.key" },
};
const write = (name: string, content: unknown) => {
  writeFileSync(file(name), stringify(content));
  return file(name);
};
/** Runs a check without any data file. */
const check = (receipt: string, after: string, before = file("shipped.onnx"), key?: string) =>
  verifyReceipt(
    receipt,
    { before: loadModelFile(before), after: loadModelFile(after) },
    { key, sets: {}, inputs: () => [] },
  );

beforeAll(() => {
  for (const [from, to] of [
    [MODEL, "shipped.onnx"],
    [RETRAINED, "retrained.onnx"],
    [FORGET, "forget.npz"],
    [RETAIN, "retain.npz"],
    [TEST, "test.npz"],
  ] as const)
    copyFileSync(from, file(to));
});

describe("a pipeline", () => {
  let document: RunDocument;
  let receipt: Receipt;

  beforeAll(async () => {
    const { code, stdout, stderr } = await run("run", write("pipeline.yaml", pipeline), "--json");
    expect(stderr).toBe("");
    expect(code, stdout).toBe(0);
    document = JSON.parse(stdout);
    receipt = JSON.parse(readFileSync(file("receipt.json"), "utf8"));
  });

  test("leaves model, report and views; the file says what was printed", () => {
    for (const name of [
      "scrubbed.onnx",
      "report.json",
      "report.html",
      "report.md",
      "junit.xml",
      "receipt.json",
    ])
      expect(existsSync(file(name)), name).toBe(true);
    expect(JSON.parse(readFileSync(file("report.json"), "utf8"))).toEqual(document);
    expect(document.verdict).toBe("passed");
    expect(document.diff.gates!.checks.map(({ name }) => name)).toContain("metrics.testAccuracy.min");
    expect(document.options).toMatchObject({ epochs: 2, lr: 0.003, batchSize: 64, seed: 3 });
    expect(document.diff.after).toEqual({ ...document.after, validationAccuracy: null });
  });

  test("the receipt is an in-toto statement: subject new, dependency old, data only under the key", () => {
    expect(receipt._type).toBe("https://in-toto.io/Statement/v1");
    expect(receipt.predicateType).toBe("https://slsa.dev/provenance/v1");
    expect(receipt.subject[0]).toMatchObject({
      name: "scrubbed.onnx",
      digest: { sha256: document.model.after.sha256 },
    });
    const { externalParameters, resolvedDependencies } = receipt.predicate.buildDefinition;
    expect(resolvedDependencies[0]).toMatchObject({
      name: "shipped.onnx",
      digest: { sha256: document.model.before.sha256 },
    });
    expect(externalParameters.data!.forget!.records).toHaveLength(150);
    expect(externalParameters.data!.retain!.records).toBeUndefined();
    expect(receipt.predicate.runDetails.byproducts[0]!.annotations).toMatchObject({ verdict: "passed" });
    const text = readFileSync(file("receipt.json"), "utf8");
    expect(text).not.toContain(folder);
    expect(statSync(file("receipt.key")).mode & 0o077).toBe(0);
  });

  test("verify --receipt holds files, reports and records to it; renamed files stay the same files", async () => {
    copyFileSync(file("scrubbed.onnx"), file("renamed.onnx"));
    const { code, stdout, stderr } = await run(
      ...["verify", file("renamed.onnx"), "--before", file("shipped.onnx"), "--report", file("report.json")],
      ...["--receipt", file("receipt.json"), "--key", file("receipt.key")],
      ...["--data", `forget=${file("forget.npz")}`, "--data", `test=${file("test.npz")}`, "--json"],
    );
    expect(stderr).toBe("");
    expect(code, stdout).toBe(0);
    expect(JSON.parse(stdout).receipt).toEqual({
      verdict: "passed",
      reports: ["report.json", "report.html", "report.md", "junit.xml"],
      data: ["forget", "test"],
    });
  });

  test("one changed byte anywhere fails: in the receipt, in either model, in a report", async () => {
    const original = readFileSync(file("receipt.json"));
    const changed = file("changed.json");
    for (let at = 0; at < original.length; at += 61) {
      const bytes = Buffer.from(original);
      bytes[at] = bytes[at]! ^ 1;
      writeFileSync(changed, bytes);
      await expect(check(changed, file("scrubbed.onnx")), `byte ${at}`).rejects.toThrow();
    }
    // Whitespace is a byte too.
    writeFileSync(changed, `${original.toString()} `);
    await expect(check(changed, file("scrubbed.onnx"))).rejects.toThrow(/digest/);
    for (const [name, before] of [
      ["scrubbed.onnx", false],
      ["shipped.onnx", true],
    ] as const) {
      const bytes = readFileSync(file(name));
      const last = bytes.length - 1;
      bytes[last] = bytes[last]! ^ 1;
      writeFileSync(file("other.onnx"), bytes);
      const [a, b] = before
        ? [file("scrubbed.onnx"), file("other.onnx")]
        : [file("other.onnx"), file("shipped.onnx")];
      await expect(check(file("receipt.json"), a, b), name).rejects.toThrow(/other.onnx is not the/);
    }
    // The reference is a dependency as well, but not the model that was scrubbed.
    await expect(check(file("receipt.json"), file("scrubbed.onnx"), file("retrained.onnx"))).rejects.toThrow(
      /origin/,
    );
    const report = readFileSync(file("report.md"));
    writeFileSync(file("report.md"), `${report} `);
    await expect(check(file("receipt.json"), file("scrubbed.onnx"))).rejects.toThrow(
      /report.md is not the report/,
    );
    writeFileSync(file("report.md"), report);
    expect((await check(file("receipt.json"), file("scrubbed.onnx"))).verdict).toBe("passed");
  });

  test("a forged receipt with a digest of its own does not survive the key", () => {
    const text = readFileSync(file("receipt.json"), "utf8");
    const key = readFileSync(file("receipt.key"));
    expect(readReceipt(text, "r", key)).toEqual(receipt);
    expect(() => readReceipt(text, "r", Buffer.from("another key, long enough"))).toThrow(
      /not written under this key/,
    );
    const { sha256 } = receipt.predicate.integrity;
    const blank = text.replace('"verdict": "passed"', '"verdict": "PASSED"').replace(sha256, "");
    const forged = blank.replace(
      '"sha256": "",',
      `"sha256": "${createHash("sha256").update(blank).digest("hex")}",`,
    );
    // Without the key it is consistent: only a signature or the key tells.
    expect(readReceipt(forged, "r", undefined).predicate.runDetails.byproducts[0]!.annotations!.verdict).toBe(
      "PASSED",
    );
    expect(() => readReceipt(forged, "r", key)).toThrow(/changed since/);
  });

  test("other records, another order or another key are told", async () => {
    const other = file("other.npz");
    writeFileSync(other, encodeNpz(images(150)));
    const argv = [
      "verify",
      file("scrubbed.onnx"),
      "--before",
      file("shipped.onnx"),
      "--receipt",
      file("receipt.json"),
    ];
    const wrong = await run(...argv, "--key", file("receipt.key"), "--data", `forget=${other}`);
    expect(wrong.code).toBe(4);
    expect(wrong.stderr).toContain("sample 0 is another one");
    const keyless = await run(...argv, "--data", `forget=${file("forget.npz")}`);
    expect(keyless.code).toBe(2);
    expect(keyless.stderr).toContain("--key");
    writeFileSync(file("short.key"), "abc");
    expect((await run(...argv, "--key", file("short.key"))).code).toBe(2);
    writeFileSync(file("wrong.key"), "0123456789abcdef");
    expect((await run(...argv, "--key", file("wrong.key"))).code).toBe(4);
    const noReceipt = await run(
      "verify",
      file("scrubbed.onnx"),
      "--before",
      file("shipped.onnx"),
      "--receipt",
      file("report.json"),
    );
    expect(noReceipt.code).toBe(2);
  });

  test("the output is not overwritten without --force", async () => {
    const { code, stderr } = await run("run", file("pipeline.yaml"));
    expect(code).toBe(2);
    expect(stderr).toContain("--force");
  });
});

test("a failed gate: reports and receipt are written, the model is not put in place, the verdict is no", async () => {
  const strict = write("strict.yaml", {
    ...pipeline,
    out: "strict.onnx",
    unlearn: { ...pipeline.unlearn, epochs: 1 },
    gates: "strict-gates.yaml",
    reports: { json: "strict.json" },
    receipt: { file: "strict-receipt.json" },
  });
  write("strict-gates.yaml", { metrics: { testAccuracy: { min: 1 } } });
  const { code, stdout } = await run("run", strict);
  expect(code).toBe(1);
  expect(stdout).toContain("Verdict: failed.");
  const receipt = JSON.parse(readFileSync(file("strict-receipt.json"), "utf8")) as Receipt;
  expect(receipt.predicate.runDetails.byproducts[0]!.annotations).toMatchObject({
    verdict: "failed",
    failed: ["metrics.testAccuracy.min"],
  });
  expect(receipt.predicate.buildDefinition.externalParameters.data).toBeNull();
  expect(receipt.predicate.integrity.hmacSha256).toBeNull();
  expect(existsSync(file("strict.onnx"))).toBe(false);
  expect(stdout).toContain("strict.onnx.rejected");
  expect((await check(file("strict-receipt.json"), file("strict.onnx.rejected"))).verdict).toBe("failed");
});

test("--dry-run prints the plan and does nothing", async () => {
  const dry = write("dry.yaml", {
    ...pipeline,
    out: "dry.onnx",
    receipt: { file: "dry.json", key: "dry.key" },
  });
  const { code, stdout } = await run("run", dry, "--dry-run", "--force");
  expect(code).toBe(0);
  for (const word of ["unlearn", "verify", "compare", "judge", "report", "receipt"])
    expect(stdout).toContain(word);
  for (const name of ["dry.onnx", "dry.json", "dry.key"]) expect(existsSync(file(name)), name).toBe(false);
});

test.each<[string, { readonly budget?: string } & Partial<UnlearnOptions>]>([
  ["with a budget", { budget: "50pp", epochs: 1, batchSize: 64 }],
  ["without one", { epochs: 1, lr: 0.003, batchSize: 64 }],
])("--dry-run prints what the run then takes, %s", async (name, unlearn) => {
  const path = write(`${name}.yaml`, {
    ...pipeline,
    ...{ out: `${name}.onnx`, unlearn: { ...unlearn, minForgetting: 0 }, gates: undefined },
    reports: { json: `${name}.json` },
    receipt: { file: `${name}.receipt.json` },
  });
  const [, planned] = /^1\. unlearn .*\((.*)\)$/m.exec((await run("run", path, "--dry-run")).stdout)!;
  const { code, stdout, stderr } = await run("run", path, "--json");
  expect(code, stderr).toBe(0);
  const { options } = JSON.parse(stdout) as RunDocument;
  const [method, epochs, lr, seed, ...more] = planned!.split(", ");
  expect([method, epochs, seed]).toEqual([
    options.method,
    `epochs ${options.epochs}`,
    `seed ${options.seed}`,
  ]);
  expect(lr).toBe(unlearn.budget === undefined ? `lr ${options.lr}` : `lr auto with ${options.optimizer}`);
  expect(method).toBe(unlearn.budget === undefined ? "eupmu" : "eupmu-fast");
  const objective = options.forgetObjective;
  expect(more).toEqual(
    unlearn.budget === undefined ? [] : [`budget ${unlearn.budget}`, `objective ${objective}`],
  );
});

test.each<[string, Record<string, unknown>, string]>([
  ["an unknown key", { outt: "x" }, 'did you mean "out"?'],
  ["an unknown option", { unlearn: { epoch: 3 } }, 'did you mean "epochs"?'],
  ["a missing file", { model: "absent.onnx" }, '"model" names'],
  ["an output over an input", { out: "shipped.onnx" }, '"out" would replace the model'],
  [
    "two outputs in one place",
    { reports: { json: "receipt.json" } },
    '"receipt.file" and "reports.json" are the same file',
  ],
  ["no folder for an output", { out: "absent/x.onnx" }, "create it first"],
  ["JUnit without gates", { gates: undefined, reports: { junit: "j.xml" } }, 'add "gates"'],
  ["a gate that does not exist", { gates: { metrics: { testAcc: {} } } }, "gates"],
  ["a method that does not exist", { unlearn: { method: "magic" } }, '"unlearn.method"'],
])("%s is refused before any work", async (name, change, sentence) => {
  const path = write(`refused-${name.replaceAll(" ", "-")}.yaml`, {
    ...pipeline,
    out: "refused.onnx",
    ...change,
  });
  for (const flags of [[], ["--dry-run"]]) {
    const { code, stderr } = await run("run", path, ...flags);
    expect(code, stderr).toBe(2);
    expect(stderr).toContain(sentence);
    expect(stderr).toContain(path);
  }
  expect(existsSync(file("refused.onnx"))).toBe(false);
});
