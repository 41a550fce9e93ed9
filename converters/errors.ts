/** Exit codes of the command line; every error carries the one it leads to. */
export type ExitCode = 1 | 2 | 3 | 4 | 70 | 130;

/**
 * An error meant for the user: one sentence that says what was wrong, where (file, node, sample) and what to do.
 * `code` is stable across versions and safe to match on.
 */
export class OnnxUnlearnError extends Error {
  override readonly name = "OnnxUnlearnError";
  readonly code: string;
  readonly exitCode: ExitCode;

  constructor(code: string, message: string, exitCode: ExitCode) {
    super(message);
    this.code = code;
    this.exitCode = exitCode;
  }
}

/** A gate or a budget failed: exit 1. */
export const gateFailed = (code: string, message: string) => new OnnxUnlearnError(code, message, 1);
/** Wrong use or bad input: exit 2. */
export const badInput = (code: string, message: string) => new OnnxUnlearnError(code, message, 2);
/** This model cannot be trained (node, operator and why): exit 3. */
export const notTrainable = (code: string, message: string) => new OnnxUnlearnError(code, message, 3);
/** The written file did not pass verification: exit 4. */
export const verificationFailed = (code: string, message: string) => new OnnxUnlearnError(code, message, 4);
