/** Number of elements of a tensor of this shape; 1 for a scalar's []. */
export const elementCount = (dims: readonly number[]): number => dims.reduce((a, b) => a * b, 1);

/** Whether two shapes are equal. */
export const sameDims = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((d, i) => d === b[i]);

/** An axis counted from the front; ONNX counts negative ones from the back. */
export const positiveAxis = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis);

/** The largest finite float32. */
export const LARGEST_FLOAT32 = 3.4028234663852886e38;
