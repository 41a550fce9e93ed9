// node build/bench/release/main.js vVERSION: prints the notes of a release for its tag, which must be the
// package's version.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { packageRoot, packageVersion } from "../../src/package.ts";
import { releaseNotes } from "./notes.ts";

const tag = process.argv[2];
const version = packageVersion();
if (tag !== `v${version}`) throw new Error(`the tag is ${tag}, but package.json has version ${version}`);
console.log(releaseNotes(readFileSync(join(packageRoot(), "CHANGELOG.md"), "utf8"), version));
