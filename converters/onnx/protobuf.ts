/** A position in protobuf wire bytes. `end` is exclusive. */
export interface Cursor {
  readonly bytes: Uint8Array;
  at: number;
  readonly end: number;
}

/** One field of a message: `[tag, body)` is its tag (and length prefix), `[body, end)` its value. */
export interface Field {
  readonly number: number;
  /** 0 varint, 1 eight bytes, 2 length-delimited, 3 group, 5 four bytes. */
  readonly wire: number;
  readonly tag: number;
  /** Where the length prefix starts; equals `body` where there is none. */
  readonly prefix: number;
  readonly body: number;
  readonly end: number;
}

/** Low 32 bits of the varint at the cursor, unsigned; moves the cursor behind it. @throws RangeError past the end */
export function readVarint(cursor: Cursor): number {
  let value = 0;
  for (let shift = 0; shift < 70; shift += 7) {
    if (cursor.at >= cursor.end) throw new RangeError(`varint runs past byte ${cursor.end}`);
    const byte = cursor.bytes[cursor.at++]!;
    if (shift < 32) value |= (byte & 0x7f) << shift;
    if (byte < 0x80) return value >>> 0;
  }
  throw new Error(`varint before byte ${cursor.at} is longer than ten bytes`);
}

/** The shortest varint of an unsigned 32-bit number. */
export function encodeVarint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value >>> 0;
  while (rest > 0x7f) {
    bytes.push((rest & 0x7f) | 0x80);
    rest >>>= 7;
  }
  bytes.push(rest);
  return Uint8Array.from(bytes);
}

function skipGroup(cursor: Cursor, number: number): void {
  while (true) {
    const tag = readVarint(cursor);
    if (tag >>> 3 === number && (tag & 7) === 4) return;
    cursor.at = valueBounds(cursor, tag >>> 3, tag & 7).end;
  }
}

function valueBounds(
  cursor: Cursor,
  number: number,
  wire: number,
): { prefix: number; body: number; end: number } {
  const prefix = cursor.at;
  switch (wire) {
    case 0:
      readVarint(cursor);
      return { prefix, body: prefix, end: cursor.at };
    case 1:
      return { prefix, body: prefix, end: prefix + 8 };
    case 2: {
      const length = readVarint(cursor);
      return { prefix, body: cursor.at, end: cursor.at + length };
    }
    case 3:
      skipGroup(cursor, number);
      return { prefix, body: prefix, end: cursor.at };
    case 5:
      return { prefix, body: prefix, end: prefix + 4 };
    default:
      throw new Error(`wire type ${wire} before byte ${prefix} does not exist`);
  }
}

/**
 * The fields of the message in `bytes[from, to)`, in file order.
 * @throws RangeError where a field runs past `to`, Error where the bytes cannot be protobuf
 */
export function* fields(bytes: Uint8Array, from = 0, to = bytes.length): Generator<Field> {
  const cursor: Cursor = { bytes, at: from, end: to };
  while (cursor.at < to) {
    const tag = cursor.at;
    const key = readVarint(cursor);
    if (key >>> 3 === 0) throw new Error(`field number 0 at byte ${tag} does not exist`);
    const bounds = valueBounds(cursor, key >>> 3, key & 7);
    if (bounds.end > to) throw new RangeError(`field ${key >>> 3} at byte ${tag} runs past byte ${to}`);
    cursor.at = bounds.end;
    yield { number: key >>> 3, wire: key & 7, tag, ...bounds };
  }
}
