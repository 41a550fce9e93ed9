// npm run docs: writes the pages that derive from tables in the code: operators, options, error codes.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { packageRoot } from "../../src/package.ts";
import { errorsPage } from "./errors.ts";
import { optionsPage } from "./options-page.ts";
import { operatorsPage } from "./page.ts";

writeFileSync(join(packageRoot(), "docs/operators.md"), operatorsPage());
writeFileSync(join(packageRoot(), "docs/options.md"), optionsPage());
writeFileSync(join(packageRoot(), "docs/errors.md"), errorsPage());
