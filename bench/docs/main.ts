// npm run docs: writes docs/operators.md from the registry and docs/errors.md from the table of codes.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { packageRoot } from "../../src/package.ts";
import { errorsPage } from "./errors.ts";
import { operatorsPage } from "./page.ts";

writeFileSync(join(packageRoot(), "docs/operators.md"), operatorsPage());
writeFileSync(join(packageRoot(), "docs/errors.md"), errorsPage());
