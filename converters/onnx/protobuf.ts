import { Reader, Writer } from "protobufjs/minimal.js";

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

/** A reader over `bytes[from, to)`; positions stay those of the whole file. */
export function readerOf(bytes: Uint8Array, from = 0, to = bytes.length): Reader {
  const reader = Reader.create(bytes);
  reader.pos = from;
  reader.len = to;
  return reader;
}

/** The shortest varint of an unsigned 32-bit number. */
export const encodeVarint = (value: number): Uint8Array => Writer.create().uint32(value).finish();

/** The varint of a signed 32-bit number; ten bytes where it is negative. */
export const encodeSigned = (value: number): Uint8Array => Writer.create().int32(value).finish();

/**
 * The fields of the message in `bytes[from, to)`, in file order.
 * @throws RangeError where a field runs past `to`, Error where the bytes cannot be protobuf
 */
export function* fields(bytes: Uint8Array, from = 0, to = bytes.length): Generator<Field> {
  const reader = readerOf(bytes, from, to);
  while (reader.pos < to) {
    const tag = reader.pos;
    const key = reader.uint32();
    if (key >>> 3 === 0) throw new Error(`field number 0 at byte ${tag} does not exist`);
    const wire = key & 7;
    const prefix = reader.pos;
    const length = wire === 2 ? reader.uint32() : undefined;
    const body = reader.pos;
    if (length === undefined) reader.skipType(wire);
    else reader.skip(length);
    if (reader.pos > to) throw new RangeError(`field ${key >>> 3} at byte ${tag} runs past byte ${to}`);
    yield { number: key >>> 3, wire, tag, prefix, body, end: reader.pos };
  }
}
