// Registers the gradients of all tfjs kernels.
import "@tensorflow/tfjs-layers";
import type { TensorSpec } from "../../converters/compile/step.ts";
import { tf } from "../../converters/tf.ts";
import type { Engine, EngineName, NumberArray } from "./engine.ts";

const toTensor = (data: NumberArray, { shape, dtype }: TensorSpec): tf.Tensor =>
  tf.keep(tf.tensor(data.slice(), [...shape], dtype));

const valuesOf = async (
  tensors: Readonly<Record<string, tf.Tensor>>,
): Promise<Record<string, NumberArray>> => {
  const values: Record<string, NumberArray> = {};
  for (const [key, tensor] of Object.entries(tensors)) values[key] = (await tensor.data<"float32">()).slice();
  return values;
};

/** An engine that runs the step on a tfjs backend, one kernel after the other, without compiling it. */
export function eagerEngine(name: EngineName, backend: string, version: string): Engine {
  return {
    name,
    version,
    async prepare(step, initial, batchSpecs) {
      const onBackend = async () => {
        if (tf.getBackend() !== backend) await tf.setBackend(backend);
      };
      await onBackend();
      let carry: Record<string, tf.Tensor> = {};
      for (const [key, { spec, data }] of Object.entries(initial)) carry[key] = toTensor(data, spec);
      return {
        compileSeconds: 0,
        async run(arrays) {
          await onBackend();
          const batch: Record<string, tf.Tensor> = {};
          for (const [key, spec] of Object.entries(batchSpecs)) {
            const data = arrays[key];
            if (!data) throw new Error(`the batch lacks "${key}"`);
            batch[key] = toTensor(data, spec);
          }
          let next: Record<string, tf.Tensor> = {};
          let results: Record<string, tf.Tensor> = {};
          tf.tidy(() => {
            const out = step(carry, batch);
            // Cloned because the step may return one of its inputs, and those are disposed of below.
            const cloned = (t: tf.Tensor) => tf.keep(t.clone());
            next = Object.fromEntries(Object.keys(carry).map((key) => [key, cloned(out.carry[key]!)]));
            results = Object.fromEntries(Object.entries(out.results).map(([key, t]) => [key, cloned(t)]));
          });
          tf.dispose(Object.values(carry));
          tf.dispose(Object.values(batch));
          carry = next;
          const values = await valuesOf(results);
          tf.dispose(Object.values(results));
          return values;
        },
        read: () => valuesOf(carry),
        async write(arrays) {
          await onBackend();
          for (const [key, data] of Object.entries(arrays)) {
            const known = initial[key];
            if (!known) throw new Error(`the carry has no "${key}"`);
            carry[key]?.dispose();
            carry[key] = toTensor(data, known.spec);
          }
        },
        async dispose() {
          tf.dispose(Object.values(carry));
          carry = {};
        },
      };
    },
  };
}
