import * as tf from "@tensorflow/tfjs-core";
import pkg from "onnx-proto";
import { loweringTables } from "./kernels/index.ts";
import type { EmittedAttribute, Operand, Trace, TraceType } from "./trace.ts";

const { onnx } = pkg;

/** Name of the tracing backend in tfjs's registry. */
export const BACKEND = "onnx";
/** Opset of the emitted graph; ONNX Runtime 1.30 runs up to 26, nothing newer than 21 is needed. */
export const EMITTED_OPSET = 21;
export const ELEMENT_TYPE: Readonly<Record<string, number>> = {
  float32: 1,
  int32: 6,
  int64: 7,
  bool: 9,
};

interface Symbolic {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: string;
  /** The one value everywhere, where it is known. */
  readonly splat?: number;
  /** Made into an initializer when first used. */
  readonly initializer?: Uint8Array;
}

interface EmittedNode {
  readonly opType: string;
  readonly domain: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, EmittedAttribute>>;
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

const size = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);

/**
 * A tfjs backend whose kernels emit ONNX nodes and return symbolic tensors (DESIGN: the compiler).
 * Its state is one graph under construction; `begin` starts a new one.
 */
export class OnnxBackend extends tf.KernelBackend implements Trace {
  private symbols = new WeakMap<object, Symbolic>();
  private nodes: EmittedNode[] = [];
  private initializers = new Map<string, { dims: readonly number[]; dtype: string; data: Uint8Array }>();
  private shared = new Map<string, tf.TensorInfo[]>();
  private constants = new Map<string, string>();
  private producers = new Map<string, EmittedNode>();
  private counter = 0;
  private live = 0;

  begin(): void {
    this.symbols = new WeakMap();
    this.nodes = [];
    this.initializers = new Map();
    this.shared = new Map();
    this.constants = new Map();
    this.producers = new Map();
    this.counter = 0;
  }

  // --- tfjs's view of a backend -------------------------------------------------------------------------------
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
    return this.constant(values as ArrayLike<number>, shape, dtype as TraceType).dataId;
  }
  override move(dataId: object, values: tf.BackendValues, shape: number[], dtype: tf.DataType): void {
    const info = this.constant(values as ArrayLike<number>, shape, dtype as TraceType);
    this.symbols.set(dataId, this.symbols.get(info.dataId)!);
  }

  // --- Trace --------------------------------------------------------------------------------------------------
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
    // Shapes may have changed by tfjs's free reshape (same dataId, other shape): make it explicit.
    if (size(symbolic.shape) === size(operand.shape) && symbolic.shape.join() !== operand.shape.join())
      return this.nameOf(
        symbolic.splat !== undefined
          ? this.splat(symbolic.splat, operand.shape, operand.dtype as TraceType)
          : this.emit(
              "Reshape",
              [symbolic.name, this.ints(operand.shape)],
              operand.shape,
              operand.dtype,
              // A 0 among the dimensions means 0 here, not "as the input".
              operand.shape.includes(0) ? { allowzero: { int: 1 } } : {},
            ),
      );
    if (symbolic.splat !== undefined && !symbolic.name) {
      const { splat, shape, dtype } = symbolic;
      if (size(shape) <= 1) return this.initializer([splat], shape, dtype);
      return this.nameOf(
        this.emit("Expand", [this.initializer([splat], [], dtype), this.ints(shape)], shape, dtype),
      );
    }
    return symbolic.name;
  }

  private initializer(values: ArrayLike<number>, shape: readonly number[], dtype: string): string {
    const data = bytesOf(values, dtype);
    const key =
      data.length <= 4096 ? `${dtype}|${shape.join()}|${Buffer.from(data).toString("base64")}` : undefined;
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
    return this.initializer(values, [values.length], "int64");
  }

  constant(values: ArrayLike<number>, shape: readonly number[], dtype: TraceType): tf.TensorInfo {
    const first = values[0];
    let uniform = values.length > 0;
    for (let i = 1; i < values.length && uniform; i++) uniform = values[i] === first;
    if (uniform && first !== undefined && !Object.is(Number(first), -0))
      return this.splat(Number(first), shape, dtype);
    return this.info({ name: this.initializer(values, shape, dtype), shape, dtype });
  }

  splat(value: number, shape: readonly number[], dtype: TraceType): tf.TensorInfo {
    return this.info({ name: "", shape, dtype, splat: value });
  }

  splatValue(tensor: tf.TensorInfo): number | undefined {
    return this.symbolOf(tensor).splat;
  }

  /** A scalar operand that broadcasts like the splat it stands for; other tensors keep their name. */
  scalarOf(tensor: tf.TensorInfo): Operand {
    const splat = this.splatValue(tensor);
    return splat === undefined ? tensor : this.initializer([splat], [], tensor.dtype);
  }

  emit(
    opType: string,
    inputs: readonly Operand[],
    shape: readonly number[],
    dtype: string,
    attributes: Readonly<Record<string, EmittedAttribute>> = {},
    domain = "",
  ): tf.TensorInfo {
    return this.emitMany(opType, inputs, [{ shape, dtype }], attributes, domain)[0]!;
  }

  emitMany(
    opType: string,
    inputs: readonly Operand[],
    outputs: readonly { readonly shape: readonly number[]; readonly dtype: string }[],
    attributes: Readonly<Record<string, EmittedAttribute>> = {},
    domain = "",
  ): tf.TensorInfo[] {
    const names = inputs.map((operand) => this.nameOf(operand));
    const key = JSON.stringify([opType, domain, names, attributes, outputs]);
    const known = this.shared.get(key);
    if (known) return known.map((t) => this.info(this.symbolOf(t)));
    const node: EmittedNode = {
      opType,
      domain,
      inputs: names,
      outputs: outputs.map(() => this.fresh()),
      attributes,
    };
    this.nodes.push(node);
    const infos = outputs.map(({ shape, dtype }, i) => this.info({ name: node.outputs[i]!, shape, dtype }));
    for (const name of node.outputs) this.producers.set(name, node);
    this.shared.set(key, infos);
    return infos;
  }

  /** The node that made a value, so that a lowering can cancel inverse pairs. */
  producerOf(tensor: tf.TensorInfo): EmittedNode | undefined {
    const symbolic = this.symbolOf(tensor);
    return symbolic.shape.join() === tensor.shape.join() ? this.producers.get(symbolic.name) : undefined;
  }

  /** Wraps an existing value name again, for a lowering that found its result already there. */
  reuse(name: string, shape: readonly number[], dtype: string): tf.TensorInfo {
    return this.info({ name, shape, dtype });
  }

  /** An output must be a value of its own: not an input, not a constant, not another output. */
  output(tensor: tf.TensorInfo): string {
    const name = this.nameOf(tensor);
    const node: EmittedNode = {
      opType: "Identity",
      domain: "",
      inputs: [name],
      outputs: [this.fresh()],
      attributes: {},
    };
    this.nodes.push(node);
    return node.outputs[0]!;
  }

  /** Serialises the graph, leaving out nodes that no output needs (ONNX Runtime would run them). */
  finish(
    inputs: readonly { name: string; shape: readonly number[]; dtype: string }[],
    outputs: readonly { name: string; shape: readonly number[]; dtype: string }[],
  ): { bytes: Uint8Array; nodeCounts: Record<string, number> } {
    const needed = new Set(outputs.map(({ name }) => name));
    const kept: EmittedNode[] = [];
    for (let i = this.nodes.length - 1; i >= 0; i--) {
      const node = this.nodes[i]!;
      if (!node.outputs.some((name) => needed.has(name))) continue;
      for (const name of node.inputs) needed.add(name);
      kept.push(node);
    }
    kept.reverse();
    const nodeCounts: Record<string, number> = {};
    for (const { opType } of kept) nodeCounts[opType] = (nodeCounts[opType] ?? 0) + 1;
    const valueInfo = ({
      name,
      shape,
      dtype,
    }: {
      name: string;
      shape: readonly number[];
      dtype: string;
    }) => ({
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
        { domain: "com.microsoft", version: 1 },
      ],
      graph: {
        name: "step",
        node: kept.map((node) => ({
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
        initializer: [...this.initializers]
          .filter(([name]) => needed.has(name))
          .map(([name, { dims, dtype, data }]) => ({
            name,
            dims: [...dims],
            dataType: ELEMENT_TYPE[dtype]!,
            rawData: data,
          })),
        input: inputs.map(valueInfo),
        output: outputs.map(valueInfo),
      },
    });
    return { bytes: onnx.ModelProto.encode(model).finish(), nodeCounts };
  }
}

let backend: OnnxBackend | undefined;

/** The one tracing backend of this process, registered with tfjs on first use. */
export function tracingBackend(): OnnxBackend {
  if (backend) return backend;
  const created = new OnnxBackend();
  tf.registerBackend(BACKEND, () => created);
  for (const table of loweringTables) {
    for (const [kernelName, lower] of Object.entries(table)) {
      tf.registerKernel({
        kernelName,
        backendName: BACKEND,
        kernelFunc: ({ inputs, attrs }) => {
          const named: Record<string, tf.TensorInfo> = {};
          const ordered: tf.TensorInfo[] = [];
          // Concat, AddN and friends hand over an array of tensors.
          for (const [key, value] of Object.entries(inputs)) {
            if (value === undefined || value === null) continue;
            named[key] = value as tf.TensorInfo;
            ordered.push(value as tf.TensorInfo);
          }
          const lowered = lower({
            inputs: ordered,
            named,
            attrs: (attrs ?? {}) as Record<string, unknown>,
            trace: created,
          });
          // tfjs takes an output that is a Tensor as it is: an input handed back would be its own successor on the
          // tape, and its gradient would be counted twice. A plain TensorInfo becomes a tensor of its own.
          const own = ({ dataId, shape, dtype }: tf.TensorInfo): tf.TensorInfo => ({ dataId, shape, dtype });
          return Array.isArray(lowered) ? lowered.map(own) : own(lowered);
        },
      });
    }
  }
  backend = created;
  return created;
}
