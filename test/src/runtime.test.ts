import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { temporary } from "./cli/cli.ts";

const root = resolve(import.meta.dirname, "../..");

test("a model that runs leaves nothing in the user's home or working folder: ONNX Runtime's telemetry is off", () => {
  const folder = temporary();
  for (const name of ["home", "work"]) mkdirSync(join(folder, name));
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
  // Both are plain JavaScript but for the name of the file they import.
  for (const name of ["silence", "runtime"]) {
    const source = readFileSync(join(root, `src/${name}.ts`), "utf8");
    writeFileSync(join(folder, `${name}.js`), source.replace("silence.ts", "silence.js"));
  }
  const model = JSON.stringify(join(root, "models/digits/digits.onnx"));
  writeFileSync(
    join(folder, "run.js"),
    `import { InferenceSession } from "./runtime.js";
const session = await InferenceSession.create(${model});
await session.release();
console.log(process.env.ORT_DISABLE_TELEMETRY);`,
  );
  const output = execFileSync(process.execPath, [join(folder, "run.js")], {
    cwd: join(folder, "work"),
    // A continuous-integration variable would silence it as well, and so would ours.
    env: { PATH: process.env.PATH, HOME: join(folder, "home") },
    encoding: "utf8",
  });
  expect(output.trim()).toBe("1");
  for (const name of ["home", "work"]) expect(readdirSync(join(folder, name))).toEqual([]);
});
