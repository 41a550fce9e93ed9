import { writeFileSync } from "node:fs";
import { zipSync } from "fflate";

/** numpy.savez of float32 `x` and int64 `y`, written by hand: header, data, and the zip around them. */
export function writeNpz(
  path: string,
  x: Float32Array | Int32Array,
  dims: readonly number[],
  y: Int32Array,
): void {
  const npy = (descr: string, shape: readonly number[], data: ArrayBufferView) => {
    const header = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${shape.join(", ")},), }\n`;
    const head = Buffer.from([
      0x93,
      0x4e,
      0x55,
      0x4d,
      0x50,
      0x59,
      1,
      0,
      header.length & 255,
      header.length >> 8,
    ]);
    return Buffer.concat([
      head,
      Buffer.from(header, "latin1"),
      Buffer.from(data.buffer, data.byteOffset, data.byteLength),
    ]);
  };
  writeFileSync(
    path,
    zipSync({
      "x.npy": npy("<f4", dims, Float32Array.from(x)),
      "y.npy": npy("<i8", [y.length], BigInt64Array.from(y, BigInt)),
    }),
  );
}
