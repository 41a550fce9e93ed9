import { graphWriter } from "./graph.ts";

const CLASSES = 10;

type Writer = ReturnType<typeof graphWriter>;

/**
 * Convolution with bias, or, as exporters in training mode write it, without bias and with BatchNormalization
 * after it.
 */
function convolution(
  g: Writer,
  x: string,
  name: string,
  {
    from,
    to,
    kernel = 3,
    stride = 1,
    group = 1,
    gain = 1,
    norm = false,
  }: {
    from: number;
    to: number;
    kernel?: number;
    stride?: number;
    group?: number;
    gain?: number;
    norm?: boolean;
  },
): string {
  const perGroup = from / group;
  const w = g.weight(`${name}.weight`, [to, perGroup, kernel, kernel], perGroup * kernel * kernel, gain);
  const pad = (kernel - 1) / 2;
  const y = g.node("Conv", norm ? [x, w] : [x, w, g.floats(`${name}.bias`, [to], () => 0)], {
    kernel_shape: [kernel, kernel],
    pads: [pad, pad, pad, pad],
    strides: [stride, stride],
    dilations: [1, 1],
    group,
  });
  if (!norm) return y;
  return g.node(
    "BatchNormalization",
    [
      y,
      g.floats(`${name}.norm.weight`, [to], () => 1),
      g.floats(`${name}.norm.bias`, [to], () => 0),
      g.floats(`${name}.norm.running_mean`, [to], () => 0.1 * (g.draw() - 0.5)),
      g.floats(`${name}.norm.running_var`, [to], () => 0.8 + 0.4 * g.draw()),
    ],
    { epsilon: { float: 1e-5 } },
  );
}

function classifier(g: Writer, x: string, width: number): void {
  const pooled = g.node("Flatten", [g.node("GlobalAveragePool", [x])], { axis: 1 });
  const inputs = [
    pooled,
    g.weight("fc.weight", [CLASSES, width], width),
    g.floats("fc.bias", [CLASSES], () => 0),
  ];
  g.node("Gemm", inputs, { transB: 1 }, "logits");
}

/** 784-512-10. */
export function mlp(): Uint8Array {
  const g = graphWriter(1);
  const hidden = g.node("Relu", [
    g.node("Gemm", ["input", g.weight("fc1.weight", [512, 784], 784), g.floats("fc1.bias", [512], () => 0)], {
      transB: 1,
    }),
  ]);
  g.node(
    "Gemm",
    [hidden, g.weight("fc2.weight", [CLASSES, 512], 512), g.floats("fc2.bias", [CLASSES], () => 0)],
    { transB: 1 },
    "logits",
  );
  return g.finish([784], CLASSES);
}

/**
 * Basic-block residual network for small images: a 3×3 stem, then stages of blocks, 1×1 shortcuts where the
 * shape changes.
 */
export function resnet(widths: readonly number[], blocks: number, norm = false): Uint8Array {
  const g = graphWriter(2);
  let x = g.node("Relu", [convolution(g, "input", "stem", { from: 3, to: widths[0]!, norm })]);
  let from = widths[0]!;
  widths.forEach((to, stage) => {
    for (let block = 0; block < blocks; block++) {
      const name = `layer${stage + 1}.${block}`;
      const stride = stage > 0 && block === 0 ? 2 : 1;
      const inner = g.node("Relu", [convolution(g, x, `${name}.conv1`, { from, to, stride, norm })]);
      // Small weights in the second convolution keep the sum of many blocks in range.
      const outer = convolution(g, inner, `${name}.conv2`, { from: to, to, gain: 0.3, norm });
      const shortcut =
        stride === 1 && from === to
          ? x
          : convolution(g, x, `${name}.shortcut`, { from, to, kernel: 1, stride, norm });
      x = g.node("Relu", [g.node("Add", [outer, shortcut])]);
      from = to;
    }
  });
  classifier(g, x, from);
  return g.finish([3, 32, 32], CLASSES);
}

/**
 * Inverted residual blocks as in MobileNetV2 (expansion 6, ReLU6 as Clip), width and depth for 3×96×96
 * images.
 */
export function mobilenet(): Uint8Array {
  const g = graphWriter(3);
  const [low, high] = [g.floats("zero", [], () => 0), g.floats("six", [], () => 6)];
  const relu6 = (x: string) => g.node("Clip", [x, low, high]);
  let x = relu6(convolution(g, "input", "stem", { from: 3, to: 32, stride: 2 }));
  let from = 32;
  const stages = [
    [1, 16, 1, 1],
    [6, 24, 2, 2],
    [6, 32, 3, 2],
    [6, 64, 2, 2],
    [6, 96, 2, 1],
  ] as const;
  stages.forEach(([expansion, to, blocks, first], stage) => {
    for (let block = 0; block < blocks; block++) {
      const name = `stage${stage + 1}.${block}`;
      const stride = block === 0 ? first : 1;
      const wide = from * expansion;
      const expanded =
        expansion === 1
          ? x
          : relu6(convolution(g, x, `${name}.expand`, { from, to: wide, kernel: 1, gain: 0.7 }));
      const depthwise = { from: wide, to: wide, stride, group: wide };
      const filtered = relu6(convolution(g, expanded, `${name}.depthwise`, depthwise));
      const y = convolution(g, filtered, `${name}.project`, { from: wide, to, kernel: 1, gain: 0.5 });
      x = stride === 1 && from === to ? g.node("Add", [x, y]) : y;
      from = to;
    }
  });
  x = relu6(convolution(g, x, "last", { from, to: 320, kernel: 1, gain: 0.7 }));
  classifier(g, x, 320);
  return g.finish([3, 96, 96], CLASSES);
}

/** Post-norm transformer encoder on vectors [sequence, width], in the form of opset 17 exports. */
export function transformer(layers = 2, width = 128, heads = 4, sequence = 64): Uint8Array {
  const g = graphWriter(4);
  const head = width / heads;
  const split = g.integers("split", [0, 0, heads, head]);
  const merge = g.integers("merge", [0, 0, width]);
  const scale = g.floats("scale", [], () => 1 / Math.sqrt(head));
  const linear = (x: string, name: string, from: number, to: number) =>
    g.node("Add", [
      g.node("MatMul", [x, g.weight(`${name}.weight`, [from, to], from, 0.7)]),
      g.floats(`${name}.bias`, [to], () => 0),
    ]);
  const norm = (x: string, name: string) =>
    g.node(
      "LayerNormalization",
      [x, g.floats(`${name}.weight`, [width], () => 1), g.floats(`${name}.bias`, [width], () => 0)],
      { axis: -1, epsilon: { float: 1e-5 } },
    );
  let x = "input";
  for (let layer = 0; layer < layers; layer++) {
    const name = `layers.${layer}`;
    const headed = (which: string, perm: readonly number[]) =>
      g.node(
        "Transpose",
        [g.node("Reshape", [linear(x, `${name}.attention.${which}`, width, width), split])],
        { perm },
      );
    const scores = g.node("Mul", [
      g.node("MatMul", [headed("query", [0, 2, 1, 3]), headed("key", [0, 2, 3, 1])]),
      scale,
    ]);
    const mixed = g.node("MatMul", [
      g.node("Softmax", [scores], { axis: -1 }),
      headed("value", [0, 2, 1, 3]),
    ]);
    const merged = g.node("Reshape", [g.node("Transpose", [mixed], { perm: [0, 2, 1, 3] }), merge]);
    const attended = linear(merged, `${name}.attention.out`, width, width);
    x = norm(g.node("Add", [x, attended]), `${name}.norm1`);
    const wide = g.node("Relu", [linear(x, `${name}.linear1`, width, 4 * width)]);
    x = norm(g.node("Add", [x, linear(wide, `${name}.linear2`, 4 * width, width)]), `${name}.norm2`);
  }
  const pooled = g.node("ReduceMean", [x], { axes: [1], keepdims: 0 });
  const inputs = [
    pooled,
    g.weight("fc.weight", [CLASSES, width], width),
    g.floats("fc.bias", [CLASSES], () => 0),
  ];
  g.node("Gemm", inputs, { transB: 1 }, "logits");
  return g.finish([sequence, width], CLASSES);
}
