import { dirname } from "node:path";
import type { ExitCode } from "../../converters/errors.ts";

/** Where output goes: results to stdout, everything else to stderr. */
export interface Io {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  /** The terminal that `err` writes to, for a progress bar; undefined: plain lines. */
  readonly terminal?: NodeJS.WriteStream;
  /** The work is done and printed, but its verdict is no: exit with this code all the same. */
  readonly exitWith?: (code: ExitCode) => void;
  /** Runs a command of this program elsewhere; undefined: in a process of its own. */
  readonly runCommand?: (
    argv: readonly string[],
  ) => Promise<{ readonly code: number; readonly stdout: string }>;
  /** Asks a long command to stop: exit 130, nothing half-written. */
  readonly signal?: AbortSignal;
}

/** Undoes what an earlier command was cut off at beside these files, and says so. */
export async function tidyBeside(io: Io, ...paths: readonly string[]): Promise<void> {
  const { undoUnfinished } = await import("../../converters/export/whole.ts");
  undoUnfinished(paths.map(dirname), (sentence) => io.err(`${sentence}\n`));
}

/** `--json`: exactly one JSON document on stdout. */
export const printJson = (io: Io, document: unknown): void => io.out(`${JSON.stringify(document)}\n`);

/** What a document warns of, on stderr. */
export const printWarnings = (io: Io, { warnings }: { readonly warnings: readonly string[] }): void => {
  for (const warning of warnings) io.err(`warning: ${warning}\n`);
};
