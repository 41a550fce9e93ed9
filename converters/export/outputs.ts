import { accessSync, type BigIntStats, constants, lstatSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { badInput } from "../errors.ts";
import type { OnnxModel } from "../onnx/model.ts";

/** A file of a command, and what the user calls it. */
export interface NamedFile {
  readonly role: string;
  readonly path: string;
}

export interface Output extends NamedFile {
  /** It is of this program, from an earlier start of the same work, and may be replaced. */
  readonly own?: boolean;
  /** It may be a pipe, a terminal or another device, into which is written. */
  readonly stream?: boolean;
}

/** Everything that a command reads and everything that it will write. */
export interface Claim {
  readonly inputs: readonly NamedFile[];
  readonly outputs: readonly Output[];
  /** Replace outputs that exist. */
  readonly force?: boolean;
  /** The file that names them all: its errors start with it. */
  readonly from?: string;
  /** Folders that do not exist will be made. */
  readonly makes?: boolean;
  /** Try out every folder: to root each says that it can be written to. Default true. */
  readonly probe?: boolean;
}

const known = (path: string): BigIntStats | undefined => {
  try {
    return statSync(path, { bigint: true, throwIfNoEntry: false });
  } catch {
    // A file stands where the path has a folder, or a folder is closed to us.
    return undefined;
  }
};
const isThere = (path: string): boolean => {
  try {
    return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
  } catch {
    return false;
  }
};

/** Names that differ only in case are one file to these systems' usual file systems. */
const fold = (name: string): string =>
  process.platform === "linux" ? name : name.normalize("NFC").toLowerCase();

/** Equal for every name of a file: symbolic links, hard links, other spellings; also of one not made yet. */
function identityOf(path: string): string {
  const found = known(path);
  if (found) return `${found.dev}:${found.ino}`;
  const absolute = resolve(path);
  const folder = dirname(absolute);
  return folder === absolute ? absolute : `${identityOf(folder)}/${fold(basename(absolute))}`;
}

/** What is written into, not replaced: a device, a pipe, or an open file of the shell. */
export function isStream(path: string): boolean {
  const found = known(path);
  if (/^\/(dev|proc\/self)\/(stdout|stderr|fd\/\d+)$/.test(resolve(path))) return true;
  return found !== undefined && !found.isFile() && !found.isDirectory();
}

/** The folder, or where it has yet to be made the nearest one above it that exists. */
const existingFolder = (folder: string): string =>
  isThere(folder) || dirname(folder) === folder ? folder : existingFolder(dirname(folder));

/** @param from the file that names the outputs, see {@link Claim} */
const sentence = (from: string | undefined, text: string): string =>
  from === undefined ? `${text[0]?.toUpperCase()}${text.slice(1)}` : `${from}: ${text}`;

function refuseFolder(
  { role, path }: Output,
  { from, makes, probe = true }: Claim,
  probed: Set<string>,
): void {
  const wanted = dirname(resolve(path));
  const folder = makes ? existingFolder(wanted) : wanted;
  if (!known(folder)?.isDirectory())
    throw badInput(
      "OUTPUT_FOLDER",
      sentence(from, `there is no folder ${folder} to write ${role} into; create it first.`),
    );
  try {
    accessSync(known(path)?.isFile() ? path : folder, constants.W_OK);
    accessSync(folder, constants.W_OK);
    if (probe && !probed.has(folder))
      rmSync(mkdtempSync(join(folder, ".onnx-unlearn-")), { recursive: true });
    probed.add(folder);
  } catch {
    throw badInput(
      "OUTPUT_FOLDER",
      sentence(
        from,
        `${role}, ${path}, cannot be written to; choose another path or change its permissions.`,
      ),
    );
  }
}

/**
 * The one place that decides whether a command may write what it was asked to, before any work: no output is an
 * input or another output under any name (device and inode count), and none that exists is replaced without
 * `force`.
 * @throws badInput OUTPUT_IS_INPUT, OUTPUT_CLASH, OUTPUT_FOLDER, OUTPUT_EXISTS
 */
export function claimOutputs(claim: Claim): void {
  const { inputs, outputs, force = false, from } = claim;
  const read = new Map(inputs.map((input) => [identityOf(input.path), input] as const).reverse());
  const written = new Map<string, Output>();
  const probed = new Set<string>();
  for (const output of outputs) {
    const { role, path, stream = false } = output;
    const identity = identityOf(path);
    const input = read.get(identity);
    if (input)
      throw badInput(
        "OUTPUT_IS_INPUT",
        sentence(
          from,
          `${role} would replace ${input.role}, ${input.path}; inputs are never overwritten: choose another path.`,
        ),
      );
    if (stream && isStream(path)) continue;
    const other = written.get(identity);
    if (other)
      throw badInput(
        "OUTPUT_CLASH",
        sentence(from, `${role} and ${other.role} are the same file, ${path}; give each its own.`),
      );
    written.set(identity, output);
  }
  for (const output of written.values()) {
    const { role, path, own = false } = output;
    if (known(path)?.isDirectory())
      throw badInput("OUTPUT_EXISTS", sentence(from, `${role}, ${path}, is a folder; give a file name.`));
    if (isStream(path))
      throw badInput(
        "OUTPUT_EXISTS",
        sentence(from, `${role}, ${path}, is no regular file; give a file name.`),
      );
    refuseFolder(output, claim, probed);
    if (isThere(path) && !own && !force)
      throw badInput(
        "OUTPUT_EXISTS",
        sentence(from, `${role}, ${path}, already exists; choose another path or allow it to be replaced.`),
      );
  }
}

/** A model's file and its external data; none for a model in memory. */
export function modelFiles(role: string, { path, sideFiles }: OnnxModel): readonly NamedFile[] {
  if (path === undefined) return [];
  const sides = [...(sideFiles?.keys() ?? [])].map((side) => join(dirname(path), side));
  return [{ role, path }, ...sides.map((side) => ({ role: `a data file of ${role}`, path: side }))];
}
