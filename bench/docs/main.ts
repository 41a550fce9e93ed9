// npm run docs: writes docs/operators.md from the registry and docs/options.md from the table of options.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { packageRoot } from "../../src/package.ts";
import { optionsPage } from "./options-page.ts";
import { operatorsPage } from "./page.ts";

writeFileSync(join(packageRoot(), "docs/operators.md"), operatorsPage());
writeFileSync(join(packageRoot(), "docs/options.md"), optionsPage());
