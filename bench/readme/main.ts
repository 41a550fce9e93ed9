// npm run readme: fills the README's markers, so that no figure there is typed.
//   <!-- output: onnx-unlearn … --> … <!-- /output -->   what the command prints
//   <!-- file: PATH --> … <!-- /file -->                 a table that a bench script wrote
import { readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { main } from "../../src/cli/main.ts";
import { packageRoot } from "../../src/package.ts";

async function output(command: string): Promise<string> {
  const [name, ...argv] = command.split(/\s+/);
  if (name !== "onnx-unlearn") throw new Error(`only onnx-unlearn commands can be run: ${command}`);
  let text = "";
  const out = (part: string) => {
    text += part;
  };
  const code = await main(argv, { out, err: () => {} });
  if (code !== 0) throw new Error(`${command} ended with exit code ${code}`);
  return `\`\`\`text\n${text.replaceAll(tmpdir(), "/tmp").trimEnd()}\n\`\`\``;
}

const fillers: Readonly<Record<string, (argument: string) => string | Promise<string>>> = {
  output,
  file: (path) => readFileSync(join(packageRoot(), path), "utf8").trimEnd(),
};

const path = join(packageRoot(), "README.md");
const readme = readFileSync(path, "utf8");
let filled = "";
let at = 0;
for (const marker of readme.matchAll(/<!-- (output|file): (.*?) -->\n[\s\S]*?<!-- \/\1 -->/g)) {
  const [whole, kind, argument] = marker as unknown as [string, string, string];
  const content = await fillers[kind]!(argument);
  filled += readme.slice(at, marker.index);
  filled += `<!-- ${kind}: ${argument} -->\n${content}\n<!-- /${kind} -->`;
  at = marker.index + whole.length;
}
writeFileSync(path, filled + readme.slice(at));
