import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compileStep } from "../../converters/compile/compile.ts";
import type { TensorSpec } from "../../converters/compile/step.ts";
import { elementCount } from "../../converters/dims.ts";
import * as ort from "../runtime.ts";
import { blockSize } from "./block.ts";
import type { Engine, NumberArray } from "./engine.ts";
import { readProfile } from "./profile.ts";

const wrap = (data: NumberArray, { shape, dtype }: TensorSpec): ort.Tensor => {
  if (data.length !== elementCount(shape))
    throw new Error(`${data.length} values do not fill shape [${shape}]`);
  return new ort.Tensor(dtype as "float32", data as Float32Array, shape);
};

const ARRAYS = { float32: Float32Array, int32: Int32Array, bool: Uint8Array } as const;
const empty = ({ shape, dtype }: TensorSpec): NumberArray => new ARRAYS[dtype](elementCount(shape));

/**
 * Steps whose values take at most this many bytes use ONNX Runtime's `enableMemPattern`: one block of memory
 * for all values instead of an allocation per node. That saves time where nodes are short, but the block is
 * allocated in addition to the memory of the first run, which is too much for large steps.
 */
const MAX_PLANNED_BYTES = 2 ** 26;

/** The error of onnxruntime-node for an output that is not a tensor. */
const NO_TENSOR = /non tensor type/i;

/**
 * Runs a session that writes its outputs into preallocated buffers, without copying them. onnxruntime-node
 * fills the buffers, but then also copies every output into a new tensor: all weights, in each step. The
 * graph's first output is therefore a sequence (converters/compile/schedule.ts), which onnxruntime-node
 * cannot return: it throws after everything is computed and before anything is copied. Should a later version
 * accept sequences, the run would still be right, only slower by the copies.
 */
async function runInto(
  session: ort.InferenceSession,
  feeds: Readonly<Record<string, ort.Tensor>>,
  fetches: Readonly<Record<string, ort.Tensor | null>>,
): Promise<void> {
  try {
    await session.run(feeds, fetches);
  } catch (error) {
    if (!(error instanceof Error && NO_TENSOR.test(error.message))) throw error;
  }
}

const { version } = createRequire(import.meta.url)("onnxruntime-node/package.json") as { version: string };

/** The default engine: compiles the step to one ONNX graph, which ONNX Runtime optimises and runs. */
export const onnxruntimeEngine = (): Engine => ({
  name: "onnxruntime",
  version: `onnxruntime ${version}`,
  async prepare(step, initial, batchSpecs, options = {}) {
    const started = performance.now();
    const graph = compileStep(
      step,
      {
        carry: Object.fromEntries(Object.entries(initial).map(([key, { spec }]) => [key, spec])),
        batch: batchSpecs,
      },
      { block: await blockSize(), preallocated: true },
    );
    const { inputs, outputs, precursors, leadingRows, velocityPairs, resultSpecs, stop } = graph;
    const { onProfile } = options;
    const profiles = onProfile && mkdtempSync(join(tmpdir(), "onnx-unlearn-profile-"));
    const session = await ort.InferenceSession.create(graph.bytes, {
      executionMode: "sequential",
      graphOptimizationLevel: "all",
      enableMemPattern: graph.valueBytes <= MAX_PLANNED_BYTES,
      // Errors only: warnings are about the compiled graph, which a user cannot change.
      logSeverityLevel: 3,
      ...(profiles ? { enableProfiling: true, profileFilePrefix: join(profiles, "step") } : {}),
      ...(options.threads === undefined ? {} : { intraOpNumThreads: options.threads }),
    });
    const compileSeconds = (performance.now() - started) / 1000;

    interface Buffer {
      readonly data: NumberArray;
      readonly tensor: ort.Tensor;
    }
    const buffer = (data: NumberArray, spec: TensorSpec): Buffer => ({ data, tensor: wrap(data, spec) });
    // A run reads one set of buffers and writes the other, and the next run swaps them. A value that can be
    // updated in place has one buffer, which is in both sets.
    const inPlace = new Set(graph.inPlace);
    const state = new Map<string, Buffer>();
    const other = new Map<string, Buffer>();
    for (const [key, { spec, data }] of Object.entries(initial)) {
      const current = buffer(data.slice(), spec);
      state.set(key, current);
      other.set(key, inPlace.has(key) ? current : buffer(empty(spec), spec));
    }
    // Each paired weight lies between the two buffers of its velocity, [v0 | w | v1] (see VelocityPair).
    const pairInputs: [Record<string, ort.Tensor>, Record<string, ort.Tensor>] = [{}, {}];
    for (const { velocity, weight, both, rowFactors, factors } of velocityPairs) {
      const [v, w] = [initial[velocity]!, initial[weight]!];
      const n = v.data.length;
      const all = new Float32Array(3 * n);
      all.set(v.data);
      all.set(w.data, n);
      const part = (i: number, shape: readonly number[], parts = 1) =>
        buffer(all.subarray(i * n, (i + parts) * n), { shape, dtype: "float32" });
      const middle = part(1, w.spec.shape);
      for (const [turn, buffers] of [state, other].entries()) {
        buffers.set(velocity, part(2 * turn, v.spec.shape));
        buffers.set(weight, middle);
        const numbers = turn === 0 ? factors : [factors[1], factors[0]];
        pairInputs[turn]![both] = part(turn, [1, 2, n], 2).tensor;
        pairInputs[turn]![rowFactors] = wrap(Float32Array.from(numbers), {
          shape: [1, 2, 1],
          dtype: "float32",
        });
      }
    }
    const results = new Map<string, Buffer>();
    for (const [key, spec] of Object.entries(resultSpecs)) results.set(key, buffer(empty(spec), spec));
    const named = (buffers: ReadonlyMap<string, Buffer>, names: Readonly<Record<string, string>>) =>
      Object.fromEntries(
        [...buffers].flatMap(([key, { tensor }]) => (names[key] === undefined ? [] : [[names[key], tensor]])),
      ) as Record<string, ort.Tensor>;
    const turn = (
      from: ReadonlyMap<string, Buffer>,
      to: ReadonlyMap<string, Buffer>,
      pairs: Readonly<Record<string, ort.Tensor>>,
    ) => {
      const carried = named(to, outputs.carry);
      const shared = precursors.map(({ name, shape, output }) => {
        const { data } = carried[output]! as ort.TypedTensor<"float32">;
        return [name, wrap(data, { shape, dtype: "float32" })] as const;
      });
      return {
        state: from,
        feeds: { ...named(from, inputs.carry), ...pairs },
        fetches: {
          ...(stop ? { [stop]: null } : {}),
          ...carried,
          ...Object.fromEntries(shared),
          ...named(results, outputs.results),
        },
      };
    };
    let [now, next] = [turn(state, other, pairInputs[0]), turn(other, state, pairInputs[1])];

    return {
      compileSeconds,
      async run(arrays) {
        // Copied, so that `now.feeds`, which outlives the step, does not keep the batch in memory.
        const feeds = { ...now.feeds };
        for (const [key, name] of Object.entries(inputs.batch)) {
          const data = arrays[key];
          if (!data) throw new Error(`the batch lacks "${key}"`);
          feeds[name] = wrap(data, batchSpecs[key]!);
        }
        for (const { name, key, spec } of leadingRows)
          feeds[name] = wrap(arrays[key]!.subarray(0, elementCount(spec.shape)), spec);
        await runInto(session, feeds, now.fetches);
        [now, next] = [next, now];
        return Object.fromEntries([...results].map(([key, { data }]) => [key, data.slice()]));
      },
      async read() {
        return Object.fromEntries([...now.state].map(([key, { data }]) => [key, data.slice()]));
      },
      async write(arrays) {
        for (const [key, data] of Object.entries(arrays)) {
          const known = now.state.get(key);
          if (!known) throw new Error(`the carry has no "${key}"`);
          known.data.set(data);
        }
      },
      async dispose() {
        if (onProfile && profiles) {
          session.endProfiling();
          onProfile(readProfile(profiles));
          rmSync(profiles, { recursive: true });
        }
        await session.release();
      },
    };
  },
});
