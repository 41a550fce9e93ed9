// npm run node-tests -- ARCHIVE_OR_FOLDER…: ONNX's own operator tests, run by this importer and compiler.
import { mkdirSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { readTests } from "./archive.ts";
import { runTests } from "./run.ts";
import { markdown, summary } from "./table.ts";

const OUTPUT = "bench/results/node-tests.md";
const paths = process.argv.slice(2);
if (paths.length === 0) {
  console.error("Give the archives (.tar.gz) or folders that hold …/NAME/model.onnx and test_data_set_N.");
  process.exit(2);
}
const parts: string[] = [];
for (const path of paths) {
  const title = basename(path).replace(/\.tar\.gz$/, "");
  const results = await runTests(readTests(path));
  const part = markdown(title, results);
  parts.push(part);
  console.log(`${part}\n${title}: ${summary(results)}`);
}
mkdirSync("bench/results", { recursive: true });
writeFileSync(OUTPUT, `# ONNX's own operator tests\n\n${parts.join("\n")}`);
console.log(`written to ${OUTPUT}`);
