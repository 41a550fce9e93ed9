import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { glossary } from "../../../src/evaluate/glossary.ts";
import { gatesSchema } from "../../../src/gates/schema.ts";
import { pipelineSchema } from "../../../src/release/schema.ts";
import { run } from "../cli/cli.ts";

const docs = join(import.meta.dirname, "../../../docs");
const text = (name: string) => readFileSync(join(docs, name), "utf8");
const blocks = (name: string, language: string) =>
  [...text(name).matchAll(new RegExp(`\`\`\`${language}\n(.*?)\`\`\``, "gs"))].map(([, body]) => body!);

test("the gates of the documentation are gates, the pipeline is a pipeline", () => {
  const [gates] = blocks("evaluation.md", "yaml");
  expect(gatesSchema.parse(parse(gates!)).metrics?.testAccuracy?.maxDrop).toBe("0.5pp");
  const [pipeline] = blocks("pipeline.md", "yaml");
  expect(pipelineSchema.parse(parse(pipeline!)).unlearn.budget).toBe("0.5pp");
});

test("the workflow runs the command it documents", () => {
  const [, workflow] = blocks("pipeline.md", "yaml");
  const { jobs } = parse(workflow!) as { jobs: { scrub: { steps: { run?: string }[] } } };
  expect(jobs.scrub.steps.map((step) => step.run)).toContain("npx onnx-unlearn run pipeline.yaml");
});

test("every option the documentation names exists", async () => {
  const known = new Set<string>();
  for (const command of ["diff", "unlearn", "run", "verify"]) {
    const { stdout } = await run(command, "--help");
    for (const [option] of stdout.matchAll(/--[a-z-]+/g)) known.add(option);
  }
  // Commands of other tools are left out by their first word.
  const ours = [...text("evaluation.md").split("\n"), ...text("pipeline.md").split("\n")].filter(
    (line) =>
      /onnx-unlearn|`--|^ {17}--/.test(line) &&
      !/npm |docker |cosign|openssl|ssh-keygen|--certificate/.test(line),
  );
  const named = ours.flatMap((line) => [...line.matchAll(/--[a-z][a-z-]*/g)].map(([option]) => option));
  expect(named.length).toBeGreaterThan(20);
  for (const option of named) expect(known.has(option), option).toBe(true);
});

test("every metric the documentation names is in the glossary", () => {
  const gates = gatesSchema.parse(parse(blocks("evaluation.md", "yaml")[0]!));
  for (const metric of Object.keys(gates.metrics ?? {})) expect(glossary).toHaveProperty(metric);
});
