import { readFileSync } from "node:fs";
import { closestMatch } from "leven";
import { LineCounter, parseDocument } from "yaml";
import { z } from "zod";
import { badInput } from "../../converters/errors.ts";

/** Keys that a schema allows at `path`; undefined if it allows any. */
function knownKeys(schema: z.ZodType, path: readonly PropertyKey[]): readonly string[] | undefined {
  let at: z.ZodType = schema;
  const bare = (type: z.ZodType): z.ZodType =>
    type instanceof z.ZodOptional || type instanceof z.ZodDefault || type instanceof z.ZodNullable
      ? bare(type.unwrap() as z.ZodType)
      : type;
  for (const key of path) {
    at = bare(at);
    if (at instanceof z.ZodObject) at = at.shape[key as string] as z.ZodType;
    else if (at instanceof z.ZodRecord) at = at.valueType as z.ZodType;
    else if (at instanceof z.ZodArray) at = at.element as z.ZodType;
    else return undefined;
    if (!at) return undefined;
  }
  at = bare(at);
  return at instanceof z.ZodObject ? Object.keys(at.shape) : undefined;
}

const dotted = (path: readonly PropertyKey[]): string => path.map(String).join(".");

/** Says what is wrong, to follow the name of the settings. */
function describe(issue: z.core.$ZodIssue, schema: z.ZodType): string {
  if (issue.code === "unrecognized_keys") {
    const key = issue.keys[0]!;
    const known = knownKeys(schema, issue.path) ?? [];
    const nearest = closestMatch(key, [...known], { maxDistance: Math.max(2, Math.ceil(key.length / 2)) });
    const hint = nearest
      ? `; did you mean "${nearest}"?`
      : known.length <= 12
        ? `; known: ${known.join(", ")}`
        : "";
    return `does not know "${dotted([...issue.path, key])}"${hint}`;
  }
  const where = issue.path.length === 0 ? "at its top" : `at "${dotted(issue.path)}"`;
  return `is wrong ${where}: ${issue.message}`;
}

/**
 * Reads a YAML (or JSON) settings file and checks it against its schema.
 * @throws badInput FILE_UNREADABLE; SETTINGS_SYNTAX with the line; SETTINGS_INVALID naming the key and the
 *   nearest known one
 */
export function readSettings<T extends z.ZodType>(path: string, schema: T): z.infer<T> {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw badInput(
      "FILE_UNREADABLE",
      `${path} cannot be read (${(error as NodeJS.ErrnoException).code}); check the path.`,
    );
  }
  const lineCounter = new LineCounter();
  const document = parseDocument(text, { lineCounter, prettyErrors: false });
  const [syntax] = document.errors;
  if (syntax)
    throw badInput(
      "SETTINGS_SYNTAX",
      `${path}, line ${lineCounter.linePos(syntax.pos[0]).line}: ${syntax.message.split("\n")[0]}; mend the YAML.`,
    );
  return checkSettings(path, document.toJS({ maxAliasCount: 100 }) ?? {}, schema);
}

/**
 * Checks settings against their schema and fills in defaults.
 * @throws badInput SETTINGS_INVALID, see {@link readSettings}
 */
export function checkSettings<T extends z.ZodType>(name: string, settings: unknown, schema: T): z.infer<T> {
  const result = schema.safeParse(settings);
  if (!result.success)
    throw badInput("SETTINGS_INVALID", `${name} ${describe(result.error.issues[0]!, schema)}`);
  return result.data;
}
