export { elementCount as product } from "../dims.ts";

/** An axis counted from the front; ONNX counts negative ones from the back. */
export const positiveAxis = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis);
