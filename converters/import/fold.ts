import { tf } from "../tf.ts";
import { operator } from "./operator.ts";
import type { PlannedNode } from "./run.ts";
import { type Inputs, toTensor } from "./value.ts";

/**
 * Runs a convolution followed by a BatchNormalization as one convolution. The statistics are frozen, so with
 * f = scale / √(variance + ε):
 *   f · (W ∗ x + b − mean) + bias = (f · W) ∗ x + (bias − f · (mean − b)).
 * W, b, scale and bias remain four parameters: gradients reach each through these small products. The
 * activation between the two nodes is neither computed nor stored for the backward pass, so this needs it to
 * have no other reader.
 * @param logits a value that must not be removed
 */
export function foldBatchNormalization<P extends PlannedNode>(plan: readonly P[], logits: string): P[] {
  const uses = new Map<string, number>([[logits, 1]]);
  for (const { node } of plan)
    for (const name of node.inputs) if (name) uses.set(name, (uses.get(name) ?? 0) + 1);
  const convolutions = new Map<string, P>();
  for (const planned of plan)
    if (planned.node.opType === "Conv" && planned.node.domain !== "com.microsoft")
      convolutions.set(planned.node.outputs[0]!, planned);

  const folded = new Set<P>();
  const fold = (planned: P): P => {
    const { node } = planned;
    const convolution = convolutions.get(node.inputs[0] ?? "");
    if (
      node.opType !== "BatchNormalization" ||
      !convolution ||
      uses.get(node.inputs[0]!) !== 1 ||
      node.outputs.length !== 1 ||
      node.attributes["training_mode"] === 1 ||
      node.attributes["spatial"] === 0
    )
      return planned;
    folded.add(convolution);
    const [x, w, b = ""] = convolution.node.inputs;
    const run = ([image, filter, bias, ...norm]: Inputs) => {
      const [scale, shift, mean, variance] = norm.map((p) => toTensor(p!)) as [
        tf.Tensor,
        tf.Tensor,
        tf.Tensor,
        tf.Tensor,
      ];
      const weights = toTensor(filter!);
      const epsilon = (node.attributes["epsilon"] as number | undefined) ?? 1e-5;
      const factor = tf.div(scale, tf.sqrt(tf.add(variance, tf.scalar(epsilon))));
      const scaled = tf.mul(weights, tf.reshape(factor, [factor.size, ...weights.shape.slice(1).fill(1)]));
      const centre = bias ? tf.sub(mean, toTensor(bias)) : mean;
      return convolution.run(
        [image, scaled, tf.sub(shift, tf.mul(centre, factor))],
        convolution.node.attributes as never,
        { node: convolution.node, opset: convolution.opset, where: convolution.where },
      );
    };
    return {
      ...planned,
      node: { ...node, inputs: [x!, w!, b, ...node.inputs.slice(1)] },
      run: operator(convolution.run.facts, run),
    };
  };
  const after = plan.map(fold);
  return after.filter((planned) => !folded.has(planned));
}
