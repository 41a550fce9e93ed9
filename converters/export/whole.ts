import { createHash, randomBytes } from "node:crypto";
import {
  closeSync,
  existsSync,
  fchmodSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { hostname } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { badInput } from "../errors.ts";
import { externalEntries } from "../graph/payloads.ts";
import { readBytes } from "../onnx/external.ts";
import { isStream } from "./outputs.ts";

const digest = (bytes: Uint8Array | string): string => createHash("sha256").update(bytes).digest("hex");

/** Which machine and process an unfinished file is of, and which one of those that had this number. */
const HOST = digest(hostname()).slice(0, 8);
const START = randomBytes(4).toString("hex");
const MARK = `.${HOST}-${process.pid}-${START}.unfinished`;
const UNFINISHED = /\.([0-9a-f]{8})-(\d+)-([0-9a-f]{8})\.unfinished$/;
/** Unfinished files of another machine count as left over after this time. */
const HOUR = 3_600_000;

/** The name of changed external data: by its content, so that it never takes the place of other data. */
export const contentName = (location: string, bytes: Uint8Array): string =>
  `${basename(location).replace(CONTENT_NAME, "")}.${digest(bytes).slice(0, 16)}.data`;
const CONTENT_NAME = /\.[0-9a-f]{16}\.data$/;

/** Takes away what was begun: another error is on its way already. */
const discard = (path: string): void => {
  try {
    rmSync(path, { recursive: true, force: true });
  } catch {
    // It is found by its name later.
  }
};

const syncFolder = (folder: string): void => {
  try {
    const handle = openSync(folder, "r");
    fsyncSync(handle);
    closeSync(handle);
  } catch {
    // Not every system can: then the rename is as durable as the system makes it.
  }
};

/** Writes beside the target, to the disk. @returns the path to rename */
function stage(target: string, content: Uint8Array | string, mode?: number): string {
  const path = `${target}${MARK}`;
  discard(path);
  try {
    const handle = openSync(path, "wx", mode);
    try {
      if (mode !== undefined) fchmodSync(handle, mode);
      writeFileSync(handle, content);
      fsyncSync(handle);
    } finally {
      closeSync(handle);
    }
  } catch (error) {
    discard(path);
    throw error;
  }
  return path;
}

const modeOf = (path: string): number | undefined => {
  const mode = statSync(path, { throwIfNoEntry: false })?.mode;
  return mode === undefined ? undefined : mode & 0o777;
};

const failed = (path: string, error: unknown) =>
  badInput(
    "OUTPUT_FAILED",
    `${path} could not be written (${(error as NodeJS.ErrnoException).code ?? String(error)}); free space or choose another folder.`,
  );

/**
 * A file that appears whole or not at all. A device is written into.
 * @throws badInput OUTPUT_FAILED
 */
export function writeWhole(path: string, content: Uint8Array | string): void {
  const target = resolve(path);
  try {
    if (isStream(path)) writeFileSync(path, content);
    else renameSync(stage(target, content, modeOf(target)), target);
  } catch (error) {
    discard(`${target}${MARK}`);
    throw failed(path, error);
  }
  syncFolder(dirname(target));
}

/** Makes a file that only its owner can read, whole or not at all; one that another process made first stays. */
export function createSecret(path: string, content: string): void {
  const staged = stage(resolve(path), content, 0o600);
  try {
    linkSync(staged, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return;
    // A file system without hard links.
    renameSync(staged, path);
  } finally {
    rmSync(staged, { force: true });
  }
}

/** External data that a model file names; none where it cannot be read. */
function locationsOf(path: string): readonly string[] {
  try {
    return externalEntries(readBytes(path)).map(({ location }) => location);
  } catch {
    return [];
  }
}

/**
 * Removes external data named by their content that no file of the folder mentions any more.
 * @param except unfinished files whose mention does not count
 */
function removeUnused(folder: string, locations: Iterable<string>, except: readonly string[] = []): string[] {
  const unused = new Set([...locations].filter((name) => CONTENT_NAME.test(name) && name === basename(name)));
  for (const name of unused) if (!existsSync(join(folder, name))) unused.delete(name);
  if (unused.size === 0) return [];
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.isDirectory() || CONTENT_NAME.test(entry.name) || except.includes(entry.name)) continue;
    let content: Buffer;
    try {
      content = readFileSync(join(folder, entry.name));
    } catch {
      // It may mention all of them.
      return [];
    }
    for (const name of unused) if (content.includes(name)) unused.delete(name);
  }
  for (const name of unused) rmSync(join(folder, name), { force: true });
  return [...unused];
}

const isSame = (path: string, bytes: Uint8Array): boolean => {
  const found = statSync(path, { throwIfNoEntry: false });
  return found?.isFile() === true && found.size === bytes.length && readFileSync(path).equals(bytes);
};

/** Other data under the name of a file that the model needs: it may belong to another model. */
export function refuseOtherData(out: string, sideFiles: ReadonlyMap<string, Uint8Array>): void {
  for (const [name, bytes] of sideFiles) {
    const path = join(dirname(resolve(out)), name);
    if (!CONTENT_NAME.test(name) && existsSync(path) && !isSame(path, bytes))
      throw badInput(
        "OUTPUT_EXISTS",
        `${path} exists and is not the data file of that name which ${basename(out)} needs, so it may be another model's; choose another folder.`,
      );
  }
}

/**
 * Puts a model in place, whole or not at all: all of it is on the disk first, its external data then appear under
 * names that no other content has, and renaming the model file is the commit. Cut off at any moment, the model that
 * was there has all its data; what is left over is found by its name ({@link undoUnfinished}).
 * @throws badInput OUTPUT_EXISTS, OUTPUT_FAILED; nothing new then remains
 */
export function commitModel(
  out: string,
  bytes: Uint8Array,
  sideFiles: ReadonlyMap<string, Uint8Array>,
): void {
  refuseOtherData(out, sideFiles);
  const folder = dirname(out);
  const replaced = locationsOf(out);
  const undo: string[] = [];
  try {
    undo.push(`${out}${MARK}`);
    const model = stage(out, bytes, modeOf(out));
    for (const [name, data] of sideFiles) {
      const target = join(folder, name);
      if (isSame(target, data)) continue;
      const created = mkdirSync(dirname(target), { recursive: true });
      if (created !== undefined) undo.push(created);
      undo.push(`${join(folder, basename(name))}${MARK}`);
      const staged = stage(join(folder, basename(name)), data);
      const isNew = !existsSync(target);
      renameSync(staged, target);
      if (isNew) undo.push(target);
      syncFolder(dirname(target));
    }
    renameSync(model, out);
  } catch (error) {
    undo.reverse().forEach(discard);
    throw failed(out, error);
  }
  syncFolder(folder);
  removeUnused(folder, replaced);
}

/** Takes a model away, and of its external data those that were made for it and serve no other. */
export function removeModel(path: string): void {
  const locations = locationsOf(path);
  rmSync(path, { force: true });
  if (existsSync(dirname(path))) removeUnused(dirname(path), locations);
}

/** Whether the process that makes an unfinished file still works on it. */
function isUnderWay(path: string, [, host, pid, start]: RegExpExecArray): boolean {
  if (host !== HOST) return Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0) < HOUR;
  if (Number(pid) === process.pid) return start === START;
  try {
    process.kill(Number(pid), 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/**
 * Undoes what was cut off while it was written into these folders, and says so; files of a process that still works
 * stay.
 * @param tell is given one sentence per folder
 */
export function undoUnfinished(folders: Iterable<string>, tell: (sentence: string) => void): void {
  for (const folder of new Set([...folders].map((path) => resolve(path)))) {
    let names: string[];
    try {
      names = readdirSync(folder);
    } catch {
      continue;
    }
    const left = names.filter((name) => {
      const mark = UNFINISHED.exec(name);
      return mark !== null && !isUnderWay(join(folder, name), mark);
    });
    if (left.length === 0) continue;
    try {
      // The data first: the unfinished model says which they are.
      const data = removeUnused(
        folder,
        left.flatMap((name) => locationsOf(join(folder, name))),
        left,
      );
      for (const name of left) rmSync(join(folder, name), { force: true });
      const whole = [...new Set(left.map((name) => name.replace(UNFINISHED, "")))].join(", ");
      tell(
        `An earlier run was cut off in ${folder} while it wrote ${whole}: undone, what was there before stands (removed ${[...left, ...data].join(", ")}).`,
      );
    } catch {
      tell(`${folder} holds files of a run that was cut off and they cannot be removed: ${left.join(", ")}.`);
    }
  }
}
