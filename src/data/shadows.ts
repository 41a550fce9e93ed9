import { readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { badInput } from "../../converters/errors.ts";
import { readNpz } from "./npz.ts";

const manifest = z.strictObject({
  models: z
    .array(z.strictObject({ file: z.string(), members: z.string(), unlearned: z.boolean().default(false) }))
    .min(1),
});

/** A reference model for membership attacks. */
export interface ShadowModel {
  readonly file: string;
  /** 1 where the sample of the forget (test) set was in its training data. */
  readonly forget: Uint8Array;
  readonly test: Uint8Array;
  /** It was trained on its members and then made to forget them. */
  readonly unlearned: boolean;
}

/**
 * Reads a folder of shadow models: `shadows.json` = `{ "models": [{ "file", "members", "unlearned"? }] }`,
 * paths relative to the folder; `members` is an `.npz` with integer arrays `forget` [N_f] and `test` [N_t] of
 * 0 and 1 (an absent one means none).
 * @throws badInput SHADOWS_INVALID
 */
export function loadShadows(
  folder: string,
  counts: { readonly forget: number; readonly test: number },
): readonly ShadowModel[] {
  const path = join(folder, "shadows.json");
  const wrong = (why: string) =>
    badInput("SHADOWS_INVALID", `${path} ${why}; see "Shadow models" in docs/evaluation.md for its form.`);
  let parsed: z.infer<typeof manifest>;
  try {
    parsed = manifest.parse(JSON.parse(readFileSync(path, "utf8")));
  } catch (error) {
    if (error instanceof z.ZodError)
      throw wrong(`is wrong at "${error.issues[0]!.path.join(".")}": ${error.issues[0]!.message}`);
    throw wrong(`cannot be read (${(error as NodeJS.ErrnoException).code ?? "not JSON"})`);
  }
  return parsed.models.map(({ file, members, unlearned }) => {
    const arrays = readNpz(join(folder, members));
    const flags = (name: "forget" | "test") => {
      const array = arrays.get(name);
      if (array && array.data.length !== counts[name])
        throw wrong(
          `names ${members}, whose array "${name}" has ${array.data.length} values for ${counts[name]} samples`,
        );
      return array ? Uint8Array.from(array.data, (v) => Number(v !== 0)) : new Uint8Array(counts[name]);
    };
    return { file: join(folder, file), forget: flags("forget"), test: flags("test"), unlearned };
  });
}
