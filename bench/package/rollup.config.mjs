// Writes the parts of the package that TypeScript and require() read: one declaration file per module system,
// the tfjs types beside them, and the CommonJS entry. Run by npm run build, after dist/src is compiled.
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { dts } from "rollup-plugin-dts";

const at = (path) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const TFJS = "@tensorflow/tfjs-core";

/**
 * Browser types that tfjs names. They come from lib.dom, from `@webgpu/types`, which contradicts lib.dom, and
 * from `@types/long`, which is not installed. A program that uses tensors need not have any of them.
 */
const BROWSER =
  `File GPUBuffer HTMLCanvasElement HTMLImageElement HTMLSourceElement HTMLVideoElement ImageBitmap ImageData Long
  Navigator ReadableStream RequestInit Response WebGLContextAttributes WebGLTexture fetch`.split(/\s+/);

const withoutBrowser = {
  name: "without-browser",
  renderChunk: (code) =>
    [
      `// The types of ${TFJS}, Copyright Google LLC, Apache-2.0, without those of the browser.`,
      ...BROWSER.map((name) => `declare const ${name}: unknown;\ntype ${name}<_ = unknown> = unknown;`),
      code.replaceAll(/^\/\/\/ <reference.*\n/gm, ""),
    ].join("\n"),
};

/** The entry for require(): only newer versions of Node load an ES module with it. */
const commonJs = {
  name: "common-js",
  async writeBundle() {
    const values = Object.entries(await import("../../dist/src/index.js"));
    const isAsync = ([, value]) => value?.constructor?.name === "AsyncFunction";
    const names = (entries) => JSON.stringify(entries.map(([name]) => name));
    writeFileSync(
      at("dist/index.cjs"),
      `// Written by npm run build.
"use strict";
try {
  module.exports = require("./src/index.js");
} catch (error) {
  // Before Node 20.19 and 22.12: functions that return a promise load the library when they are called.
  if (error.code !== "ERR_REQUIRE_ESM") throw error;
  for (const name of ${names(values.filter(isAsync))})
    exports[name] = async (...given) => (await import("./src/index.js"))[name](...given);
  for (const name of ${names(values.filter((value) => !isAsync(value)))})
    Object.defineProperty(exports, name, {
      get() {
        throw new Error(\`require("onnx-unlearn").\${name} needs Node 20.19 or 22.12; on this one write await import("onnx-unlearn").\`);
      },
    });
}
`,
    );
  },
};

const quiet = (warning, warn) => warning.code === "UNUSED_EXTERNAL_IMPORT" || warn(warning);

export default [
  {
    input: at(`node_modules/${TFJS}/dist/index.d.ts`),
    output: { file: at("dist/tfjs-core.d.cts") },
    plugins: [dts({ includeExternal: [TFJS] }), withoutBrowser],
  },
  {
    input: at("build/types/src/index.d.ts"),
    external: [TFJS, "zod"],
    onwarn: quiet,
    output: ["index.d.ts", "index.d.cts"].map((name) => ({
      file: at(`dist/${name}`),
      paths: { [TFJS]: "./tfjs-core.cjs" },
    })),
    plugins: [dts(), commonJs],
  },
];
