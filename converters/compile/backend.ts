import { createHash } from "node:crypto";
import { elementCount } from "../dims.ts";
import { onnx } from "../onnx/proto.ts";
import { tf } from "../tf.ts";
import { fuse } from "./fuse.ts";
import { fuseSums } from "./fused-sums.ts";
import {
  type EmittedAttribute,
  type EmittedNode,
  type GraphBuilder,
  type GraphValue,
  MICROSOFT,
  NCHWC,
  type Operand,
  type Operator,
  type TensorType,
} from "./graph-builder.ts";
import {
  cutLeadingRows,
  type LeadingRows,
  type Precursor,
  precursors,
  type VelocityPair,
} from "./in-place.ts";
import { lowerings } from "./kernels/index.ts";
import { channelBlocks, lowerBlocked } from "./layout.ts";
import { alive, type Knowledge, nodeOf } from "./lookups.ts";
import { orient } from "./orient.ts";
import { permute } from "./permute.ts";
import { releaseEarly } from "./release.ts";
import { lastLayersFirst } from "./schedule.ts";
import { sums } from "./sums.ts";
import { untranspose } from "./untranspose.ts";

/** Name of the tracing backend in tfjs's registry. */
export const BACKEND = "onnx";
/** Opset of the emitted graph. No emitted operator needs a newer one. */
const EMITTED_OPSET = 21;
export const ELEMENT_TYPE: Readonly<Record<string, number>> = {
  float32: 1,
  int32: 6,
  int64: 7,
  bool: 9,
};

/** Equal constants up to this size are emitted once, and so are equal nodes that read them. */
const SHARED_BYTES = 2 ** 20;

interface Symbolic {
  /** Name of the row-major value; "" until it is needed, if another form exists. */
  name: string;
  readonly shape: readonly number[];
  readonly dtype: string;
  /** The value of all elements, if they are known to be equal. */
  readonly splat?: number;
  /** Name of the value in the blocked layout (layout.ts), if it exists. */
  blocked?: string;
  /** The smaller tensor that broadcasts to this one. */
  readonly spread?: tf.TensorInfo;
}

const bytesOf = (values: ArrayLike<number>, dtype: string): Uint8Array => {
  const typed =
    dtype === "float32"
      ? Float32Array.from(values)
      : dtype === "int32"
        ? Int32Array.from(values)
        : dtype === "int64"
          ? BigInt64Array.from(Array.from(values, (v) => BigInt(v)))
          : Uint8Array.from(values);
  return new Uint8Array(typed.buffer);
};

/**
 * A tfjs backend that computes nothing: its kernels emit ONNX nodes and return symbolic tensors. Running a
 * step function on it, with tfjs's autodiff inside, records the whole training step as one graph. It holds
 * one graph under construction; `begin` starts a new one.
 */
export class OnnxBackend extends tf.KernelBackend implements GraphBuilder {
  private symbols = new WeakMap<object, Symbolic>();
  private nodes: EmittedNode[] = [];
  private initializers = new Map<string, { dims: readonly number[]; dtype: string; data: Uint8Array }>();
  private shared = new Map<string, tf.TensorInfo[]>();
  private constants = new Map<string, string>();
  private producers = new Map<string, EmittedNode>();
  private intLists = new Map<string, readonly number[]>();
  private outputs = new Set<string>();
  private counter = 0;
  private live = 0;
  /** Only shapes are wanted: no node and no constant is recorded. */
  private shapesOnly = false;
  block = 0;

  begin(block: number, shapesOnly = false): void {
    this.block = block;
    this.shapesOnly = shapesOnly;
    this.intLists = new Map();
    this.outputs = new Set();
    this.symbols = new WeakMap();
    this.nodes = [];
    this.initializers = new Map();
    this.shared = new Map();
    this.constants = new Map();
    this.producers = new Map();
    this.counter = 0;
  }

  // --- what tfjs asks of a backend
  override numDataIds(): number {
    return this.live;
  }
  override disposeData(): boolean {
    return true;
  }
  override refCount(): number {
    return 1;
  }
  override incRef(): void {}
  override timerAvailable(): boolean {
    return false;
  }
  override memory() {
    return { unreliable: true };
  }
  override epsilon(): number {
    return 1e-7;
  }
  override floatPrecision(): 16 | 32 {
    return 32;
  }
  override read(): never {
    throw new Error("the value of a tensor was read while tracing; a step function must be pure tfjs ops");
  }
  override readSync(): never {
    throw new Error("the value of a tensor was read while tracing; a step function must be pure tfjs ops");
  }
  override write(values: tf.BackendValues, shape: number[], dtype: tf.DataType): object {
    return this.constant(values as ArrayLike<number>, shape, dtype as TensorType).dataId;
  }
  override move(dataId: object, values: tf.BackendValues, shape: number[], dtype: tf.DataType): void {
    const info = this.constant(values as ArrayLike<number>, shape, dtype as TensorType);
    this.symbols.set(dataId, this.symbols.get(info.dataId)!);
  }

  // --- GraphBuilder
  private fresh(): string {
    return `v${this.counter++}`;
  }

  private info(symbolic: Symbolic): tf.TensorInfo {
    const dataId = {};
    this.live++;
    this.symbols.set(dataId, symbolic);
    return { dataId, shape: [...symbolic.shape], dtype: symbolic.dtype as tf.DataType };
  }

  private symbolOf(tensor: tf.TensorInfo): Symbolic {
    const symbolic = this.symbols.get(tensor.dataId as object);
    if (!symbolic)
      throw new Error("a tensor of another backend reached the tracing backend; move it in as a constant");
    return symbolic;
  }

  nameOf(operand: Operand): string {
    if (typeof operand === "string") return operand;
    const symbolic = this.symbolOf(operand);
    // tfjs reshapes by giving the same data another shape; ONNX needs a node for it.
    if (
      elementCount(symbolic.shape) === elementCount(operand.shape) &&
      symbolic.shape.join() !== operand.shape.join()
    )
      return this.nameOf(
        symbolic.splat !== undefined
          ? this.splat(symbolic.splat, operand.shape, operand.dtype as TensorType)
          : this.emit(
              "Reshape",
              [this.rowMajor(symbolic), this.ints(operand.shape)],
              operand.shape,
              operand.dtype,
              // A dimension of 0 means 0 elements here; ONNX would otherwise copy the input's dimension.
              operand.shape.includes(0) ? { allowzero: { int: 1 } } : {},
            ),
      );
    if (symbolic.splat !== undefined && !symbolic.name) {
      const { splat, shape, dtype } = symbolic;
      if (elementCount(shape) <= 1) return this.initializer([splat], shape, dtype);
      return this.nameOf(
        this.emit("Expand", [this.initializer([splat], [], dtype), this.ints(shape)], shape, dtype),
      );
    }
    return this.rowMajor(symbolic);
  }

  private rowMajor(symbolic: Symbolic): string {
    if (symbolic.name) return symbolic.name;
    if (symbolic.spread) {
      const { spread, shape, dtype } = symbolic;
      symbolic.name = this.nameOf(this.emit("Expand", [spread, this.ints(shape)], shape, dtype));
      return symbolic.name;
    }
    if (symbolic.blocked === undefined) return "";
    const [, channels, height, width] = symbolic.shape as [number, number, number, number];
    const padded = channelBlocks(channels, this.block) * this.block;
    const rawShape = symbolic.shape.map((d, i) => (i === 1 ? padded : d));
    if (height * width === 1 && padded === channels) {
      symbolic.name = symbolic.blocked;
      return symbolic.name;
    }
    // ReorderOutput takes floats only.
    const float = this.castName(symbolic.blocked, rawShape, symbolic.dtype, "float32");
    const ordered = this.emit([NCHWC, "ReorderOutput"], [float], symbolic.shape, "float32", {
      channels: { int: channels },
    });
    symbolic.name = this.castName(this.nameOf(ordered), symbolic.shape, "float32", symbolic.dtype);
    return symbolic.name;
  }

  private castName(name: string, shape: readonly number[], from: string, to: string): string {
    if (from === to) return name;
    return this.nameOf(this.emit("Cast", [name], shape, to, { to: { int: ELEMENT_TYPE[to]! } }));
  }

  isBlocked(tensor: tf.TensorInfo): boolean {
    const symbolic = this.symbolOf(tensor);
    return symbolic.blocked !== undefined && symbolic.shape.join() === tensor.shape.join();
  }

  blocked(tensor: tf.TensorInfo): tf.TensorInfo {
    const symbolic = this.symbolOf(tensor);
    const [, channels] = tensor.shape as [number, number];
    const padded = channelBlocks(channels, this.block) * this.block;
    const rawShape = tensor.shape.map((d, i) => (i === 1 ? padded : d));
    if (this.isBlocked(tensor)) return this.reuse(symbolic.blocked!, rawShape, tensor.dtype);
    let whole = tensor;
    // ReorderInput pads the last block by itself, but takes only multiples of four channels.
    if (channels % 4 !== 0) {
      const zeros = tensor.shape.map(() => 0);
      const pads = this.ints([...zeros, ...zeros.map((_, i) => (i === 1 ? padded - channels : 0))]);
      whole = this.emit("Pad", [tensor, pads], rawShape, "float32");
    }
    const raw = this.emit([NCHWC, "ReorderInput"], [whole], rawShape, "float32");
    if (symbolic.shape.join() === tensor.shape.join()) symbolic.blocked = this.nameOf(raw);
    return raw;
  }

  fromBlocked(raw: tf.TensorInfo, shape: readonly number[]): tf.TensorInfo {
    return this.info({ name: "", shape, dtype: raw.dtype, blocked: this.nameOf(raw) });
  }

  channelsLast(tensor: tf.TensorInfo): tf.TensorInfo {
    const [n, channels, h, w] = tensor.shape as [number, number, number, number];
    const shape = [n, h, w, channels];
    if (this.isBlocked(tensor)) {
      const raw = this.blocked(tensor);
      const { block } = this;
      if (channels % block === 0) {
        // A single block is channels-last already. To interleave several, Transpose copies whole blocks,
        // where ReorderOutput copies number by number on one thread.
        const apart = this.emit(
          "Reshape",
          [raw, this.ints([n, channels / block, h * w, block])],
          [n, channels / block, h * w, block],
          "float32",
        );
        const mixed =
          channels === block
            ? apart
            : this.emit("Transpose", [apart], [n, h * w, channels / block, block], "float32", {
                perm: { ints: [0, 2, 1, 3] },
              });
        return this.emit("Reshape", [mixed, this.ints(shape)], shape, "float32");
      }
      return this.emit([NCHWC, "ReorderOutput"], [raw], shape, "float32", {
        channels: { int: channels },
        channels_last: { int: 1 },
      });
    }
    return this.emit("Transpose", [tensor], shape, tensor.dtype, { perm: { ints: [0, 2, 3, 1] } });
  }

  intsOf(name: string): readonly number[] | undefined {
    return this.intLists.get(name);
  }

  scalarName(operand: Operand): string | undefined {
    if (typeof operand === "string") {
      const known = this.initializers.get(operand);
      return operand === "" || (known && elementCount(known.dims) === 1) ? operand : undefined;
    }
    const { splat, dtype } = this.symbolOf(operand);
    if (splat !== undefined) return this.initializer([splat], [], dtype);
    return elementCount(operand.shape) === 1 ? this.nameOf(operand) : undefined;
  }

  private initializer(values: ArrayLike<number>, shape: readonly number[], dtype: string): string {
    if (this.shapesOnly) return this.fresh();
    const data = bytesOf(values, dtype);
    const key =
      data.length <= SHARED_BYTES
        ? `${dtype}|${shape.join()}|${createHash("sha256").update(data).digest("base64")}`
        : undefined;
    const known = key === undefined ? undefined : this.constants.get(key);
    if (known) return known;
    const name = `c${this.counter++}`;
    this.initializers.set(name, { dims: shape, dtype, data });
    if (key !== undefined) this.constants.set(key, name);
    return name;
  }

  input(name: string, shape: readonly number[], dtype: string): tf.TensorInfo {
    return this.info({ name, shape, dtype });
  }

  ints(values: readonly number[]): string {
    const name = this.initializer(values, [values.length], "int64");
    this.intLists.set(name, values);
    return name;
  }

  constant(values: ArrayLike<number>, shape: readonly number[], dtype: TensorType): tf.TensorInfo {
    const first = values[0];
    let uniform = values.length > 0;
    for (let i = 1; i < values.length && uniform; i++) uniform = values[i] === first;
    if (uniform && first !== undefined && !Object.is(Number(first), -0))
      return this.splat(Number(first), shape, dtype);
    return this.info({ name: this.initializer(values, shape, dtype), shape, dtype });
  }

  splat(value: number, shape: readonly number[], dtype: TensorType): tf.TensorInfo {
    return this.info({ name: "", shape, dtype, splat: value });
  }

  splatValue(tensor: tf.TensorInfo): number | undefined {
    return this.symbolOf(tensor).splat;
  }

  spread(tensor: tf.TensorInfo, shape: readonly number[]): tf.TensorInfo {
    return this.info({ name: "", shape, dtype: tensor.dtype, spread: tensor });
  }

  spreadOf(tensor: tf.TensorInfo): tf.TensorInfo | undefined {
    const { spread, shape } = this.symbolOf(tensor);
    return shape.join() === tensor.shape.join() ? spread : undefined;
  }

  scalarOf(tensor: tf.TensorInfo): Operand {
    const splat = this.splatValue(tensor);
    return splat === undefined ? tensor : this.initializer([splat], [], tensor.dtype);
  }

  emit(
    operator: Operator,
    inputs: readonly Operand[],
    shape: readonly number[],
    dtype: string,
    attributes: Readonly<Record<string, EmittedAttribute>> = {},
  ): tf.TensorInfo {
    const blocked =
      typeof operator === "string"
        ? lowerBlocked(this, { opType: operator, inputs, shape, dtype, attributes })
        : undefined;
    return blocked ?? this.emitMany(operator, inputs, [{ shape, dtype }], attributes)[0]!;
  }

  emitMany(
    operator: Operator,
    inputs: readonly Operand[],
    outputs: readonly { readonly shape: readonly number[]; readonly dtype: string }[],
    attributes: Readonly<Record<string, EmittedAttribute>> = {},
  ): tf.TensorInfo[] {
    if (this.shapesOnly) return outputs.map((out) => this.info({ name: this.fresh(), ...out }));
    const [domain, opType] = typeof operator === "string" ? ["", operator] : operator;
    const names = inputs.map((operand) => this.nameOf(operand));
    const key = JSON.stringify([opType, domain, names, attributes, outputs]);
    const known = this.shared.get(key);
    if (known) return known.map((t) => this.info(this.symbolOf(t)));
    const node: EmittedNode = {
      opType,
      domain,
      inputs: names,
      outputs: outputs.map(() => this.fresh()),
      shapes: outputs.map(({ shape }) => shape),
      dtypes: outputs.map(({ dtype }) => dtype),
      attributes,
    };
    this.nodes.push(node);
    const infos = outputs.map(({ shape, dtype }, i) => this.info({ name: node.outputs[i]!, shape, dtype }));
    for (const name of node.outputs) this.producers.set(name, node);
    this.shared.set(key, infos);
    return infos;
  }

  producerOf(tensor: tf.TensorInfo): EmittedNode | undefined {
    const symbolic = this.symbolOf(tensor);
    return symbolic.shape.join() === tensor.shape.join() ? this.producers.get(symbolic.name) : undefined;
  }

  reuse(name: string, shape: readonly number[], dtype: string): tf.TensorInfo {
    return this.info({ name, shape, dtype });
  }

  /**
   * Returns the name of a graph output. That must be made by a node and be no output already, else an
   * Identity is added.
   */
  output(tensor: tf.TensorInfo): string {
    const name = this.nameOf(tensor);
    if (this.producers.has(name) && !this.outputs.has(name)) {
      this.outputs.add(name);
      return name;
    }
    const copy = this.fresh();
    this.nodes.push(nodeOf("Identity", [name], { name: copy, shape: tensor.shape, dtype: tensor.dtype }));
    return copy;
  }

  /**
   * Runs the passes and serialises the graph, without nodes that no output depends on. The options are for a
   * graph whose inputs and outputs the caller allocates.
   * @param stop name of the sequence that becomes the first output
   * @param successors for each carry input the output that replaces it in the next step
   * @param batchInputs the inputs that are never overwritten
   */
  finish(
    inputs: readonly GraphValue[],
    outputs: readonly GraphValue[],
    {
      stop,
      successors = new Map(),
      batchInputs,
    }: {
      stop?: string;
      successors?: ReadonlyMap<string, string>;
      batchInputs?: ReadonlySet<string>;
    } = {},
  ): {
    bytes: Uint8Array;
    nodes: readonly EmittedNode[];
    nodeCounts: Record<string, number>;
    precursors: readonly Precursor[];
    leadingRows: readonly LeadingRows[];
    velocityPairs: readonly VelocityPair[];
  } {
    const shapes = new Map(inputs.map(({ name, shape }) => [name, shape]));
    const velocityPairs: VelocityPair[] = [];
    const graphOutputs = new Set(outputs.map(({ name }) => name));
    const knowledge: Knowledge = {
      scalarOf: (name) => {
        const known = this.initializers.get(name);
        return known?.dtype === "float32" && elementCount(known.dims) === 1
          ? new Float32Array(known.data.slice().buffer)[0]
          : undefined;
      },
      shapeOf: (name) => shapes.get(name) ?? this.initializers.get(name)?.dims,
      intsOf: (name) => this.intsOf(name),
      ints: (values) => this.ints(values),
      indices: (values) => this.initializer(values, [values.length], "int32"),
      ones: (dims) => this.initializer(new Float32Array(elementCount(dims)).fill(1), dims, "float32"),
      number: (value) => this.initializer([value], [], "float32"),
      successorOf: (name) => successors.get(name),
      ...(batchInputs && {
        pairVelocity: (velocity, weight, factors) => {
          const both = `${velocity}both`;
          const rowFactors = `order${factors.join("and")}`;
          velocityPairs.push({ velocity, weight, both, rowFactors, factors });
          return { both, factors: rowFactors };
        },
      }),
    };
    const whole = alive(this.nodes, graphOutputs);
    const cut = batchInputs
      ? cutLeadingRows(whole, graphOutputs, batchInputs, knowledge)
      : { nodes: whole, leadingRows: [] };
    for (const { name, shape } of cut.leadingRows) shapes.set(name, shape);
    const current = [fuse, untranspose, orient, sums, fuseSums, permute].reduce<readonly EmittedNode[]>(
      (before, pass) => pass(before, graphOutputs, knowledge),
      cut.nodes,
    );
    const earlier = precursors(current, graphOutputs, successors.values());
    for (const { name } of earlier) graphOutputs.add(name);
    const updated = new Set(successors.values());
    const nodes = [
      ...releaseEarly(current, graphOutputs, knowledge),
      ...(stop === undefined
        ? []
        : lastLayersFirst(
            outputs.filter(({ name }) => updated.has(name)),
            stop,
            knowledge,
          )),
    ];
    const read = new Set(nodes.flatMap((node) => node.inputs));
    const nodeCounts: Record<string, number> = {};
    for (const { opType } of nodes) nodeCounts[opType] = (nodeCounts[opType] ?? 0) + 1;
    const valueInfo = ({ name, shape, dtype }: GraphValue) => ({
      name,
      type: {
        tensorType: { elemType: ELEMENT_TYPE[dtype]!, shape: { dim: shape.map((d) => ({ dimValue: d })) } },
      },
    });
    const model = onnx.ModelProto.create({
      irVersion: 8,
      producerName: "onnx-unlearn",
      opsetImport: [
        { domain: "", version: EMITTED_OPSET },
        { domain: MICROSOFT, version: 1 },
        ...(nodes.some(({ domain }) => domain === NCHWC) ? [{ domain: NCHWC, version: 1 }] : []),
      ],
      graph: {
        name: "step",
        node: [
          ...nodes.map((node) => ({
            // The name under which ONNX Runtime's profiler reports it (src/engine/profile.ts).
            name: `${node.domain === NCHWC ? "blocked " : ""}${node.opType} ${node.outputs[0]!}`,
            opType: node.opType,
            domain: node.domain,
            input: [...node.inputs],
            output: [...node.outputs],
            attribute: Object.entries(node.attributes).map(([name, value]) =>
              "int" in value
                ? { name, type: 2, i: value.int }
                : "ints" in value
                  ? { name, type: 7, ints: [...value.ints] }
                  : "float" in value
                    ? { name, type: 1, f: value.float }
                    : "floats" in value
                      ? { name, type: 6, floats: [...value.floats] }
                      : { name, type: 3, s: new TextEncoder().encode(value.string) },
            ),
          })),
        ],
        initializer: [...this.initializers]
          .filter(([name]) => read.has(name))
          .map(([name, { dims, dtype, data }]) => ({
            name,
            dims: [...dims],
            dataType: ELEMENT_TYPE[dtype]!,
            rawData: data,
          })),
        input: [
          ...(batchInputs ? inputs.filter(({ name }) => read.has(name)) : inputs),
          ...cut.leadingRows,
          ...velocityPairs.map(({ velocity, both }) => ({
            name: both,
            shape: [1, 2, elementCount(shapes.get(velocity)!)],
            dtype: "float32",
          })),
          ...[...new Set(velocityPairs.map(({ rowFactors }) => rowFactors))].map((name) => ({
            name,
            shape: [1, 2, 1],
            dtype: "float32",
          })),
        ].map(valueInfo),
        output: [
          ...(stop === undefined
            ? []
            : [{ name: stop, type: { sequenceType: { elemType: { tensorType: { elemType: 1 } } } } }]),
          ...[...outputs, ...earlier.map((value) => ({ ...value, dtype: "float32" }))].map(valueInfo),
        ],
      },
    });
    return {
      bytes: onnx.ModelProto.encode(model).finish(),
      ...{ nodes, nodeCounts, precursors: earlier, leadingRows: cut.leadingRows, velocityPairs },
    };
  }
}

let backend: OnnxBackend | undefined;

/** The one tracing backend of this process, registered with tfjs on first use. */
export function tracingBackend(): OnnxBackend {
  if (backend) return backend;
  const created = new OnnxBackend();
  tf.registerBackend(BACKEND, () => created);
  for (const [kernelName, lower] of Object.entries(lowerings)) {
    tf.registerKernel({
      kernelName,
      backendName: BACKEND,
      kernelFunc: ({ inputs, attrs }) => {
        const named: Record<string, tf.TensorInfo> = {};
        const ordered: tf.TensorInfo[] = [];
        // Concat, AddN and others hand over an array of tensors.
        for (const [key, value] of Object.entries(inputs)) {
          if (value === undefined || value === null) continue;
          named[key] = value as tf.TensorInfo;
          ordered.push(value as tf.TensorInfo);
        }
        const lowered = lower({
          inputs: ordered,
          named,
          attrs: (attrs ?? {}) as never,
          graph: created,
        });
        // A lowering may return its input. If a kernel returns a Tensor, tfjs records that Tensor: the input
        // would be both operand and result of the kernel, and the backward pass would add its gradient twice.
        // A TensorInfo with the same data becomes a new tensor.
        const own = ({ dataId, shape, dtype }: tf.TensorInfo): tf.TensorInfo => ({ dataId, shape, dtype });
        return Array.isArray(lowered) ? lowered.map(own) : own(lowered);
      },
    });
  }
  backend = created;
  return created;
}
