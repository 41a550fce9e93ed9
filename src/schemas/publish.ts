// npm run schemas: writes docs/schemas. A test fails if these files differ from documents.ts.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { packageRoot } from "../package.ts";
import { documents, inputDocuments, schemaText } from "./documents.ts";

const folder = join(packageRoot(), "docs", "schemas");
mkdirSync(folder, { recursive: true });
for (const name of Object.keys({ ...documents, ...inputDocuments }))
  writeFileSync(join(folder, `${name}.schema.json`), schemaText(name));
