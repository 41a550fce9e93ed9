import { NCHWC } from "./layout.ts";
import type { EmittedNode } from "./trace.ts";

/**
 * Lets blocked convolutions do what follows them in the same pass over memory: an addition becomes their `Sum` operand, a
 * ReLU or Clip their activation. Each only where nobody else reads what stood between.
 * @param nodes in an order in which every value is made before it is used
 * @param scalarOf the value of a constant scalar
 * @param kept names that must stay values of the graph: its outputs
 */
export function fuseNodes(
  nodes: readonly EmittedNode[],
  kept: ReadonlySet<string>,
  scalarOf: (name: string) => number | undefined,
): readonly EmittedNode[] {
  const uses = new Map<string, number>();
  for (const { inputs } of nodes)
    for (const name of inputs) if (name) uses.set(name, (uses.get(name) ?? 0) + 1);
  const shapeOf = new Map(
    nodes.flatMap(({ outputs, shapes }) => outputs.map((name, i) => [name, shapes[i]!.join()] as const)),
  );
  const once = (name: string) => uses.get(name) === 1 && !kept.has(name);

  /** Blocked convolutions by output, with their place in `fused`, as long as they may still take something over. */
  const open = new Map<string, number>();
  const fused: (EmittedNode | undefined)[] = [];
  const takeOver = (output: string, change: (node: EmittedNode) => EmittedNode): boolean => {
    const place = open.get(output)!;
    const node = change(fused[place]!);
    // It moves down to where what it takes over stood: every operand is made by then.
    fused[place] = undefined;
    open.delete(output);
    fused.push(node);
    open.set(node.outputs[0]!, fused.length - 1);
    return true;
  };
  const fuse = (node: EmittedNode): boolean => {
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
      const takes = (x: string) => {
        if (!open.has(x) || !once(x)) return false;
        const { inputs, attributes } = fused[open.get(x)!]!;
        return inputs.length < 4 && !("activation" in attributes);
      };
      // Of two convolutions the later one: the earlier one's output is its operand.
      const [first, other] = takes(b) ? [b, a] : takes(a) ? [a, b] : [undefined, ""];
      // Broadcasting is beyond the convolution's `Sum`.
      if (first === undefined || shapeOf.get(a) !== shapeOf.get(b)) return false;
      return takeOver(first, (c) => ({
        ...c,
        inputs: [c.inputs[0]!, c.inputs[1]!, c.inputs[2] ?? "", other],
        outputs: [output],
      }));
    }
    return false;
  };
  for (const node of nodes) {
    if (fuse(node)) continue;
    fused.push(node);
    if (node.opType === "Conv" && node.domain === NCHWC) open.set(node.outputs[0]!, fused.length - 1);
  }
  return fused.filter((node) => node !== undefined);
}

/** What a blocked convolution calls this node as its activation. */
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
