import { tf } from "../tf.ts";
import type { ClipAttributes } from "./attributes.ts";
import { defineKernel, type Kernel } from "./custom.ts";

/** dy where low < y < high, else 0 (also at the bounds). Reads the output, so that the input can be freed. */
const clipGradKernel: Kernel<ClipAttributes> = defineKernel({
  name: "OnnxClipGrad",
  composed: ([dy, y], { low, high }) => {
    const inside = tf.logicalAnd(tf.greater(y!, low), tf.less(y!, high));
    return tf.where(inside, dy!, tf.zerosLike(dy!));
  },
  gradient: (ddx, [, y], _dx, attributes) => [() => clipGradKernel([ddx, y!], attributes), undefined],
});

const clipKernel = defineKernel({
  name: "OnnxClip",
  composed: ([x], { low, high }) => {
    const above = tf.where(tf.less(x!, low), tf.fill(x!.shape, low), x!);
    return tf.where(tf.greater(above, high), tf.fill(x!.shape, high), above);
  },
  gradient: (dy, _x, y, attributes) => [() => clipGradKernel([dy, y], attributes)],
});

/** Float x clipped to two known bounds; where low > high, high wins. */
export const clipBetween = (x: tf.Tensor, low: number, high: number): tf.Tensor =>
  clipKernel([x], { low: Math.fround(low), high: Math.fround(high) });
