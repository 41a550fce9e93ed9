/** Number of elements; 1 for no dimensions at all. */
export const product = (dims: readonly number[]): number => dims.reduce((a, b) => a * b, 1);
/** An axis counted from the front; ONNX counts negative ones from behind. */
export const positiveAxis = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis);
