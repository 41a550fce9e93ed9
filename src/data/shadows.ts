import { readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { badInput } from "../../converters/errors.ts";
import { openSource } from "./open-source.ts";

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
  /** The model was trained on its members and then made to forget them. */
  readonly unlearned: boolean;
}

/**
 * Reads a folder of shadow models: `shadows.json` = `{ "models": [{ "file", "members", "unlearned"? }] }`,
 * with paths relative to the folder. `members` names an `.npz` with integer arrays `forget` [N_f] and `test`
 * [N_t], 1 where the model was trained on the sample; an absent array means that it was trained on none.
 * @throws badInput SHADOWS_INVALID
 */
export async function loadShadows(
  folder: string,
  counts: { readonly forget: number; readonly test: number },
): Promise<readonly ShadowModel[]> {
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
  const models: ShadowModel[] = [];
  for (const { file, members, unlearned } of parsed.models) {
    const arrays = await (await openSource(join(folder, members), members)).gather();
    const flags = (name: "forget" | "test") => {
      const array = arrays.get(name);
      if (array && array.data.length !== counts[name])
        throw wrong(
          `names ${members}, whose array "${name}" has ${array.data.length} values for ${counts[name]} samples`,
        );
      return array ? Uint8Array.from(array.data, (v) => Number(v !== 0)) : new Uint8Array(counts[name]);
    };
    models.push({ file: join(folder, file), forget: flags("forget"), test: flags("test"), unlearned });
  }
  return models;
}
