import type { OnnxNode } from "../onnx/model.ts";
import { tf } from "../tf.ts";
import type { Operator } from "./registry.ts";
import { type Inputs, toTensor } from "./value.ts";

interface Planned {
  readonly node: OnnxNode;
  readonly run: Operator;
  readonly opset: number;
  readonly where: string;
}

/**
 * Runs a convolution and the BatchNormalization behind it as one convolution: with frozen statistics, factor f = scale / √(variance + ε),
 *   f · (W ∗ x + b) + (bias − mean · f) = (f · W) ∗ x + (f · b + bias − mean · f).
 * All four stay parameters of their own and are differentiated through the small products, so no activation is read or kept for them.
 * Only where nobody else reads what stood between.
 * @param logits the value that must remain
 */
export function foldBatchNormalization<P extends Planned>(plan: readonly P[], logits: string): P[] {
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
      run: run as Operator,
    };
  };
  const after = plan.map(fold);
  return after.filter((planned) => !folded.has(planned));
}
