import { elementCount } from "../../dims.ts";
import { notTrainable } from "../../errors.ts";
import { expand, slice } from "../../kernels/movement.ts";
import { tf } from "../../tf.ts";
import { facts } from "../operator.ts";
import { dimsOf, type Inputs, type OperatorContext, toTensor, type Value } from "../value.ts";
import { matMul } from "./linalg.ts";

/** A tensor with labelled axes; "0", "1" … label the axes of an ellipsis, counted from the right. */
interface Term {
  readonly x: tf.Tensor;
  readonly labels: readonly string[];
}

function labelsOf(text: string, rank: number): string[] {
  const [before, after] = text.split("...") as [string, string?];
  if (after === undefined) return [...before];
  const hidden = rank - before.length - after.length;
  return [...before, ...Array.from({ length: hidden }, (_, i) => `${hidden - 1 - i}`), ...after];
}

/** Reorders the axes to the wanted labels. */
const arrange = ({ x, labels }: Term, wanted: readonly string[]): tf.Tensor =>
  tf.transpose(
    x,
    wanted.map((label) => labels.indexOf(label)),
  );

/** Keeps the diagonal of axes that share a label. */
function diagonal(term: Term): Term {
  const { labels } = term;
  const twice = labels.find((label, i) => labels.indexOf(label) !== i);
  if (twice === undefined) return term;
  const first = labels.indexOf(twice);
  const second = labels.indexOf(twice, first + 1);
  const rest = labels.map((_, i) => i).filter((i) => i !== first && i !== second);
  const length = term.x.shape[first]!;
  const lead = rest.map((i) => term.x.shape[i]!);
  const square = tf.reshape(tf.transpose(term.x, [...rest, first, second]), [...lead, length * length]);
  const x = slice(
    square,
    square.shape.map(() => 0),
    [...lead, length],
    [...lead.map(() => 1), length + 1],
  );
  return diagonal({ x, labels: [...rest.map((i) => labels[i]!), twice] });
}

/** Sums over the labels that neither the output nor a later operand has. */
function summed({ x, labels }: Term, needed: ReadonlySet<string>): Term {
  const axes = labels.map((_, i) => i).filter((i) => !needed.has(labels[i]!));
  if (axes.length === 0) return { x, labels };
  return { x: tf.sum(x, axes), labels: labels.filter((label) => needed.has(label)) };
}

/**
 * One batched matrix product: shared labels in the result are its batch, other shared labels are contracted.
 */
function multiply(a: Term, b: Term, needed: ReadonlySet<string>): Term {
  const shared = a.labels.filter((label) => b.labels.includes(label));
  const batch = shared.filter((label) => needed.has(label));
  const contracted = shared.filter((label) => !needed.has(label));
  const left = a.labels.filter((label) => !shared.includes(label));
  const right = b.labels.filter((label) => !shared.includes(label));
  const size = ({ x, labels }: Term, label: string) => x.shape[labels.indexOf(label)]!;
  const common = (labels: readonly string[]) => labels.map((l) => Math.max(size(a, l), size(b, l)));
  const [batchShape, innerShape] = [common(batch), common(contracted)];
  const [leftShape, rightShape] = [left.map((l) => size(a, l)), right.map((l) => size(b, l))];
  // Axes of an ellipsis may have length 1 and then broadcast.
  const x = expand(arrange(a, [...batch, ...left, ...contracted]), [
    ...batchShape,
    ...leftShape,
    ...innerShape,
  ]);
  const y = expand(arrange(b, [...batch, ...contracted, ...right]), [
    ...batchShape,
    ...innerShape,
    ...rightShape,
  ]);
  const inner = elementCount(innerShape);
  const z = matMul(
    tf.reshape(x, [elementCount(batchShape), elementCount(leftShape), inner]),
    tf.reshape(y, [elementCount(batchShape), inner, elementCount(rightShape)]),
  );
  return {
    x: tf.reshape(z, [...batchShape, ...leftShape, ...rightShape]),
    labels: [...batch, ...left, ...right],
  };
}

/**
 * The labels of the operands' axes and of the output's; undefined if the equation has another number of
 * operands.
 */
function parsed(equation: string, ranks: readonly number[]) {
  const [terms = "", output] = equation.replaceAll(/\s/g, "").split("->") as [string?, string?];
  const texts = terms.split(",");
  if (texts.length !== ranks.length) return undefined;
  const labels = texts.map((text, i) => labelsOf(text, ranks[i]!));
  const hidden = [...new Set(labels.flat().filter((label) => /\d/.test(label)))].sort(
    (a, b) => Number(b) - Number(a),
  );
  const named = (text: string) => labelsOf(text, text.replace("...", "").length + hidden.length);
  // Without "->": the ellipsis, then every label that occurs once in the equation, sorted.
  const written = texts.join("").replaceAll(".", "");
  const once = [...new Set(written)].filter((label) => written.split(label).length === 2).sort();
  return { labels, wanted: output === undefined ? [...hidden, ...once] : named(output) };
}

/** Diagonals first, then sums, then one matrix product per further operand, from left to right. */
export function Einsum(
  inputs: Inputs,
  { equation }: { equation: string },
  { where }: OperatorContext,
): Value {
  const tensors = inputs.map((input) => toTensor(input!));
  const found = parsed(
    equation,
    tensors.map(({ rank }) => rank),
  );
  if (!found)
    throw notTrainable(
      "EINSUM_TERMS",
      `${where}: the equation "${equation}" does not name ${inputs.length} inputs.`,
    );
  const { wanted } = found;
  const operands = tensors.map((x, i) => diagonal({ x, labels: found.labels[i]! }));

  const needed = (from: number) =>
    new Set([...wanted, ...operands.slice(from).flatMap(({ labels }) => labels)]);
  let result = operands[0]!;
  result = summed(result, needed(1));
  for (let i = 1; i < operands.length; i++) {
    const later = needed(i + 1);
    const next = summed(operands[i]!, new Set([...later, ...result.labels]));
    result = multiply(result, next, later);
    result = summed(result, later);
  }
  return arrange(result, wanted);
}
Einsum.facts = facts({
  // Samples mix if the batch has several labels, or its label is summed over.
  mixes: ({ attributes, inputs, axes: { inputs: batch } }) => {
    const ranks = inputs.map((x) => dimsOf(x!).length);
    const { labels, wanted } = parsed(String(attributes["equation"]), ranks)!;
    const held = new Set(batch.flatMap((axis, i) => (axis < 0 ? [] : [labels[i]![axis]!])));
    return held.size > 1 || !wanted.includes([...held][0]!);
  },
});
