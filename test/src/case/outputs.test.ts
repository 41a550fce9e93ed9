// What may be written where: no input is replaced, no output unasked, and every model keeps its own data files.
import { createHash } from "node:crypto";
import {
  copyFileSync,
  cpSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join, resolve } from "node:path";
import pkg from "onnx-proto";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { beforeEach, describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { encodeNpz } from "../../../src/data/npz.ts";
import { FORGET, MODEL, RETAIN, RETRAINED, run, SCALING, TEST, temporary } from "../cli/cli.ts";

const { onnx } = pkg;
const hashOf = (path: string) => createHash("sha256").update(readFileSync(path)).digest("hex");
const cases = resolve("../shared/cases/hostile");
if (!existsSync(cases)) console.log(`skipped: no cases at ${cases}`);

/** The digits classifier with each weight in a file of its own: written by onnx-proto alone. */
function externalise(from: string, path: string): void {
  const model = onnx.ModelProto.decode(readFileSync(from));
  for (const [i, tensor] of model.graph!.initializer!.entries()) {
    const name = `w${i}.bin`;
    writeFileSync(join(path, "..", name), tensor.rawData!);
    tensor.externalData = [onnx.StringStringEntryProto.create({ key: "location", value: name })];
    tensor.dataLocation = onnx.TensorProto.DataLocation.EXTERNAL;
    delete (tensor as { rawData?: unknown }).rawData;
  }
  writeFileSync(path, onnx.ModelProto.encode(model).finish());
}

let folder: string;
const at = (name: string) => join(folder, name);
const SETS = () => ["--forget", at("f.npz"), "--retain", at("r.npz"), "--test", at("t.npz"), ...SCALING];
const QUICK = ["--epochs", "1", "--lr", "0.003", "--batch-size", "64", "--threads", "1"];

/** Every kind of input, each under its own name. */
beforeEach(() => {
  folder = temporary();
  for (const name of ["ext", "ref", "shadows", "out"]) mkdirSync(at(name));
  externalise(MODEL, at("ext/m.onnx"));
  externalise(RETRAINED, at("ref/r.onnx"));
  for (const [from, to] of [
    [FORGET, "f.npz"],
    [RETAIN, "r.npz"],
    [TEST, "t.npz"],
    [TEST, "also.npz"],
    [TEST, "golden.npz"],
    [FORGET, "x.ledger.json"],
    [MODEL, "shadows/s.onnx"],
    [MODEL, "elsewhere.onnx"],
  ] as const)
    copyFileSync(from, at(to));
  const members = encodeNpz({ forget: { dtype: "int64", dims: [1], values: [1] } });
  writeFileSync(at("shadows/members.npz"), members);
  const shadows = ["s.onnx", "../elsewhere.onnx"].map((file) => ({ file, members: "members.npz" }));
  writeFileSync(at("shadows/shadows.json"), JSON.stringify({ models: shadows }));
  writeFileSync(at("gates.yaml"), "structure: { golden: { samples: golden.npz, tolerance: 100 } }");
  writeFileSync(at("receipt.key"), "a".repeat(64));
  symlinkSync(at("ext/m.onnx"), at("soft"));
  symlinkSync(at("ext"), at("softfolder"));
  linkSync(at("ext/w0.bin"), at("hard"));
  symlinkSync(at("out"), at("softout"));
});

/** Digests of all files, by their paths. */
const everything = (): Record<string, string> =>
  Object.fromEntries(
    readdirSync(folder, { recursive: true, encoding: "utf8" })
      .map((name) => [name, at(name)] as const)
      .filter(([, path]) => statSync(path).isFile())
      .map(([name, path]) => [name, hashOf(path)]),
  );

const unlearn = (...argv: string[]) =>
  run(
    ...[
      "unlearn",
      "--model",
      at("ext/m.onnx"),
      "--reference",
      at("ref/r.onnx"),
      "--also",
      `more=${at("also.npz")}`,
    ],
    ...["--gates", at("gates.yaml"), ...SETS(), ...QUICK, ...argv],
  );
const diff = (...argv: string[]) =>
  run(
    ...["diff", at("ext/m.onnx"), at("ref/r.onnx"), "--shadow", at("shadows"), "--gates", at("gates.yaml")],
    ...[...SETS(), ...argv],
  );

async function refused(
  command: Promise<{ code: number; stderr: string }>,
  before: Record<string, string>,
  words: readonly string[],
) {
  const { code, stderr } = await command;
  expect(code, stderr).toBe(2);
  for (const word of words) expect(stderr).toContain(word);
  expect(everything()).toEqual(before);
}

describe("an output that is an input is refused, whatever its name, force or not", () => {
  test.each<[string, string, string, string]>([
    ["a data file of the model", "report", "ext/w0.bin", "a data file of the model"],
    ["the reference", "report", "ref/r.onnx", "the reference"],
    ["a data file of the reference", "html", "ref/w1.bin", "a data file of the reference"],
    ["a further set", "report", "also.npz", 'the set "more"'],
    ["the gates", "markdown", "gates.yaml", "the gates"],
    ["the golden samples", "junit", "golden.npz", "the golden samples"],
    ["a symbolic link to the model", "report", "soft", "the model"],
    ["a hard link to a data file", "html", "hard", "a data file of the model"],
    ["a link to the folder", "report", "softfolder/w2.bin", "a data file of the model"],
    ["a roundabout path", "report", "out/../r.npz", "the retained set"],
  ])("unlearn: %s", async (_, option, name, role) => {
    const path = name.startsWith("out/") ? `${at("out")}/../r.npz` : at(name);
    const argv = ["--out", at("out/o.onnx"), `--${option}`, path, "--force"];
    await refused(unlearn(...argv), everything(), [`--${option} would replace ${role}`]);
  });

  test("unlearn: the forget set as the model, and a set under the name of the ledger", async () => {
    const before = everything();
    await refused(unlearn("--out", at("f.npz"), "--force"), before, ["would replace the forget set"]);
    const ledger = ["--report", at("x.json"), "--also", `late=${at("x.ledger.json")}`, "--force"];
    await refused(unlearn("--out", at("out/o.onnx"), ...ledger), before, [
      "he ledger of --report",
      'the set "late"',
    ]);
  });

  test.each(["shadows/members.npz", "shadows/shadows.json", "shadows/s.onnx", "elsewhere.onnx"])(
    "diff: %s of the shadow models",
    async (name) => {
      await refused(diff("--html", at(name), "--force"), everything(), [
        "--html would replace a shadow model",
      ]);
    },
  );

  const pipeline = {
    model: "ext/m.onnx",
    out: "out/o.onnx",
    data: { forget: "f.npz", retain: "r.npz", test: "t.npz", scale: 16, mean: 0.5, std: 0.5 },
    reference: "ref/r.onnx",
    shadow: "shadows",
    threads: 1,
    unlearn: { epochs: 1, lr: 0.003, batchSize: 64 },
    gates: "gates.yaml",
    reports: { json: "out/r.json" },
    receipt: { file: "out/receipt.json", key: "receipt.key" },
  };
  test.each<[string, object, string, string]>([
    ["the gates", { reports: { html: "gates.yaml" } }, '"reports.html"', "the gates"],
    ["a link to the model", { receipt: { file: "soft" } }, '"receipt.file"', "the model"],
    ["a hard link", { reports: { json: "hard" } }, '"reports.json"', "a data file of the model"],
    ["the key", { reports: { json: "receipt.key" } }, '"reports.json"', '"receipt.key"'],
    ["the pipeline file", { reports: { markdown: "p.yaml" } }, '"reports.markdown"', "the pipeline file"],
    ["a shadow model", { reports: { html: "elsewhere.onnx" } }, '"reports.html"', "a shadow model"],
  ])("run: %s", async (_, change, output, role) => {
    writeFileSync(at("p.yaml"), stringify({ ...pipeline, ...change }));
    const before = everything();
    for (const flag of ["--force", "--dry-run"])
      await refused(run("run", at("p.yaml"), flag), before, [
        `${output} would replace ${role}`,
        at("p.yaml"),
      ]);
  });

  test("run: every output of an earlier run needs --force, with it they are new", async () => {
    const { shadow: _, ...plain } = pipeline;
    writeFileSync(at("p.yaml"), stringify(plain));
    expect((await run("run", at("p.yaml"))).code).toBe(0);
    for (const name of ["o.onnx", "r.json", "receipt.json"]) {
      const before = everything();
      await refused(run("run", at("p.yaml")), before, ["already exists", "--force"]);
      copyFileSync(at(`out/${name}`), at("kept"));
      const rest = { out: "out/2.onnx", reports: { json: "out/2.json" }, receipt: { file: "out/2" } };
      const key = name === "o.onnx" ? "out" : name === "r.json" ? "reports" : "receipt";
      writeFileSync(at("q.yaml"), stringify({ ...plain, ...rest, [key]: plain[key] }));
      await refused(run("run", at("q.yaml")), everything(), [`out/${name}, already exists`]);
    }
    expect((await run("run", at("p.yaml"), "--force")).code).toBe(0);
    const verified = await run(
      ...["verify", at("out/o.onnx"), "--before", at("ext/m.onnx"), "--receipt", at("out/receipt.json")],
      ...["--report", at("out/r.json"), "--key", at("receipt.key"), "--data", `forget=${at("f.npz")}`],
    );
    expect(verified.code, verified.stderr).toBe(0);

    // The receipt holds data files by name and digest: two of them exchanged, or one byte, and it fails.
    const receipt = ["--before", at("ext/m.onnx"), "--receipt", at("out/receipt.json")];
    const [first, second] = readdirSync(at("out")).filter((name) => /^w[02]\.bin/.test(name));
    const content = [first, second].map((name) => readFileSync(at(`out/${name}`)));
    content[0]![0]! ^= 1;
    writeFileSync(at(`out/${first}`), content[0]!);
    const damaged = await run("verify", at("out/o.onnx"), ...receipt);
    expect([damaged.code, damaged.stderr]).toEqual([4, expect.stringContaining(first!)]);
  });
});

describe("two outputs on one file, and outputs that exist", () => {
  test.each<[string, readonly string[], readonly string[]]>([
    [
      "report and page",
      ["--report", "out/same", "--html", "softout/same"],
      ["--html and --report are the same"],
    ],
    [
      "a model and its report",
      ["--out", "out/o", "--report", "out/o"],
      ["--report and the output are the same"],
    ],
    ["the rejected model", ["--out", "out/o", "--html", "out/o.rejected"], ["--html and OUT.rejected are"]],
    ["a ledger", ["--report", "out/a.json", "--html", "out/a.ledger.json"], ["the ledger of --report are"]],
    [
      "a data file of the new model",
      ["--report", "out/w3.bin"],
      ["would replace a data file of the new model"],
    ],
  ])("%s", async (_, argv, words) => {
    const paths = argv.map((word) => (word.startsWith("--") ? word : at(word)));
    const out = argv.includes("--out") ? [] : ["--out", at("out/o.onnx")];
    await refused(unlearn(...out, ...paths, "--force"), everything(), words);
  });

  test.each(["report", "html", "markdown", "junit", "out"])("--%s exists", async (option) => {
    writeFileSync(at("out/there"), "precious");
    const before = everything();
    const out = option === "out" ? [] : ["--out", at("out/o.onnx")];
    await refused(unlearn(...out, `--${option}`, at("out/there")), before, ["already exists", "--force"]);
    if (option !== "report" && option !== "out")
      await refused(diff(`--${option}`, at("out/there")), before, ["already exists", "--force"]);
  });

  test("a dangling link is replaced as a link; a pipe or terminal is written into", async () => {
    symlinkSync(at("out/later"), at("out/link"));
    const argv = ["diff", at("ext/m.onnx"), at("ref/r.onnx"), ...SETS()];
    expect((await run(...argv, "--html", at("out/link"))).code).toBe(2);
    expect((await run(...argv, "--html", at("out/link"), "--force")).code).toBe(0);
    expect([existsSync(at("out/link")), existsSync(at("out/later"))]).toEqual([true, false]);
    expect((await run(...argv, "--html", "/dev/null", "--markdown", "/dev/null")).code).toBe(0);
    expect(statSync("/dev/null").isCharacterDevice()).toBe(true);
  });
});

/** Answers on blank images, from ONNX Runtime and the files as they lie there. */
async function answers(path: string): Promise<number[]> {
  const session = await InferenceSession.create(path);
  const name = session.inputNames[0]!;
  const zeros = new Tensor("float32", new Float32Array(64), [1, 1, 8, 8]);
  return [...((await session.run({ [name]: zeros }))[session.outputNames[0]!]!.data as Float32Array)];
}

describe("every model keeps its own data files", () => {
  const road = (...argv: string[]) =>
    run("unlearn", "--model", at("ext/m.onnx"), ...SETS(), ...QUICK, ...argv);
  const verify = (model: string, report: string, ...argv: string[]) =>
    run("verify", model, "--before", at("ext/m.onnx"), "--report", report, ...argv);

  test("two models beside the input: each is what its report says, the input as it was", async () => {
    const before = await answers(at("ext/m.onnx"));
    expect((await road("--out", at("ext/a.onnx"), "--report", at("a.json"))).code).toBe(0);
    const a = await answers(at("ext/a.onnx"));
    expect(
      (await road("--out", at("ext/b.onnx"), "--report", at("b.json"), "--seed", "1", "--force")).code,
    ).toBe(0);
    expect(await answers(at("ext/a.onnx"))).toEqual(a);
    expect(await answers(at("ext/m.onnx"))).toEqual(before);
    for (const name of ["a", "b"]) {
      const { code, stderr } = await verify(at(`ext/${name}.onnx`), at(`${name}.json`));
      expect(code, stderr).toBe(0);
    }
    const { model } = JSON.parse(readFileSync(at("a.json"), "utf8"));
    for (const { name, sha256 } of model.after.sideFiles) expect(hashOf(at(`ext/${name}`))).toBe(sha256);
    for (const { name, sha256 } of model.before.sideFiles) expect(hashOf(at(`ext/${name}`))).toBe(sha256);

    // A damaged weight, and the data of another run: the file is named.
    const side = at(`ext/${model.after.sideFiles[0].name}`);
    const good = readFileSync(side);
    const bad = Buffer.from(good);
    bad[1]! ^= 1;
    for (const bytes of [bad, readFileSync(at("ext/w0.bin"))]) {
      writeFileSync(side, bytes);
      const { code, stderr } = await verify(at("ext/a.onnx"), at("a.json"));
      expect([code, stderr]).toEqual([4, expect.stringContaining(side)]);
    }
  });

  test("a report that says nothing of data files cannot vouch for them", async () => {
    expect((await road("--out", at("out/a.onnx"), "--report", at("a.json"))).code).toBe(0);
    const report = JSON.parse(readFileSync(at("a.json"), "utf8"));
    delete report.model.after.sideFiles;
    writeFileSync(at("old.json"), JSON.stringify(report));
    const { code, stderr } = await verify(at("out/a.onnx"), at("old.json"));
    expect([code, stderr]).toEqual([4, expect.stringContaining("w0.bin")]);
  });

  test("a failed gate: the rejected model has its data beside it", async () => {
    writeFileSync(at("strict.yaml"), "metrics: { testAccuracy: { min: 1 } }");
    const argv = ["--out", at("out/o.onnx"), "--report", at("o.json"), "--gates", at("strict.yaml")];
    expect((await road(...argv)).code).toBe(1);
    const { code, stderr } = await verify(at("out/o.onnx.rejected"), at("o.json"));
    expect(code, stderr).toBe(0);
    expect(existsSync(at("out/o.onnx"))).toBe(false);
  });

  test("sweep: each figure belongs to a file that is there; other runs and files are not replaced", async () => {
    const argv = (...more: string[]) => [
      ...["sweep", "--model", at("ext/m.onnx"), ...SETS(), "--folder", at("sweep")],
      ...["--methods", "finetune,gradient-ascent,random-label", "--epsilons", "0", "--json", ...more],
    ];
    const { main } = await import("../../../src/cli/main.ts");
    const sweep = async (...words: string[]) => {
      const out: string[] = [];
      const err: string[] = [];
      const code = await main(words, {
        out: (text) => out.push(text),
        err: (text) => err.push(text),
        runCommand: (command) => run(...command),
      });
      return { code, stdout: out.join(""), stderr: err.join("") };
    };
    mkdirSync(at("sweep"));
    writeFileSync(at("sweep/front.svg"), "a picture of mine");
    await refused(sweep(...argv("--", ...QUICK)), everything(), ["front.svg", "already exists", "--force"]);
    const { code, stdout } = await sweep(...argv("--force", "--", ...QUICK));
    expect(code, stdout).toBe(0);
    const { runs } = JSON.parse(stdout);
    expect(runs).toHaveLength(3);
    const sides = new Set<string>();
    for (const { name, model, after } of runs) {
      const { document } = JSON.parse(readFileSync(at(`sweep/runs/${name}.json`), "utf8"));
      for (const side of document.model.after.sideFiles) {
        expect(hashOf(at(`sweep/models/${side.name}`))).toBe(side.sha256);
        sides.add(side.sha256);
      }
      const measured = await run("evaluate", "--model", model, ...SETS(), "--json");
      const { metrics } = JSON.parse(measured.stdout);
      for (const key of ["forgetAccuracy", "retainAccuracy", "testAccuracy"])
        expect(metrics[key], `${name} ${key}`).toBe(after[key]);
    }
    expect(sides.size).toBeGreaterThan(8);
    await refused(sweep(...argv("--", ...QUICK, "--epochs", "2")), everything(), [
      "already exists",
      "--force",
    ]);
    await refused(sweep(...argv("--", "--report", at("r.json"))), everything(), ["Every run", "--report"]);
  });

  test.skipIf(!existsSync(cases))(
    "the mix that a kill used to leave does not pass for the report's",
    async () => {
      cpSync(join(cases, "mixed-after-kill"), at("mixed"), { recursive: true });
      const mixed = ["verify", at("mixed/m.onnx"), "--before", join(cases, "ext-model/m.onnx")];
      const { code, stderr } = await run(...mixed, "--report", at("mixed/r.json"));
      expect([code, stderr]).toEqual([4, expect.stringMatching(/mixed\/m\.onnx.*11\.weight/)]);
    },
  );
});
