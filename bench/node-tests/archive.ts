import { readdirSync, readFileSync, statSync } from "node:fs";
import { basename, dirname, join, relative, sep } from "node:path";
import { gunzipSync } from "node:zlib";

/** A test of ONNX's backend test suite: a model, and its input and output tensors, as protobuf bytes. */
export interface NodeTest {
  readonly name: string;
  readonly model: Uint8Array;
  readonly dataSets: readonly { readonly inputs: Uint8Array[]; readonly outputs: Uint8Array[] }[];
}

/** The plain files of a tar archive (POSIX ustar, names up to 255 bytes, GNU long names): path → contents. */
function untar(bytes: Uint8Array): Map<string, Uint8Array> {
  const files = new Map<string, Uint8Array>();
  const text = (from: number, length: number) =>
    new TextDecoder().decode(bytes.subarray(from, from + length)).split("\0")[0]!;
  let longName: string | undefined;
  for (let at = 0; at + 512 <= bytes.length && bytes[at] !== 0; ) {
    const size = Number.parseInt(text(at + 124, 12), 8) || 0;
    const kind = text(at + 156, 1);
    const prefix = text(at + 257, 5) === "ustar" ? text(at + 345, 155) : "";
    const name = longName ?? (prefix ? `${prefix}/${text(at, 100)}` : text(at, 100));
    longName = kind === "L" ? text(at + 512, size) : undefined;
    if (kind === "0" || kind === "") files.set(name, bytes.subarray(at + 512, at + 512 + size));
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return files;
}

function readFolder(folder: string): Map<string, Uint8Array> {
  const names = readdirSync(folder, { recursive: true, withFileTypes: true });
  return new Map(
    names
      .filter((entry) => entry.isFile())
      .map((entry) => {
        const path = join(entry.parentPath, entry.name);
        return [relative(folder, path).split(sep).join("/"), new Uint8Array(readFileSync(path))];
      }),
  );
}

/** Reads every `…/NAME/model.onnx` with its `test_data_set_N/{input,output}_K.pb`, sorted by name. */
export function readTests(path: string): NodeTest[] {
  const files = statSync(path).isDirectory() ? readFolder(path) : untar(gunzipSync(readFileSync(path)));
  const tensors = (folder: string, kind: string) => {
    const found: Uint8Array[] = [];
    for (let k = 0; files.has(`${folder}/${kind}_${k}.pb`); k++)
      found.push(files.get(`${folder}/${kind}_${k}.pb`)!);
    return found;
  };
  const sets = new Set([...files.keys()].filter((name) => name.endsWith(".pb")).map((name) => dirname(name)));
  return [...files]
    .filter(([name]) => basename(name) === "model.onnx")
    .map(([name, model]) => {
      const folder = dirname(name);
      return {
        name: basename(folder),
        model,
        dataSets: [...sets]
          .filter((set) => dirname(set) === folder)
          .sort()
          .map((set) => ({ inputs: tensors(set, "input"), outputs: tensors(set, "output") })),
      };
    })
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}
