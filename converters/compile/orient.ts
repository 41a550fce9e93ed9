import { elementCount } from "../dims.ts";
import { type EmittedNode, MICROSOFT } from "./graph-builder.ts";
import { isElementwise } from "./layout.ts";
import {
  flagOf,
  type Knowledge,
  type Lookups,
  lookups,
  readersOf,
  reshapeNode,
  rewritten,
} from "./lookups.ts";

/** From this many elements on, copying a factor takes a noticeable part of the product's time. */
const MIN_ELEMENTS = 2 ** 14;

/** A matrix product of two matrices: MatMul, FusedMatMul or Gemm. */
const isProduct = ({ opType, domain }: EmittedNode): boolean =>
  domain === MICROSOFT ? opType === "FusedMatMul" : /^(MatMul|Gemm)$/.test(opType);

/** Values of one shape that can only be transposed together, and the nodes that make or read them. */
interface Region {
  readonly values: ReadonlySet<string>;
  readonly nodes: ReadonlySet<EmittedNode>;
}

/**
 * Stores the activations of wide dense layers transposed, [features, rows] instead of [rows, features].
 *
 * ONNX Runtime's matrix product first copies its right factor into blocks. With few rows x and a large W, y =
 * x Wᵀ is therefore faster as yᵀ = W xᵀ, whose right factor is the small one. This needs no Transpose if yᵀ
 * is read only by element-wise operators, sums and other products, which take a factor either way. The
 * activation and its gradient D are then both stored transposed, and the weight's gradient Dᵀ x no longer has
 * to transpose its left factor.
 */
export function orient(
  nodes: readonly EmittedNode[],
  graphOutputs: ReadonlySet<string>,
  knowledge: Knowledge,
): readonly EmittedNode[] {
  const known = lookups(nodes, graphOutputs, knowledge);
  const readers = readersOf(nodes);
  /** Values already examined, whether they can be transposed or not. */
  const met = new Set<string>();
  const regions = nodes.flatMap((node) => {
    if (!isProduct(node) || met.has(node.outputs[0]!) || !isWide(node, known)) return [];
    const region = grow({ seed: node, graphOutputs, known, readers, knowledge, met });
    return region ? [region] : [];
  });
  const whole: Region = {
    values: new Set(regions.flatMap(({ values }) => [...values])),
    nodes: new Set(regions.flatMap((region) => [...region.nodes])),
  };
  return transposeResults(transpose(nodes, whole, known, knowledge), graphOutputs, knowledge);
}

const isMatrix = (shape: readonly number[] | undefined): shape is readonly [number, number] =>
  shape?.length === 2;

/** At least twice as many columns as rows, and a right factor large enough to matter. */
function isWide(node: EmittedNode, { shape }: Lookups): boolean {
  const [rows, columns] = node.shapes[0]!;
  const factors = node.inputs.slice(0, 2).map(shape);
  return (
    node.shapes[0]!.length === 2 &&
    factors.every(isMatrix) &&
    2 * rows! <= columns! &&
    elementCount(factors[1]!) >= MIN_ELEMENTS
  );
}

/**
 * All that must be transposed if the result of the product `seed` is; undefined if some node needs it
 * untransposed.
 */
function grow({
  seed,
  graphOutputs,
  known: { maker, shape },
  readers,
  knowledge: { intsOf },
  met,
}: {
  readonly seed: EmittedNode;
  readonly graphOutputs: ReadonlySet<string>;
  readonly known: Lookups;
  readonly readers: ReadonlyMap<string, readonly EmittedNode[]>;
  readonly knowledge: Knowledge;
  /** Every examined value is added here. */
  readonly met: Set<string>;
}): Region | undefined {
  const [rows, columns] = seed.shapes[0] as [number, number];
  const same = (name: string) => shape(name)?.join() === `${rows},${columns}`;
  const values = new Set<string>();
  const members = new Set<EmittedNode>();
  const open = [seed.outputs[0]!];
  /** Adds an operand that must be transposed too; false if it can neither be transposed nor broadcast. */
  const follows = (name: string): boolean => {
    if (!name) return true;
    if (same(name)) return open.push(name) > 0;
    const dims = shape(name);
    return dims !== undefined && (elementCount(dims) === 1 || broadcastOf(dims, rows, columns) !== undefined);
  };
  while (open.length > 0) {
    const value = open.pop()!;
    if (values.has(value)) continue;
    values.add(value);
    met.add(value);
    const made = maker.get(value);
    if (!made || graphOutputs.has(value) || made.outputs.length > 1) return undefined;
    for (const node of [made, ...(readers.get(value) ?? [])]) {
      // A product may be found twice: as a reader of one value and as the maker of another.
      if (members.has(node) && !isProduct(node)) continue;
      members.add(node);
      if (isProduct(node)) {
        if (!node.inputs.slice(0, 2).every((name) => isMatrix(shape(name)))) return undefined;
        const [, , addend] = node.inputs;
        if (node === made || addend === value) {
          if (!same(node.outputs[0]!) || (addend && !follows(addend))) return undefined;
          open.push(node.outputs[0]!);
        }
      } else if (isElementwise(node)) {
        if (!same(node.outputs[0]!) || !node.inputs.every(follows)) return undefined;
        open.push(node.outputs[0]!);
      } else if (node === made) {
        if (!isSplat(node, shape)) return undefined;
      } else {
        const axes = intsOf(node.inputs[1] ?? "");
        if (!/^Reduce(Sum|Mean|Max|Min)$/.test(node.opType)) return undefined;
        if (node.inputs[0] !== value || axes?.length !== 1 || axes[0]! < 0) return undefined;
      }
    }
  }
  return { values, nodes: members };
}

/** Whether all elements are one number. */
const isSplat = ({ opType, inputs }: EmittedNode, shape: Lookups["shape"]): boolean =>
  opType === "Expand" && elementCount(shape(inputs[0]!) ?? []) === 1;

/**
 * The shape in which an operand that broadcasts to a matrix broadcasts to the transposed one; undefined if
 * there is none.
 */
function broadcastOf(
  dims: readonly number[],
  rows: number,
  columns: number,
): readonly [number, number] | undefined {
  if (dims.length > 2 || dims.length === 0) return undefined;
  const [height, width] = dims.length === 1 ? [1, dims[0]!] : dims;
  if (height === 1 && width === columns) return [columns, 1];
  return height === rows && width === 1 ? [1, rows] : undefined;
}

/** The same kind of product of other factors. */
function productOf(
  node: EmittedNode,
  factors: readonly [string, string],
  [transA, transB]: readonly [boolean, boolean],
): EmittedNode {
  const { transA: _, transB: __, ...others } = node.attributes;
  const plain = node.opType !== "Gemm" && !transA && !transB && Object.keys(others).length === 0;
  return {
    ...node,
    ...(node.opType === "Gemm"
      ? {}
      : plain
        ? { opType: "MatMul", domain: "" }
        : { opType: "FusedMatMul", domain: MICROSOFT }),
    inputs: [...factors, ...node.inputs.slice(2)],
    attributes: plain ? {} : { ...others, transA: { int: Number(transA) }, transB: { int: Number(transB) } },
  };
}

function transpose(
  nodes: readonly EmittedNode[],
  { values, nodes: members }: Region,
  { shape }: Lookups,
  knowledge: Knowledge,
): readonly EmittedNode[] {
  /** A node, preceded by Reshapes of its operands that broadcast. */
  const broadcasting = (node: EmittedNode, operands: readonly number[]): readonly EmittedNode[] => {
    const [columns, rows] = node.shapes[0] as [number, number];
    const before: EmittedNode[] = [];
    const inputs = node.inputs.map((name, i) => {
      const dims = shape(name);
      if (!operands.includes(i) || !dims || values.has(name) || elementCount(dims) === 1) return name;
      const turned = `${node.outputs[0]!}operand${i}`;
      before.push(reshapeNode([name, turned], broadcastOf(dims, rows, columns)!, node.dtypes[0]!, knowledge));
      return turned;
    });
    return [...before, { ...node, inputs }];
  };
  const turned = (node: EmittedNode): readonly EmittedNode[] => {
    const [output] = node.outputs as [string];
    const [dims] = node.shapes as [readonly number[]];
    const [dtype] = node.dtypes as [string];
    const turns = values.has(output);
    const shapes = turns ? [[...dims].reverse()] : node.shapes;
    if (isProduct(node)) {
      const [a, b] = node.inputs as [string, string];
      const transA = flagOf(node, "transA") !== values.has(a);
      const transB = flagOf(node, "transB") !== values.has(b);
      // (A B)ᵀ = Bᵀ Aᵀ
      return turns
        ? broadcasting({ ...productOf(node, [b, a], [!transB, !transA]), shapes }, [2])
        : [productOf(node, [a, b], [transA, transB])];
    }
    if (isElementwise(node)) return broadcasting({ ...node, shapes }, [...node.inputs.keys()]);
    if (isSplat(node, shape))
      return [{ ...node, inputs: [node.inputs[0]!, knowledge.ints(shapes[0]!)], shapes }];
    const [axis] = knowledge.intsOf(node.inputs[1]!)!;
    const inputs = [node.inputs[0]!, knowledge.ints([1 - axis!])];
    if (dims.length === 1) return [{ ...node, inputs }];
    const across = { ...node, inputs, outputs: [`${output}across`], shapes: [[...dims].reverse()] };
    return [across, reshapeNode([across.outputs[0]!, output], dims, dtype, knowledge)];
  };
  return rewritten(nodes, new Set(), new Map([...members].map((node) => [node, turned(node)])));
}

/**
 * Computes Aᵀ Bᵀ as (B A)ᵀ. ONNX Runtime copies a transposed left factor; if A is large and the result small,
 * transposing the result costs less.
 */
function transposeResults(
  nodes: readonly EmittedNode[],
  graphOutputs: ReadonlySet<string>,
  knowledge: Knowledge,
): readonly EmittedNode[] {
  const { shape } = lookups(nodes, graphOutputs, knowledge);
  const replaced = new Map<EmittedNode, readonly EmittedNode[]>();
  for (const node of nodes) {
    if (!isProduct(node) || !flagOf(node, "transA") || !flagOf(node, "transB")) continue;
    const [a, b, addend] = node.inputs as [string, string, string?];
    const [rows, columns] = node.shapes[0] as [number, number];
    const [left, result] = [elementCount(shape(a) ?? []), rows * columns];
    if (node.shapes[0]!.length !== 2 || left < MIN_ELEMENTS || left < 4 * result) continue;
    const dims = addend ? shape(addend)! : [];
    const column = broadcastOf(dims, rows, columns);
    if (addend && !column && elementCount(dims) !== 1) continue;
    const whole = `${node.outputs[0]!}twisted`;
    const product = productOf(node, [b, a], [false, false]);
    const bias =
      addend && column
        ? reshapeNode([addend, `${whole}addend`], column, node.dtypes[0]!, knowledge)
        : undefined;
    replaced.set(node, [
      ...(bias ? [bias] : []),
      {
        ...product,
        inputs: bias ? [b, a, bias.outputs[0]!] : product.inputs,
        outputs: [whole],
        shapes: [[columns, rows]],
      },
      { ...node, opType: "Transpose", domain: "", inputs: [whole], attributes: { perm: { ints: [1, 0] } } },
    ]);
  }
  return rewritten(nodes, new Set(), replaced);
}
