// npm run readme: fills the markers of the README and docs/benchmarks.md, so that no figure there is typed.
// npm run readme -- PAGE fills one page and draws nothing.
//   <!-- output: onnx-unlearn … --> … <!-- /output -->   what the command prints
//   … or node examples/…, after npm run build
//   docs/front.svg                                     the picture of the front, from `onnx-unlearn sweep`
//   <!-- file: PATH --> … <!-- /file -->                 a table that a bench script wrote
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { main } from "../../src/cli/main.ts";
import { packageRoot } from "../../src/package.ts";

const fenced = (text: string) => `\`\`\`text\n${text.replaceAll(tmpdir(), "/tmp").trimEnd()}\n\`\`\``;

async function output(command: string): Promise<string> {
  const [name, ...argv] = command.split(/\s+/);
  if (name === "node")
    return fenced(execFileSync(name, argv, { cwd: packageRoot(), encoding: "utf8", stdio: "pipe" }));
  if (name !== "onnx-unlearn") throw new Error(`only onnx-unlearn and node can be run: ${command}`);
  let text = "";
  const out = (part: string) => {
    text += part;
  };
  const code = await main(argv, { out, err: () => {} });
  if (code !== 0) throw new Error(`${command} ended with exit code ${code}`);
  return fenced(text);
}

const fillers: Readonly<Record<string, (argument: string) => string | Promise<string>>> = {
  output,
  file: (path) => readFileSync(join(packageRoot(), path), "utf8").trimEnd(),
};

/** The front that the README shows: the digits classifier, five methods over three budgets. */
async function drawFront(): Promise<void> {
  const digits = join(packageRoot(), "models/digits");
  const folder = mkdtempSync(join(tmpdir(), "onnx-unlearn-front-"));
  // Validation data the model never saw: a tenth of the retained digits is at 100 % before and after, which
  // shows nothing.
  const files = { forget: "forget", retain: "retain", validation: "test" };
  const sets = Object.entries(files).flatMap(([set, file]) => [
    `--${set}`,
    join(digits, `digits-${file}.npz`),
  ]);
  const grid = ["--methods", "eupmu-fast,eupmu,explicit,random-label,finetune", "--budgets", "0.2pp,1pp,3pp"];
  await output(
    [
      "onnx-unlearn",
      "sweep",
      ...["--model", join(digits, "digits.onnx"), ...sets, "--scale", "16", "--mean", "0.5", "--std", "0.5"],
      ...["--reference", join(digits, "digits-retrained.onnx"), "--folder", folder, ...grid],
      ...["--", "--batch-size", "64", "--goal", "gone"],
    ].join(" "),
  );
  copyFileSync(join(folder, "front.svg"), join(packageRoot(), "docs/front.svg"));
}

const chosen = process.argv.slice(2);
if (chosen.length === 0) await drawFront();
for (const name of chosen.length > 0 ? chosen : ["README.md", "docs/benchmarks.md", "examples/README.md"]) {
  const path = join(packageRoot(), name);
  const page = readFileSync(path, "utf8");
  let filled = "";
  let at = 0;
  for (const marker of page.matchAll(/<!-- (output|file): (.*?) -->\n[\s\S]*?<!-- \/\1 -->/g)) {
    const [whole, kind, argument] = marker as unknown as [string, string, string];
    const content = await fillers[kind]!(argument);
    filled += page.slice(at, marker.index);
    filled += `<!-- ${kind}: ${argument} -->\n${content}\n<!-- /${kind} -->`;
    at = marker.index + whole.length;
  }
  writeFileSync(path, filled + page.slice(at));
}
