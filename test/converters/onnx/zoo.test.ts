import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { OnnxUnlearnError } from "../../../converters/errors.ts";
import type { OnnxGraph } from "../../../converters/onnx/model.ts";
import { loadModelFile } from "../../../converters/onnx/read.ts";

const zoo = resolve("../shared/models/zoo");
const present = existsSync(zoo);
if (!present) console.log(`skipped: no model zoo at ${zoo}`);

interface IndexEntry {
  readonly file: string;
  readonly ir: number;
  readonly opset: Readonly<Record<string, number>>;
  readonly ops: Readonly<Record<string, number>>;
}

/** Subgraphs of If, Loop and Scan included, as the index counts them. */
function countOperators(graph: OnnxGraph, counts: Record<string, number>): void {
  for (const { opType, domain, attributes } of graph.nodes) {
    const operator = domain ? `${domain}::${opType}` : opType;
    counts[operator] = (counts[operator] ?? 0) + 1;
    for (const value of Object.values(attributes)) {
      if (typeof value === "object" && "nodes" in value) countOperators(value, counts);
    }
  }
}

// index.json was written by the Python onnx package, so it is an independent account of the same files.
test.skipIf(!present)(
  "every model of the zoo reads as the zoo's index says, or is refused with a sentence",
  () => {
    const index: readonly IndexEntry[] = JSON.parse(readFileSync(join(zoo, "index.json"), "utf8"));
    const entries = new Map(index.map((entry) => [entry.file, entry]));
    const files = readdirSync(zoo, { recursive: true }).map(String);
    const refused: string[] = [];
    let compared = 0;
    for (const file of files.filter((name) => name.endsWith(".onnx"))) {
      try {
        const model = loadModelFile(join(zoo, file));
        const entry = entries.get(file);
        if (!entry) continue;
        const counts: Record<string, number> = {};
        countOperators(model.graph, counts);
        expect({ file, ir: model.irVersion, ops: counts }).toEqual({ file, ir: entry.ir, ops: entry.ops });
        compared++;
      } catch (error) {
        if (!(error instanceof OnnxUnlearnError)) throw error;
        refused.push(error.message);
      }
    }
    if (refused.length) console.log(refused.join("\n"));
    console.log(`${compared} models compared with the index, ${refused.length} refused`);
    expect(compared).toBeGreaterThan(0);
    expect(refused.length).toBeLessThan(files.length / 10);
  },
);
