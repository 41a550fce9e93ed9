import { createRequire } from "node:module";

/**
 * Commander is CommonJS: required as such, its ES module wrapper is not loaded, a tenth of what `--help`
 * takes beside Node.
 */
export const { Command, CommanderError, InvalidArgumentError, Option } = createRequire(import.meta.url)(
  "commander",
) as typeof import("commander");
export type Command = import("commander").Command;
