import { type EmittedNode, MICROSOFT, NCHWC } from "./graph-builder.ts";
import { flagOf, type Knowledge, lookups, permOf, rewritten } from "./lookups.ts";

/**
 * Merges consecutive nodes into operators that do the work of both in one pass over memory.
 * @param nodes in topological order
 * @param graphOutputs names that must stay values of the graph
 */
export const fuse = (
  nodes: readonly EmittedNode[],
  graphOutputs: ReadonlySet<string>,
  knowledge: Knowledge,
): readonly EmittedNode[] =>
  fuseNormalization(
    fuseBias(fuseConvolutions(nodes, graphOutputs, knowledge), graphOutputs, knowledge),
    graphOutputs,
    knowledge,
  );

/**
 * Moves a scale and a shift into the LayerNormalization before them, if nothing reads its statistics or the
 * values between.
 */
function fuseNormalization(
  nodes: readonly EmittedNode[],
  graphOutputs: ReadonlySet<string>,
  knowledge: Knowledge,
): readonly EmittedNode[] {
  const { uses, maker, shape, once } = lookups(nodes, graphOutputs, knowledge);
  const isOnes = (name: string) => {
    const node = maker.get(name);
    return node?.opType === "Expand" && knowledge.scalarOf(node.inputs[0]!) === 1;
  };
  /**
   * The node of this type that makes one operand of `node`, if only `node` reads it; and the other operand.
   */
  const operandMadeBy = (node: EmittedNode, opType: string): readonly [EmittedNode, string] | undefined => {
    const [a, b] = node.inputs as [string, string];
    for (const [value, other] of [
      [a, b],
      [b, a],
    ] as const) {
      const made = maker.get(value);
      if (made?.opType === opType && once(value)) return [made, other];
    }
    return undefined;
  };
  const gone = new Set<EmittedNode>();
  const replaced = new Map<EmittedNode, readonly EmittedNode[]>();
  for (const node of nodes) {
    if (node.opType !== "Add") continue;
    const scaled = operandMadeBy(node, "Mul");
    const reshaped = scaled && operandMadeBy(scaled[0], "Reshape");
    const normal = reshaped && maker.get(reshaped[0].inputs[0]!);
    if (normal?.opType !== "LayerNormalization" || !isOnes(normal.inputs[1]!)) continue;
    const [rows, ...parts] = normal.outputs as [string, ...string[]];
    if (!once(rows) || parts.some((name) => uses.has(name) || graphOutputs.has(name))) continue;
    const length = normal.shapes[0]!.at(-1)!;
    const [shift, scale] = [scaled![1], reshaped![1]];
    if ([shift, scale].some((name) => shape(name)?.join() !== `${length}`)) continue;
    if (node.shapes[0]!.at(-1) !== length || node.shapes[0]!.join() !== reshaped![0].shapes[0]!.join())
      continue;
    const whole = `${node.outputs[0]!}rows`;
    for (const part of [normal, reshaped![0], scaled![0]]) gone.add(part);
    replaced.set(node, [
      { ...normal, inputs: [normal.inputs[0]!, scale, shift], outputs: [whole], shapes: [normal.shapes[0]!] },
      { ...reshaped![0], inputs: [whole, reshaped![0].inputs[1]!], outputs: node.outputs },
    ]);
  }
  return rewritten(nodes, gone, replaced);
}

/**
 * From this many rows on, the bias stays a separate Add: Gemm first copies it to every row, on one thread.
 */
const MANY_ROWS = 1024;

/**
 * Makes one Gemm of a matrix product and the bias added to its rows, also if a Reshape between them leaves
 * the last axis alone. With MANY_ROWS both stay, and the product becomes a FusedMatMul, which ONNX Runtime
 * does not merge with the Add.
 */
function fuseBias(
  nodes: readonly EmittedNode[],
  graphOutputs: ReadonlySet<string>,
  knowledge: Knowledge,
): readonly EmittedNode[] {
  const { maker, shape, once } = lookups(nodes, graphOutputs, knowledge);
  const gone = new Set<EmittedNode>();
  const replaced = new Map<EmittedNode, readonly EmittedNode[]>();
  for (const node of nodes) {
    if (node.opType !== "Add" || node.domain !== "") continue;
    for (const [value, bias] of [node.inputs, [...node.inputs].reverse()] as [string, string][]) {
      const outer = maker.get(value);
      const reshape = outer?.opType === "Reshape" && once(value) ? outer : undefined;
      const product = reshape ? maker.get(reshape.inputs[0]!) : outer;
      if (!product || !/^(Fused)?MatMul$/.test(product.opType) || !once(product.outputs[0]!)) continue;
      const [rows, length] = product.shapes[0] as [number, number];
      const flat = product.inputs.every((name) => shape(name)?.length === 2);
      const wide = shape(bias);
      if (!flat || wide?.length !== 1 || wide[0] !== length) continue;
      // The sum must have the product's shape: nothing else broadcasts.
      const before = (reshape ?? product).shapes[0]!;
      if (before.at(-1) !== length || before.join() !== node.shapes[0]!.join()) continue;
      if (rows >= MANY_ROWS) {
        replaced.set(product, [{ ...product, opType: "FusedMatMul", domain: MICROSOFT }]);
        break;
      }
      const gemm: EmittedNode = {
        opType: "Gemm",
        domain: "",
        inputs: [...product.inputs, bias],
        outputs: reshape ? [`${node.outputs[0]!}rows`] : node.outputs,
        shapes: [[rows, length]],
        dtypes: node.dtypes,
        attributes: {
          transA: { int: Number(flagOf(product, "transA")) },
          transB: { int: Number(flagOf(product, "transB")) },
        },
      };
      gone.add(product);
      if (reshape) gone.add(reshape);
      replaced.set(
        node,
        reshape
          ? [gemm, { ...reshape, inputs: [gemm.outputs[0]!, reshape.inputs[1]!], outputs: node.outputs }]
          : [gemm],
      );
      break;
    }
  }
  return rewritten(nodes, gone, replaced);
}

/**
 * Merges blocked convolutions with what follows them: an addition becomes their `Sum` operand, a ReLU or Clip
 * their activation. Each only if nothing else reads the value between.
 */
function fuseConvolutions(
  nodes: readonly EmittedNode[],
  graphOutputs: ReadonlySet<string>,
  knowledge: Knowledge,
): readonly EmittedNode[] {
  const { scalarOf } = knowledge;
  const { maker, shape, once } = lookups(nodes, graphOutputs, knowledge);
  /**
   * Whether a value was transposed: untranspose.ts may move the addition before the transposition instead.
   */
  const transposed = (name: string): boolean => {
    const node = maker.get(name);
    if (!node) return false;
    return permOf(node) !== undefined || (node.opType === "Reshape" && transposed(node.inputs[0]!));
  };

  /** Place in `fused` of each blocked convolution that may still absorb its reader, by its output. */
  const open = new Map<string, number>();
  const fused: (EmittedNode | undefined)[] = [];
  const takeOver = (output: string, change: (node: EmittedNode) => EmittedNode): boolean => {
    const place = open.get(output)!;
    const node = change(fused[place]!);
    // The convolution moves down to the place of the node it absorbs, where all its operands exist.
    fused[place] = undefined;
    open.delete(output);
    fused.push(node);
    open.set(node.outputs[0]!, fused.length - 1);
    return true;
  };
  const takes = (node: EmittedNode): boolean => {
    const [output] = node.outputs as [string];
    const activation = activationOf(node, scalarOf);
    if (activation) {
      const [x] = node.inputs as [string];
      if (!open.has(x) || !once(x)) return false;
      const convolution = fused[open.get(x)!]!;
      if ("activation" in convolution.attributes) return false;
      return takeOver(x, (c) => ({
        ...c,
        outputs: [output],
        attributes: { ...c.attributes, ...activation },
      }));
    }
    if (node.opType === "Add") {
      const [a, b] = node.inputs as [string, string];
      if (a === b) return false;
      const free = (x: string) => {
        if (!open.has(x) || !once(x)) return false;
        const { inputs, attributes } = fused[open.get(x)!]!;
        return inputs.length < 4 && !("activation" in attributes);
      };
      // Of two convolutions the later one absorbs the sum, with the earlier one's output as operand.
      const [first, other] = free(b) ? [b, a] : free(a) ? [a, b] : [undefined, ""];
      // `Sum` does not broadcast.
      if (first === undefined || shape(a)?.join() !== shape(b)?.join() || transposed(other)) return false;
      return takeOver(first, (c) => ({
        ...c,
        inputs: [c.inputs[0]!, c.inputs[1]!, c.inputs[2] ?? "", other],
        outputs: [output],
      }));
    }
    return false;
  };
  for (const node of nodes) {
    if (takes(node)) continue;
    fused.push(node);
    if (node.opType === "Conv" && node.domain === NCHWC) open.set(node.outputs[0]!, fused.length - 1);
  }
  return fused.filter((node) => node !== undefined);
}

/** A node as the activation attributes of a blocked convolution; undefined if it is none. */
function activationOf(
  { opType, inputs }: EmittedNode,
  scalarOf: (name: string) => number | undefined,
): EmittedNode["attributes"] | undefined {
  if (opType === "Relu") return { activation: { string: "Relu" } };
  if (opType !== "Clip") return undefined;
  const [low, high] = inputs.slice(1).map(scalarOf);
  return low === undefined || high === undefined
    ? undefined
    : { activation: { string: "Clip" }, activation_params: { floats: [low, high] } };
}
