import { ERRORS, EXIT_STATUSES } from "../../converters/error-codes.ts";

/** The table of error codes as a page: `docs/errors.md`. */
export function errorsPage(): string {
  const codes = Object.entries(ERRORS).sort(([a], [b]) => (a < b ? -1 : 1));
  return `# Errors

Written by \`npm run docs\`; do not edit.

An error is one sentence on stderr that says what was wrong, where, and what to do. With \`--json\` it is also one document on
stdout, \`{ "error": { "code", "message", "exitCode" } }\` ([schema](schemas/error.schema.json)); functions of the library throw
an \`OnnxUnlearnError\` with the same three. Codes are stable across versions; match on them, not on messages.

## Exit statuses

| status | meaning |
| --- | --- |
${Object.entries(EXIT_STATUSES)
  .map(([status, meaning]) => `| ${status} | ${meaning} |`)
  .join("\n")}

## Codes

| code | exit status | meaning | remedy |
| --- | --- | --- | --- |
${codes.map(([code, { exit, meaning, remedy }]) => `| \`${code}\` | ${exit.join(", ")} | ${meaning} | ${remedy} |`).join("\n")}
`;
}
