// A CommonJS program: compiled strictly under several module settings, then run.
import onnxUnlearn = require("onnx-unlearn");

const { open, tf } = onnxUnlearn;
const digits = "node_modules/onnx-unlearn/models/digits/digits";

/** float [N, C] -> float [N] */
export const largest = (logits: onnxUnlearn.tf.Tensor): onnxUnlearn.tf.Tensor => tf.max(logits, 1);

async function main(): Promise<void> {
  const opened: onnxUnlearn.Case = await open(
    `${digits}.onnx`,
    { forget: `${digits}-forget.npz`, retain: `${digits}-retain.npz` },
    { preprocessing: { scale: 16, mean: [0.5], std: [0.5] }, threads: 1 },
  );
  const { forget } = await opened.answers(opened.model);
  if (forget.outputs.count !== 150) throw new Error(`${forget.outputs.count} samples in place of 150`);
  const failed = await open("missing.onnx", { forget: "", retain: "" }).catch((error: unknown) => error);
  if (!(failed instanceof onnxUnlearn.OnnxUnlearnError)) throw new Error(`not an error of the package: ${failed}`);
}
void main();

// @ts-expect-error the types are not `any`
export const wrong: string = open;
