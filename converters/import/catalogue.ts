import { registeredOperators } from "./registry.ts";

/** Domains with operators of their own, in the order in which they are listed. */
export const DOMAINS = ["", "ai.onnx.ml", "com.microsoft"] as const;

/**
 * Integer, boolean, shape or piecewise constant: the gradient is zero wherever it exists, and does not stop the rest.
 * Every other registered operator has a gradient case held to central differences through ONNX Runtime (a test sees to it).
 */
export const ZERO_GRADIENT: ReadonlySet<string> = new Set([
  "ArgMax",
  "ArgMin",
  "BitCast",
  "BitShift",
  "BitwiseAnd",
  "BitwiseNot",
  "BitwiseOr",
  "BitwiseXor",
  "BlackmanWindow",
  "Ceil",
  "Constant",
  "ConstantOfShape",
  "DynamicQuantizeLinear",
  "Equal",
  "EyeLike",
  "Floor",
  "Greater",
  "GreaterOrEqual",
  "HammingWindow",
  "HannWindow",
  "Hardmax",
  "IsInf",
  "IsNaN",
  "Less",
  "LessOrEqual",
  "MelWeightMatrix",
  "NonMaxSuppression",
  "NonZero",
  "Not",
  "OneHot",
  "OptionalHasElement",
  "Or",
  "And",
  "QuantizeLinear",
  "Range",
  "Round",
  "SequenceEmpty",
  "SequenceLength",
  "Shape",
  "Sign",
  "Size",
  "TfIdfVectorizer",
  "Unique",
  "Xor",
  "com.microsoft/Range",
  "ai.onnx.ml/Binarizer",
  "ai.onnx.ml/OneHotEncoder",
]);

const RECURRENT = "unrolled over the steps of the sequence";
const KNOWN_SHAPE = "host values only: the output's shape hangs on the data";
/** What a user should know of an operator besides "as in ONNX". */
const NOTES: Readonly<Record<string, string>> = {
  Attention: "opset 23 and 24, grouped heads, past keys and values",
  BatchNormalization: "running statistics, frozen by default; training_mode=1 is refused",
  BitCast: "host values only",
  BitShift: "on data a left shift of 32- or 64-bit integers may not overflow: they are carried as int32",
  Cast: "between float types the float32 master is kept",
  CumProd: "the axis is a constant; differentiable at zeros too",
  Col2Im: "as in ONNX; ONNX Runtime 1.30 itself errs with dilations in 1-D and 3-D",
  Compress: "the condition is a constant",
  CumSum: "the axis is a constant",
  DequantizeLinear: "weights are trained straight through on the file's own scale",
  DFT: "a product with a constant matrix",
  Dropout: "the identity; training_mode=true is refused",
  DynamicQuantizeLinear: "scale and zero point are frozen",
  GRU: RECURRENT,
  LSTM: RECURRENT,
  RNN: RECURRENT,
  LpNormalization: "the gradient of a vector of zeros is zero",
  MaxRoiPool: "regions are constants",
  NonMaxSuppression: KNOWN_SHAPE,
  NonZero: KNOWN_SHAPE,
  Unique: KNOWN_SHAPE,
  Resize: "as ONNX Runtime where that departs from ONNX: align_corners counts whole output positions",
  QuantizeLinear:
    "straight through: the gradient of the pair with DequantizeLinear is that of the identity inside the range",
  ReduceL2: "the gradient of a vector of zeros is zero",
  ReduceMax: "equal extremes share the gradient",
  ReduceMin: "equal extremes share the gradient",
  ReduceProd: "differentiable at zeros too",
  Slice: "starts, ends, axes and steps are known from shapes and constants",
  TfIdfVectorizer: "integer tokens",
  TopK: "the gradient goes to the values taken",
  RoiAlign: "regions are constants",
  STFT: "a product with a constant matrix",
  SimplifiedLayerNormalization: "ONNX Runtime's own, in the domain ai.onnx",
  Upsample: "before opset 10; later Resize",
  "ai.onnx.ml/LinearRegressor":
    "its weights are trained in the attributes that hold them, as those of LinearClassifier",
  "ai.onnx.ml/OneHotEncoder": "integer categories",
  "com.microsoft/Attention": "do_rotary=1 is refused",
  "com.microsoft/EmbedLayerNormalization": "ids are data, embeddings are trained",
  "com.microsoft/MultiHeadAttention": "queries, keys and values apart; packed ones are refused",
};

export interface CatalogueEntry {
  readonly domain: string;
  readonly operator: string;
  /** Opsets at which an implementation of its own starts. */
  readonly since: readonly number[];
  readonly gradient: "checked" | "zero";
  readonly note: string;
}

/** Every registered operator, by domain and name. */
export const operatorCatalogue = (): CatalogueEntry[] =>
  DOMAINS.flatMap((domain) =>
    [...registeredOperators(domain)]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([operator, since]) => ({
        domain,
        operator,
        since,
        gradient: ZERO_GRADIENT.has(domain ? `${domain}/${operator}` : operator) ? "zero" : "checked",
        note: NOTES[domain ? `${domain}/${operator}` : operator] ?? "",
      })),
  );
