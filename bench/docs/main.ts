// npm run docs: writes docs/operators.md from the registry.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { packageRoot } from "../../src/package.ts";
import { operatorsPage } from "./page.ts";

writeFileSync(join(packageRoot(), "docs/operators.md"), operatorsPage());
