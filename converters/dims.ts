/** Number of elements of a tensor of this shape; 1 for a scalar's []. */
export const elementCount = (dims: readonly number[]): number => dims.reduce((a, b) => a * b, 1);
