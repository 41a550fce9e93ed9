import { randomUUID } from "node:crypto";
import { type BigIntStats, constants, statSync } from "node:fs";
import { access, link, mkdir, mkdtemp, open, realpath, rename, rm } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { badInput } from "../errors.ts";
import type { OnnxModel } from "../onnx/model.ts";
import { type PatchResult, patchModel } from "./patch.ts";

/** How an export treats existing files. */
export interface ExportOptions {
  /** Replace existing files; default false. */
  readonly force?: boolean;
}

const stat = (path: string): BigIntStats | undefined => {
  try {
    return statSync(path, { bigint: true });
  } catch {
    return undefined;
  }
};

/** The same file under two names: equal paths, symbolic links and hard links alike. */
function isSameFile(a: string, b: string): boolean {
  if (resolve(a) === resolve(b)) return true;
  const [first, second] = [stat(a), stat(b)];
  return first !== undefined && second !== undefined && first.dev === second.dev && first.ino === second.ino;
}

const unwritable = (folder: string) =>
  badInput(
    "OUTPUT_FOLDER",
    `The folder ${folder} cannot be written to; choose another or change its permissions.`,
  );

/**
 * Checks that the output's folder is writable by creating a folder in it: for root, access() allows every
 * folder.
 * @throws badInput OUTPUT_FOLDER
 */
export async function refuseUnwritable(out: string): Promise<void> {
  const folder = dirname(resolve(out));
  try {
    await rm(await mkdtemp(join(folder, ".onnx-unlearn-")), { recursive: true });
  } catch {
    throw unwritable(folder);
  }
}

/**
 * Checks an output path before any work is done.
 * @throws badInput OUTPUT_IS_INPUT, OUTPUT_FOLDER, OUTPUT_EXISTS
 */
export async function refuseBadTarget(model: OnnxModel, out: string, force = false): Promise<void> {
  const sides = [...(model.sideFiles?.keys() ?? [])];
  const folder = dirname(resolve(out));
  const source = model.path;
  if (source !== undefined && isSameFile(source, out)) {
    throw badInput(
      "OUTPUT_IS_INPUT",
      `${out} is the input model itself, which is never overwritten; choose another output path.`,
    );
  }
  if (!stat(folder)?.isDirectory()) {
    throw badInput(
      "OUTPUT_FOLDER",
      `There is no folder ${folder} to write ${basename(out)} into; create it first.`,
    );
  }
  if (source !== undefined && sides.length > 0) {
    if ((await realpath(folder)) === (await realpath(dirname(resolve(source))))) {
      throw badInput(
        "OUTPUT_FOLDER",
        `${source} keeps its weights in side files whose names cannot change, so the output needs another folder than ${folder}; choose one.`,
      );
    }
  }
  try {
    await access(folder, constants.W_OK);
  } catch {
    throw unwritable(folder);
  }
  for (const [target, input] of [
    [out, undefined] as const,
    ...sides.map((side) => [join(folder, side), source && join(dirname(source), side)] as const),
  ]) {
    if (input !== undefined && isSameFile(input, target)) {
      throw badInput(
        "OUTPUT_IS_INPUT",
        `${target} is a data file of the input model, which is never overwritten; choose another folder.`,
      );
    }
    const found = stat(target);
    if (found?.isDirectory())
      throw badInput("OUTPUT_EXISTS", `${target} is a folder; give a file name for the output.`);
    if (found && !force) {
      throw badInput(
        "OUTPUT_EXISTS",
        `${target} already exists; choose another path or allow it to be replaced.`,
      );
    }
  }
}

async function writeDurably(path: string, bytes: Uint8Array): Promise<void> {
  const file = await open(path, "wx");
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
}

/**
 * Writes all files or none: each is written beside its target and synced, then renamed in order. A failure
 * undoes the renames.
 */
async function commitFiles(files: readonly (readonly [target: string, bytes: Uint8Array])[]): Promise<void> {
  const mark = randomUUID();
  const staged = (target: string) => `${target}.${mark}.tmp`;
  const saved = (target: string) => `${target}.${mark}.old`;
  const undo: (() => Promise<void>)[] = [];
  try {
    for (const [target, bytes] of files) {
      const created = await mkdir(dirname(target), { recursive: true });
      if (created !== undefined) undo.push(() => rm(created, { recursive: true, force: true }));
      undo.push(() => rm(staged(target), { force: true }));
      await writeDurably(staged(target), bytes);
    }
    for (const [target] of files) {
      if (stat(target)) {
        await link(target, saved(target));
        undo.push(() => rename(saved(target), target));
      } else {
        undo.push(() => rm(target, { force: true }));
      }
      await rename(staged(target), target);
    }
  } catch (error) {
    for (const step of undo.reverse()) await step().catch(() => undefined);
    throw error;
  }
  for (const [target] of files) await rm(saved(target), { force: true }).catch(() => undefined);
}

/**
 * Writes the model with new weights to `out`. Every file is complete before it gets its name; side files come
 * first and the model last. On failure no new file remains and replaced files are restored.
 * @param weights initializer name or Constant output name → one float32 value per element, row-major
 * @throws badInput (exit 2) "OUTPUT_IS_INPUT", "OUTPUT_EXISTS", "OUTPUT_FOLDER", "OUTPUT_FAILED",
 *   "UNKNOWN_TENSOR", "NOT_A_FLOAT_TENSOR" or "WEIGHT_SIZE"; verificationFailed (exit 4) "WEIGHT_NOT_FINITE"
 */
export async function exportModel(
  model: OnnxModel,
  weights: ReadonlyMap<string, Float32Array>,
  out: string,
  { force = false }: ExportOptions = {},
): Promise<PatchResult> {
  await refuseBadTarget(model, out, force);
  const result = patchModel(model, weights);
  await writeModel(model, result, out, { force });
  return result;
}

/**
 * Writes a patched model, see {@link exportModel}.
 * @param model the model that was patched
 */
export async function writeModel(
  model: OnnxModel,
  result: PatchResult,
  out: string,
  { force = false }: ExportOptions = {},
): Promise<void> {
  await refuseBadTarget(model, out, force);
  const folder = dirname(resolve(out));
  const files = [...result.sideFiles].map(([side, bytes]) => [join(folder, side), bytes] as const);
  try {
    await commitFiles([...files, [resolve(out), result.bytes]]);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    throw badInput(
      "OUTPUT_FAILED",
      `${out} could not be written (${code}); free space or choose another folder.`,
    );
  }
}
