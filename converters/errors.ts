import type { CodeOf, ErrorCode, ExitCode } from "./error-codes.ts";

export type { ErrorCode, ExitCode } from "./error-codes.ts";

/** A code can only be thrown with an exit status that the table of codes lists for it. */
type Thrown = { [Exit in ExitCode]: [code: CodeOf<Exit>, message: string, exitCode: Exit] }[ExitCode];

/**
 * An error meant for the user. The message says in one sentence what was wrong, where (file, node, sample)
 * and what to do.
 * `code` is stable across versions and safe to match on; docs/errors.md lists them all.
 */
export class OnnxUnlearnError extends Error {
  override readonly name = "OnnxUnlearnError";
  readonly code: ErrorCode;
  readonly exitCode: ExitCode;

  constructor(...[code, message, exitCode]: Thrown) {
    super(message);
    this.code = code;
    this.exitCode = exitCode;
  }
}

/** A gate or a budget failed: exit 1. */
export const gateFailed = (code: CodeOf<1>, message: string) => new OnnxUnlearnError(code, message, 1);
/** Wrong use or bad input: exit 2. */
export const badInput = (code: CodeOf<2>, message: string) => new OnnxUnlearnError(code, message, 2);
/** This model cannot be trained (node, operator and why): exit 3. */
export const notTrainable = (code: CodeOf<3>, message: string) => new OnnxUnlearnError(code, message, 3);
/** The written file did not pass verification: exit 4. */
export const verificationFailed = (code: CodeOf<4>, message: string) =>
  new OnnxUnlearnError(code, message, 4);
