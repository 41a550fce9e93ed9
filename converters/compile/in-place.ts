import { elementCount } from "../dims.ts";
import { type Knowledge, makersOf, readersOf } from "./lookups.ts";
import type { EmittedNode } from "./trace.ts";

/** Which operand of FusedConv is `Sum`, what it adds to. */
const SUM = 3;
/** Operators that read an operand and never hand out the memory of a graph input. */
const READS_ONLY = new Set(["Add", "Sub", "Mul", "Div", "Sum", "FusedConv", "Gemm", "MatMul", "FusedMatMul"]);
/** Those that also read each element before they write the one in its place; FusedConv does so with its `Sum` alone. */
const BY_ELEMENT = new Set(["Add", "Sub", "Mul", "Div"]);

/** The operands that a node may look at anywhere when it has begun to write. */
const readAnywhere = ({ opType, inputs }: EmittedNode): readonly string[] =>
  BY_ELEMENT.has(opType) ? [] : opType === "FusedConv" ? inputs.slice(0, SUM) : inputs;

/**
 * Whether a graph output may be written into the memory of a graph input: every reader of the input must come before the
 * output's producer in *any* order of execution, so it must be an ancestor of it; or the producer itself, element by element.
 * @param outputs names of the graph's outputs
 * @returns of an input and an output of one size
 */
export function overwritable(
  nodes: readonly EmittedNode[],
  outputs: ReadonlySet<string>,
): (input: string, output: string) => boolean {
  const maker = makersOf(nodes);
  const readers = readersOf(nodes);
  const isView = ({ opType, outputs: [name] }: EmittedNode) => opType === "Reshape" && !outputs.has(name!);
  /** A value and its views: a Reshape hands on the operand's memory. */
  const namesOf = (name: string): readonly string[] => [
    name,
    ...(readers.get(name) ?? []).filter(isView).flatMap((node) => namesOf(node.outputs[0]!)),
  ];
  return (input, output) => {
    const writer = maker.get(output);
    const names = namesOf(input);
    const wanted = new Set(names.flatMap((name) => readers.get(name) ?? []).filter((node) => !isView(node)));
    if (!writer || wanted.size === 0) return false;
    if (![...wanted].every(({ opType }) => READS_ONLY.has(opType))) return false;
    if (wanted.delete(writer) && readAnywhere(writer).some((name) => names.includes(name))) return false;
    const seen = new Set<EmittedNode>([writer]);
    const open = [writer];
    while (open.length > 0 && wanted.size > 0) {
      for (const name of open.pop()!.inputs) {
        const node = maker.get(name);
        if (!node || seen.has(node)) continue;
        seen.add(node);
        wanted.delete(node);
        open.push(node);
      }
    }
    return wanted.size === 0;
  };
}

/** A value that is to be given the memory of the graph output it ends as. */
export interface Precursor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly output: string;
}

/**
 * What ends as one of these outputs by way of FusedConv's `Sum`, for each output from first to last. In the memory of the
 * output none of it is copied: each has one reader, which makes the next in its place, and the output is a view of the last.
 * @param kept names of the graph's outputs
 */
export function precursors(
  nodes: readonly EmittedNode[],
  kept: ReadonlySet<string>,
  outputs: Iterable<string>,
): readonly Precursor[] {
  const maker = makersOf(nodes);
  const readers = readersOf(nodes);
  const own = (name: string) => readers.get(name)?.length === 1 && !kept.has(name);
  /** What makes a value in its memory, that of views left out. */
  const makers = (name: string): readonly EmittedNode[] => {
    const node = maker.get(name);
    if (!node) return [];
    const isView = node.opType === "Reshape";
    const before = isView ? node.inputs[0] : node.opType === "FusedConv" ? node.inputs[SUM] : undefined;
    const earlier = before && own(before) ? makers(before) : [];
    return isView ? earlier : [...earlier, node];
  };
  return [...outputs].flatMap((output) => {
    const [last] = maker.get(output)?.inputs ?? [];
    if (!last || maker.get(output)?.opType !== "Reshape" || maker.get(last)?.opType !== "FusedConv")
      return [];
    return makers(last).map(({ outputs: [name], shapes: [shape] }) => ({
      name: name!,
      shape: shape!,
      output,
    }));
  });
}

/** The first rows of a graph input, which need no copy: they lie at its beginning. */
export interface Head {
  readonly name: string;
  readonly of: string;
  readonly shape: readonly number[];
  readonly dtype: string;
}

/** Fewest numbers whose copy costs more than one more graph input. */
const HEAD = 2 ** 12;

/**
 * Slices off the beginning of graph inputs, as graph inputs of their own.
 * @param given inputs that no output is written into
 */
export function heads(
  nodes: readonly EmittedNode[],
  kept: ReadonlySet<string>,
  given: ReadonlySet<string>,
  { intsOf }: Knowledge,
): { readonly nodes: readonly EmittedNode[]; readonly heads: readonly Head[] } {
  const isHead = ({
    opType,
    inputs: [of, starts, , axes, steps],
    outputs: [name],
    shapes: [shape],
  }: EmittedNode) =>
    opType === "Slice" &&
    given.has(of!) &&
    !kept.has(name!) &&
    intsOf(starts!)?.join() === "0" &&
    axes !== undefined &&
    intsOf(axes)?.join() === "0" &&
    (steps === undefined || intsOf(steps)?.join() === "1") &&
    elementCount(shape!) >= HEAD;
  const found = nodes.filter(isHead);
  return {
    nodes: nodes.filter((node) => !isHead(node)),
    heads: found.map(({ inputs: [of], outputs: [name], shapes: [shape], dtypes: [dtype] }) => ({
      ...{ name: name!, of: of!, shape: shape!, dtype: dtype! },
    })),
  };
}

/**
 * Two graph inputs of one size that lie side by side: of three equal parts of a buffer `resting` has the middle one and is written in place, `moving` the first and
 * the last one in turn. Both together are then one value in either turn, `moving` in front or behind.
 */
export interface Neighbours {
  readonly moving: string;
  readonly resting: string;
  /** Graph input float32 [1, 2, elements]: the two parts that hold both. */
  readonly both: string;
  /** Graph input float32 [1, 2, 1]: a number for each, in the order in which they lie. */
  readonly order: string;
  /** Of `moving` and of `resting`. */
  readonly factors: readonly [number, number];
}
