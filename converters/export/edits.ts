import type { Chunk, LengthPrefix } from "../graph/payloads.ts";
import { encodeVarint } from "../onnx/protobuf.ts";

/** Replace `[start, end)` by `bytes`. */
export interface Edit extends Chunk {
  readonly bytes: Uint8Array;
}

/**
 * Applies edits that may change lengths, and corrects every length prefix around them; all other bytes stay.
 */
export function applyEdits(bytes: Uint8Array, edits: readonly Edit[]): Uint8Array {
  const growth = new Map<number, { prefix: LengthPrefix; delta: number }>();
  const grow = (prefix: LengthPrefix | undefined, delta: number): void => {
    if (!prefix || delta === 0) return;
    const known = growth.get(prefix.at);
    if (known) known.delta += delta;
    else growth.set(prefix.at, { prefix, delta });
  };
  for (const edit of edits) {
    const delta = edit.bytes.length - (edit.end - edit.start);
    for (let prefix = edit.inside; prefix; prefix = prefix.parent) grow(prefix, delta);
  }
  // From the last prefix to the first, so that inner ones come before outer ones: an inner prefix that itself
  // gets longer makes the outer ones grow.
  const all: Edit[] = [...edits];
  for (const { prefix, delta } of [...growth.values()].sort((a, b) => b.prefix.at - a.prefix.at)) {
    if (delta === 0) continue;
    const replacement = encodeVarint(prefix.end - prefix.body + delta);
    const wider = replacement.length - (prefix.body - prefix.at);
    for (let outer = prefix.parent; outer; outer = outer.parent) {
      const known = growth.get(outer.at);
      if (known) known.delta += wider;
    }
    all.push({ start: prefix.at, end: prefix.body, bytes: replacement, inside: undefined });
  }
  all.sort((a, b) => a.start - b.start);
  const size = all.reduce((total, edit) => total + edit.bytes.length - (edit.end - edit.start), bytes.length);
  const result = new Uint8Array(size);
  let read = 0;
  let write = 0;
  for (const edit of all) {
    result.set(bytes.subarray(read, edit.start), write);
    write += edit.start - read;
    result.set(edit.bytes, write);
    write += edit.bytes.length;
    read = edit.end;
  }
  result.set(bytes.subarray(read), write);
  return result;
}
