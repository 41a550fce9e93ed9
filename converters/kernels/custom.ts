import { tf } from "../tf.ts";
import type { KernelAttributes, KernelName } from "./attributes.ts";
import "./piecewise.ts";

/**
 * The eager tfjs backends, and whether `native` is tried first on them: not on the JavaScript backend, which
 * is the reference.
 */
const EAGER_BACKENDS = { cpu: false, tensorflow: true } as const;

/** A kernel as a function of tensors. */
export type Kernel<Attributes> = (inputs: readonly tf.Tensor[], attributes: Attributes) => tf.Tensor;

/**
 * Defines a kernel with ONNX semantics that tfjs lacks. `composed` runs on every eager tfjs backend; for the
 * compiler, converters/compile/kernels has a lowering to ONNX nodes.
 * @param composed the kernel in tfjs operators; runs inside tf.tidy, not recorded by the autodiff
 * @param native the same by a compiled kernel of the backend; returns undefined for attributes that it does
 *   not support
 * @param gradient cotangent of each input, in kernels and tfjs operators that can be compiled; `undefined`
 *   marks an input without gradient
 */
export function defineKernel<Name extends KernelName>(spec: {
  readonly name: Name;
  readonly composed: (inputs: readonly tf.Tensor[], attributes: KernelAttributes[Name]) => tf.Tensor;
  readonly native?: (
    inputs: readonly tf.Tensor[],
    attributes: KernelAttributes[Name],
  ) => tf.Tensor | undefined;
  readonly gradient?: (
    dy: tf.Tensor,
    inputs: readonly tf.Tensor[],
    output: tf.Tensor,
    attributes: KernelAttributes[Name],
  ) => readonly ((() => tf.Tensor) | undefined)[];
}): Kernel<KernelAttributes[Name]> {
  for (const [backendName, asked] of Object.entries(EAGER_BACKENDS)) {
    const native = asked ? spec.native : undefined;
    tf.registerKernel({
      kernelName: spec.name,
      backendName,
      kernelFunc: ({ inputs, attrs }) => {
        const given = Object.values(inputs) as tf.Tensor[];
        const attributes = attrs as unknown as KernelAttributes[Name];
        return tf.tidy(() => native?.(given, attributes) ?? spec.composed(given, attributes));
      },
    });
  }
  const { gradient } = spec;
  if (gradient) {
    tf.registerGradient({
      kernelName: spec.name,
      saveAllInputs: true,
      outputsToSave: [true],
      gradFunc: (dy, saved, attrs) => {
        const inputs = saved.slice(0, -1);
        const output = saved[saved.length - 1]!;
        const grads = gradient(dy as tf.Tensor, inputs, output, attrs as unknown as KernelAttributes[Name]);
        return Object.fromEntries(
          inputs.map((input, i) => [`${i}`, grads[i] ?? (() => tf.zeros(input.shape))]),
        );
      },
    });
  }
  return (inputs, attributes) =>
    tf.engine().runKernel(
      spec.name,
      // As an array, so that tfjs can save all inputs; it then names gradients by index.
      [...inputs] as unknown as tf.NamedTensorMap,
      attributes as unknown as tf.NamedAttrMap,
    ) as tf.Tensor;
}
