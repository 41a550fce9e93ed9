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
  return dtype === "float32"
    ? new ort.Tensor("float32", data as Float32Array, shape)
    : dtype === "int32"
      ? new ort.Tensor("int32", data as Int32Array, shape)
      : new ort.Tensor("bool", data as Uint8Array, shape);
};

const empty = ({ shape, dtype }: TensorSpec): NumberArray =>
  dtype === "float32"
    ? new Float32Array(elementCount(shape))
    : dtype === "int32"
      ? new Int32Array(elementCount(shape))
      : new Uint8Array(elementCount(shape));

/**
 * Bytes of values up to which their places are planned once and taken as one block: a node then costs half as much beside its work. The block comes on top of
 * what the first run took, and pays where nodes are short.
 */
const PLANNED = 2 ** 26;

/** What onnxruntime-node says when it comes to hand back an output that is no tensor. */
const NO_TENSOR = /non tensor type/i;

/**
 * Runs a session whose outputs go to the buffers given for them. onnxruntime-node fills those, but then makes a new tensor of every output as well:
 * a copy of all weights a step. It starts with the first output, and that one is a sequence, which it refuses to hand back:
 * it stops there, with everything computed and nothing copied. A version that did hand it back would merely copy again.
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

/** The embedded default: the step is compiled to one ONNX graph, which ONNX Runtime optimises and runs. */
export const onnxruntimeEngine = (): Engine => ({
  name: "onnxruntime",
  version: `onnxruntime ${(createRequire(import.meta.url)("onnxruntime-node/package.json") as { version: string }).version}`,
  async prepare(step, initial, batchSpecs, options = {}) {
    const started = performance.now();
    const graph = compileStep(
      step,
      {
        carry: Object.fromEntries(Object.entries(initial).map(([key, { spec }]) => [key, spec])),
        batch: batchSpecs,
      },
      { block: await blockSize(), givenMemory: true },
    );
    const { inputs, outputs, precursors, heads, neighbours, resultSpecs, stop } = graph;
    const { onProfile } = options;
    const profiles = onProfile && mkdtempSync(join(tmpdir(), "onnx-unlearn-profile-"));
    const session = await ort.InferenceSession.create(graph.bytes, {
      executionMode: "sequential",
      graphOptimizationLevel: "all",
      enableMemPattern: graph.valueBytes <= PLANNED,
      // Its warnings are about the graph we wrote, not about anything a user could change.
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
    // Ping-pong: a run reads one set and writes the other, but for what may be written in place.
    const inPlace = new Set(graph.inPlace);
    const state = new Map<string, Buffer>();
    const other = new Map<string, Buffer>();
    for (const [key, { spec, data }] of Object.entries(initial)) {
      const own = buffer(data.slice(), spec);
      state.set(key, own);
      other.set(key, inPlace.has(key) ? own : buffer(empty(spec), spec));
    }
    // Velocities on either side of their weights, see Neighbours.
    const sides: [Record<string, ort.Tensor>, Record<string, ort.Tensor>] = [{}, {}];
    for (const { moving, resting, both, order, factors } of neighbours) {
      const [{ spec, data }, beside] = [initial[moving]!, initial[resting]!];
      const n = data.length;
      const all = new Float32Array(3 * n);
      all.set(data);
      all.set(beside.data, n);
      const part = (i: number, shape: readonly number[], parts = 1) =>
        buffer(all.subarray(i * n, (i + parts) * n), { shape, dtype: "float32" });
      const rests = part(1, beside.spec.shape);
      for (const [turn, buffers] of [state, other].entries()) {
        buffers.set(moving, part(2 * turn, spec.shape));
        buffers.set(resting, rests);
        const numbers = turn === 0 ? factors : [factors[1], factors[0]];
        sides[turn]![both] = part(turn, [1, 2, n], 2).tensor;
        sides[turn]![order] = wrap(Float32Array.from(numbers), { shape: [1, 2, 1], dtype: "float32" });
      }
    }
    const results = new Map<string, Buffer>();
    for (const [key, spec] of Object.entries(resultSpecs)) results.set(key, buffer(empty(spec), spec));
    const named = (buffers: ReadonlyMap<string, Buffer>, names: Readonly<Record<string, string>>) =>
      Object.fromEntries(
        [...buffers].flatMap(([key, { tensor }]) => (names[key] === undefined ? [] : [[names[key], tensor]])),
      ) as Record<string, ort.Tensor>;
    const entries = Object.entries(inputs.batch).map(([key, name]) => ({
      ...{ key, name, spec: batchSpecs[key]! },
    }));
    const turn = (
      from: ReadonlyMap<string, Buffer>,
      to: ReadonlyMap<string, Buffer>,
      side: Readonly<Record<string, ort.Tensor>>,
    ) => {
      const carried = named(to, outputs.carry);
      const shared = precursors.map(({ name, shape, output }) => {
        const { data } = carried[output]! as ort.TypedTensor<"float32">;
        return [name, wrap(data, { shape, dtype: "float32" })] as const;
      });
      return {
        state: from,
        feeds: { ...named(from, inputs.carry), ...side },
        fetches: {
          ...(stop ? { [stop]: null } : {}),
          ...carried,
          ...Object.fromEntries(shared),
          ...named(results, outputs.results),
        },
      };
    };
    let [now, next] = [turn(state, other, sides[0]), turn(other, state, sides[1])];

    return {
      compileSeconds,
      async run(arrays) {
        // A copy: what is kept would keep the batch in memory.
        const feeds = { ...now.feeds };
        for (const { key, name, spec } of entries) {
          const data = arrays[key];
          if (!data) throw new Error(`the batch lacks "${key}"`);
          feeds[name] = wrap(data, spec);
        }
        for (const { name, key, spec } of heads)
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
