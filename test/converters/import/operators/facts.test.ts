import "@tensorflow/tfjs-backend-cpu";
import { readdirSync } from "node:fs";
import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, test } from "vitest";
import { traceShapes } from "../../../../converters/compile/compile.ts";
import { elementCount } from "../../../../converters/dims.ts";
import { batchAxis } from "../../../../converters/import/batch.ts";
import { DOMAINS, operatorCatalogue } from "../../../../converters/import/catalogue.ts";
import { runNode } from "../../../../converters/import/run.ts";
import {
  dimsOf,
  host,
  isFloatType,
  tensorTypeOf,
  toTensor,
  type Value,
} from "../../../../converters/import/value.ts";
import { type OperatorCase, prepare } from "./harness.ts";

// What operators state about mixing samples, against what they do.

/** Which axis of each input holds the batch; -1: none. */
type Layout = readonly number[];

/** Every way to have a batch in the inputs of a case: in one input, or in axes of one length in several. */
function layouts({ inputs }: OperatorCase): Layout[] {
  const dims = inputs.map((input) => (input && !input.constant ? input.dims : []));
  const found = new Map<string, Layout>();
  const add = (layout: Layout) => found.set(layout.join(), layout);
  dims.forEach((own, i) => {
    own.forEach((length, axis) => {
      if (length < 2) return;
      const hold = (axisOf: (other: readonly number[]) => number) =>
        add(dims.map((other, j) => (j === i ? axis : other[axisOf(other)] === length ? axisOf(other) : -1)));
      hold(() => -1);
      hold(() => axis);
      hold((other) => other.length - own.length + axis);
      hold((other) => (other.filter((d) => d === length).length === 1 ? other.indexOf(length) : -1));
    });
  });
  return [...found.values()];
}

/** Numbers of a tensor with the slice `to` along an axis replaced by the slice `from`. */
function withSlice(data: readonly number[], dims: readonly number[], axis: number, to: number, from: number) {
  const inner = elementCount(dims.slice(axis + 1));
  return data.map((v, i) => {
    const at = Math.floor(i / inner) % dims[axis]!;
    return at === to ? data[i + (from - to) * inner]! : v;
  });
}

interface Finding {
  /** Why the operator says that samples mix; undefined if it says that they do not. */
  readonly says: string | undefined;
  /** Whether a row of an output changed with another sample; undefined if no sample could be changed. */
  readonly moved: boolean | undefined;
}

/**
 * Tries one operator with its batch laid out in one way: one sample is replaced by its neighbour, and where
 * another row of an output moves, the operator must say that it mixes.
 */
function look(c: OperatorCase, layout: Layout): Finding {
  const { node, data, planned } = prepare(c);
  const held = layout.findIndex((axis) => axis >= 0);
  const samples = c.inputs[held]!.dims[layout[held]!]!;
  const valuesOf = (tensorOf: (i: number) => tf.Tensor) => {
    const values = new Map<string, Value>();
    c.inputs.forEach((input, i) => {
      if (!input) return;
      values.set(
        `x${i}`,
        input.constant ? host(input.dtype ?? "float32", input.dims, data[i]!) : tensorOf(i),
      );
    });
    return values;
  };
  const run = (numbers: (i: number) => readonly number[]) =>
    tf.tidy(() => {
      const values = valuesOf((i) => {
        const { dims, dtype = "float32" } = c.inputs[i]!;
        return tf.tensor([...numbers(i)], [...dims], tensorTypeOf(dtype));
      });
      return runNode(planned, values)
        .slice(0, node.outputs.length)
        .map((y) => ({ dims: dimsOf(y), data: Array.from(toTensor(y).dataSync()) }));
    });
  const before = run((i) => data[i]!);

  const reference = new Map<string, readonly number[]>();
  c.inputs.forEach((input, i) => {
    if (input) reference.set(`x${i}`, input.dims);
  });
  before.forEach(({ dims }, i) => {
    reference.set(node.outputs[i]!, dims);
  });
  const rebatching = { reference, from: samples, to: 2 * samples, adapts: true };
  let says: string | undefined;
  let axes: readonly (number | undefined)[] = [];
  const types = c.inputs.flatMap((input, i) =>
    input && !input.constant
      ? [
          [
            `x${i}`,
            {
              shape: input.dims.map((d, axis) => (axis === layout[i] ? 2 * d : d)),
              dtype: tensorTypeOf(input.dtype ?? "float32"),
            },
          ] as const,
        ]
      : [],
  );
  try {
    traceShapes(
      (carry, tensors) => {
        const outputs = runNode(
          planned,
          valuesOf((i) => tensors[`x${i}`]!),
          {
            rebatching,
            onMixing: (_, why) => {
              says = why;
            },
          },
        );
        axes = before.map(({ dims }, i) => batchAxis(dimsOf(outputs[i]!), dims, rebatching));
        return { carry, results: {} };
      },
      { carry: {}, batch: Object.fromEntries(types) },
    );
  } catch (error) {
    // What cannot run on twice as many samples is taken to mix them.
    return { says: (error as Error).message, moved: undefined };
  } finally {
    tf.setBackend("cpu");
  }

  let moved: boolean | undefined;
  for (const sample of new Set([0, 1, samples - 1])) {
    const changed = data.map((numbers, i) =>
      layout[i]! >= 0
        ? withSlice(numbers!, c.inputs[i]!.dims, layout[i]!, sample, (sample + 1) % samples)
        : numbers,
    );
    if (changed.every((numbers, i) => String(numbers) === String(data[i]))) continue;
    moved ??= false;
    run((i) => changed[i]!).forEach((after, k) => {
      const axis = axes[k] ?? -1;
      const inner = elementCount(after.dims.slice(axis + 1));
      const perSample = (after.dims[axis] ?? 1) / samples;
      after.data.forEach((v, at) => {
        const row = Math.floor((Math.floor(at / inner) % (after.dims[axis] ?? 1)) / perSample);
        if ((axis < 0 || row !== sample) && !Object.is(v, before[k]!.data[at])) moved = true;
      });
    });
  }
  return { says, moved };
}

const GRAPHS =
  "sequences, optional values and subgraphs do not fit a case of one node; what their nodes do is judged";
const HOST = "its inputs are known while the graph is imported, whatever the samples are";
/**
 * Why no case changes a sample of these operators. An entry for an operator that is tested after all, or
 * unknown, fails.
 */
const NOT_TRIED: ReadonlyMap<string, string> = new Map([
  ...[
    "ConcatFromSequence",
    "SequenceAt",
    "SequenceConstruct",
    "SequenceEmpty",
    "SequenceErase",
    "SequenceInsert",
  ]
    .concat(["SequenceLength", "SplitToSequence", "Optional", "OptionalGetElement", "OptionalHasElement"])
    .concat(["If", "Loop", "Scan"])
    .map((name) => [name, GRAPHS] as const),
  ...[
    "BitCast",
    "BlackmanWindow",
    "Constant",
    "ConstantOfShape",
    "HammingWindow",
    "HannWindow",
    "MelWeightMatrix",
  ]
    .concat(["NonMaxSuppression", "NonZero", "Range", "com.microsoft/Range", "Unique"])
    .map((name) => [name, HOST] as const),
  ["EyeLike", "it looks at a shape alone"],
]);

const cases: OperatorCase[] = [];
for (const file of readdirSync(import.meta.dirname).filter((name) => name.endsWith(".cases.ts")))
  cases.push(...((await import(`./${file}`)) as { cases: readonly OperatorCase[] }).cases);
const operators = DOMAINS.flatMap((domain) =>
  operatorCatalogue()
    .filter((entry) => entry.domain === domain)
    .map(({ operator }) => ({ name: domain ? `${domain}/${operator}` : operator, domain, operator })),
);

beforeAll(() => tf.setBackend("cpu"));

describe("where one sample moves another's row, the operator says that it mixes", () => {
  test.each(operators)("$name", ({ name, domain, operator }) => {
    const own = cases.filter((c) => c.op === operator && (c.domain ?? "") === domain);
    let tried = 0;
    for (const c of own)
      for (const layout of layouts(c)) {
        const { says, moved } = look(c, layout);
        expect(says === undefined && moved === true, `${c.name}, batch in axes [${layout}]`).toBe(false);
        if (moved === true || (moved === false && says === undefined)) tried++;
      }
    expect(tried > 0, NOT_TRIED.get(name) ?? "a case with two samples").toBe(!NOT_TRIED.has(name));
  });
  test("operators without a case are there", () => {
    const names = new Set(operators.map(({ name }) => name));
    expect([...NOT_TRIED.keys()].filter((name) => !names.has(name))).toEqual([]);
  });
});

/**
 * Cases with a float operand that must be known while the graph is imported, which no weight in training is.
 */
const settings = cases.flatMap((c) =>
  c.inputs.flatMap((input, index) => {
    if (!input?.constant || !isFloatType(input.dtype ?? "float32")) return [];
    return [{ c, index, what: `${c.domain ?? ""} ${c.op}: ${c.name}, input ${index}` }];
  }),
);
test.each(settings)("an operand that cannot be a tensor is frozen: $what", ({ c, index }) => {
  const { data, planned } = prepare(c);
  const values = new Map<string, Value>();
  c.inputs.forEach((input, i) => {
    if (!input) return;
    const { dims, dtype = "float32", constant } = input;
    const isTensor = !constant || i === index;
    values.set(
      `x${i}`,
      isTensor ? tf.tensor([...data[i]!], [...dims], tensorTypeOf(dtype)) : host(dtype, dims, data[i]!),
    );
  });
  const needsConstant = () => {
    try {
      tf.tidy(() => void runNode(planned, values));
      return false;
    } catch (error) {
      return (error as { code?: string }).code === "OPERAND_NOT_CONSTANT";
    }
  };
  if (needsConstant()) expect(planned.run.facts.frozen?.[index]).toMatch(/./);
});
