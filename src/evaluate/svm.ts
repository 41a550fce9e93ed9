import { rowsOf } from "../tasks/numbers.ts";

/** A trained two-class support vector machine with kernel exp(−γ‖a − b‖²). */
export interface Svm {
  readonly features: number;
  readonly gamma: number;
  /** Support vectors [M, features], row-major. */
  readonly vectors: Float64Array;
  /** α_m y_m of each support vector. */
  readonly coefficients: Float64Array;
  readonly rho: number;
  readonly iterations: number;
}

/** Lower bound of the curvature along a pair, for pairs of equal points. */
const TAU = 1e-12;
/** Memory for kernel rows; a row of n points takes 4n bytes. */
const CACHE_BYTES = 200e6;

/** exp(−γ‖a_i − b_k‖²) */
function rbf(
  a: Float64Array,
  i: number,
  b: Float64Array,
  k: number,
  { features, gamma }: Pick<Svm, "features" | "gamma">,
): number {
  let squared = 0;
  for (let f = 0; f < features; f++) {
    const d = a[i * features + f]! - b[k * features + f]!;
    squared += d * d;
  }
  return Math.exp(-gamma * squared);
}

type Expansion = Pick<Svm, "vectors" | "coefficients" | "features" | "gamma">;

/** Σ_m α_m y_m K(v_m, x_n) */
function sumAt(expansion: Expansion, x: Float64Array, n: number): number {
  const { vectors, coefficients } = expansion;
  let sum = 0;
  for (let m = 0; m < coefficients.length; m++) sum += coefficients[m]! * rbf(x, n, vectors, m, expansion);
  return sum;
}

/** Chebyshev's nodes on [−1, 1] and their barycentric weights. */
const NODES = Array.from({ length: 12 }, (_, k) => {
  const angle = ((2 * k + 1) * Math.PI) / 24;
  return { at: Math.cos(angle), weight: (-1) ** k * Math.sin(angle) };
});

/**
 * {@link sumAt} at each x, for a single feature. The sum is a smooth function of x, so it is computed at the
 * nodes of cells of width ½ / √γ and interpolated between them. The error is at most 1e-13 of Σ α_m, as
 * Cramér's inequality for Hermite functions bounds the derivatives of e^−t².
 */
function sumsOnLine(expansion: Expansion, x: Float64Array): Float64Array {
  const width = 1 / (2 * Math.sqrt(expansion.gamma));
  const cells = new Map<number, number[]>();
  for (const [n, value] of x.entries()) {
    const cell = Math.floor(value / width);
    const members = cells.get(cell);
    if (members) members.push(n);
    else cells.set(cell, [n]);
  }
  const out = new Float64Array(x.length);
  for (const [cell, members] of cells) {
    if (members.length <= NODES.length) {
      for (const n of members) out[n] = sumAt(expansion, x, n);
      continue;
    }
    const nodes = Float64Array.from(NODES, ({ at }) => (cell + (1 + at) / 2) * width);
    const sums = nodes.map((_, k) => sumAt(expansion, nodes, k));
    for (const n of members) {
      let [above, below] = [0, 0];
      for (let k = 0; k < NODES.length; k++) {
        // 1e-200 instead of 0: at a node the quotient is then the sum there, not 0 / 0.
        const share = NODES[k]!.weight / (x[n]! - nodes[k]! || 1e-200);
        above += share * sums[k]!;
        below += share;
      }
      out[n] = above / below;
    }
  }
  return out;
}

/** {@link sumAt} at each of the vectors themselves. */
function sumsAtVectors(expansion: Expansion): Float64Array {
  const { vectors, coefficients, features } = expansion;
  if (features === 1) return sumsOnLine(expansion, vectors);
  const out = coefficients.slice();
  for (let n = 0; n < out.length; n++)
    for (let m = 0; m < n; m++) {
      const similarity = rbf(vectors, n, vectors, m, expansion);
      out[n]! += coefficients[m]! * similarity;
      out[m]! += coefficients[n]! * similarity;
    }
  return out;
}

/** Kernel rows K(i, ·) as float32, with a cache of the most recently used ones. */
function kernelRows(x: Float64Array, count: number, features: number, gamma: number) {
  const kept = new Map<number, Float32Array>();
  const room = Math.max(2, Math.floor(CACHE_BYTES / (4 * count)));
  return (i: number): Float32Array => {
    const known = kept.get(i);
    if (known) {
      kept.delete(i);
      kept.set(i, known);
      return known;
    }
    let row: Float32Array;
    if (kept.size >= room) {
      const [oldest, reused] = kept.entries().next().value!;
      kept.delete(oldest);
      row = reused;
    } else row = new Float32Array(count);
    for (let k = 0; k < count; k++) row[k] = rbf(x, i, x, k, { features, gamma });
    kept.set(i, row);
    return row;
  };
}

/** The distinct points of each class, and how often each occurs. */
function distinct(x: Float64Array, y: Int8Array, features: number) {
  const groups = new Map<string, { readonly first: number; times: number }>();
  for (let i = 0; i < y.length; i++) {
    const key = `${y[i]}:${x.subarray(i * features, (i + 1) * features).join()}`;
    const group = groups.get(key);
    if (group) group.times++;
    else groups.set(key, { first: i, times: 1 });
  }
  const kept = [...groups.values()];
  const firsts = kept.map(({ first }) => first);
  return {
    points: rowsOf(x, features, firsts),
    classes: rowsOf(y, 1, firsts),
    times: Float64Array.from(kept, ({ times }) => times),
  };
}

/**
 * C-SVC by sequential minimal optimisation with second-order working-set selection (Fan, Chen, Lin: Working
 * Set Selection Using Second Order Information, JMLR 6, 2005; the selection LIBSVM and scikit-learn's SVC
 * use):
 *
 *     min_α ½ Σ α_i α_j y_i y_j K_ij − Σ α_i   s.t.  0 ≤ α_i ≤ C,  Σ y_i α_i = 0
 *
 * A point that occurs m times in a class is merged into one with the bound m C, which is the same problem but
 * smaller, as saturated probabilities repeat. Stops when the largest violation of optimality is below
 * `tolerance`. Deterministic; ties go to the last index.
 * @param samples [N, features], row-major
 * @param labels +1 or −1, [N]
 */
export function trainSvm(
  samples: Float64Array,
  labels: Int8Array,
  {
    features,
    c,
    gamma,
    tolerance = 1e-3,
  }: { readonly features: number; readonly c: number; readonly gamma: number; readonly tolerance?: number },
): Svm {
  const { points: x, classes: y, times } = distinct(samples, labels, features);
  const n = y.length;
  const bound = times.map((m) => m * c);
  const kernel = kernelRows(x, n, features, gamma);
  const boxes = (label: number) => bound.reduce((sum, box, k) => (y[k] === label ? sum + box : sum), 0);
  const [positive, negative] = [boxes(1), boxes(-1)];
  const balance = Math.min(positive, negative);
  // Where the classes overlap, most multipliers end at their bounds, so they start there; those of the class
  // with the larger sum of bounds are scaled down to satisfy Σ y_i α_i = 0.
  const alpha = bound.map((box, k) => box * (balance / (y[k]! > 0 ? positive : negative)));
  const coefficients = alpha.map((a, k) => a * y[k]!);
  const sums = sumsAtVectors({ vectors: x, coefficients, features, gamma });
  /** −y_k times the gradient of the dual, that is y_k − Σ_j α_j y_j K_kj. */
  const score = sums.map((sum, k) => y[k]! - sum);
  /** Whether α_k y_k may increase (`rises`) and decrease (`falls`) within the bounds of α_k. */
  const rises = new Uint8Array(n);
  const falls = new Uint8Array(n);
  const settle = (k: number): void => {
    const [above, below] = [alpha[k]! > 0, alpha[k]! < bound[k]!];
    rises[k] = Number(y[k]! > 0 ? below : above);
    falls[k] = Number(y[k]! > 0 ? above : below);
  };
  for (let k = 0; k < n; k++) settle(k);
  let i = -1;
  let highest = Number.NEGATIVE_INFINITY;
  for (let k = 0; k < n; k++)
    if (rises[k] && score[k]! >= highest) {
      highest = score[k]!;
      i = k;
    }
  let iterations = 0;
  // LIBSVM's limit; data of a membership attack do not reach it.
  for (const limit = Math.max(10_000_000, 100 * n); i >= 0 && iterations < limit; iterations++) {
    const rowI = kernel(i);
    let j = -1;
    let lowest = Number.POSITIVE_INFINITY;
    let best = Number.POSITIVE_INFINITY;
    for (let k = 0; k < n; k++) {
      if (!falls[k]) continue;
      if (score[k]! < lowest) lowest = score[k]!;
      const violation = highest - score[k]!;
      if (violation <= 0) continue;
      // ‖φ(x_i) − φ(x_k)‖², the curvature along the pair; the kernel's diagonal is 1.
      const curvature = 2 - 2 * rowI[k]!;
      const decrease = -(violation * violation) / (curvature > 0 ? curvature : TAU);
      if (decrease <= best) {
        best = decrease;
        j = k;
      }
    }
    if (highest - lowest < tolerance || j < 0) break;
    const rowJ = kernel(j);
    const curvature = 2 - 2 * rowI[j]!;
    // Along α_i y_i + t, α_j y_j − t the dual is smallest at t = (score_i − score_j) / curvature; t is then
    // limited by the bounds of both.
    const wanted = (score[i]! - score[j]!) / (curvature > 0 ? curvature : TAU);
    const roomI = y[i]! > 0 ? bound[i]! - alpha[i]! : alpha[i]!;
    const roomJ = y[j]! > 0 ? alpha[j]! : bound[j]! - alpha[j]!;
    const t = Math.min(wanted, roomI, roomJ);
    // Set to the bound exactly, as rounding must not leave a multiplier slightly inside it.
    alpha[i] = t === roomI ? (y[i]! > 0 ? bound[i]! : 0) : alpha[i]! + y[i]! * t;
    alpha[j] = t === roomJ ? (y[j]! > 0 ? 0 : bound[j]!) : alpha[j]! - y[j]! * t;
    settle(i);
    settle(j);
    i = -1;
    highest = Number.NEGATIVE_INFINITY;
    for (let k = 0; k < n; k++) {
      const moved = score[k]! - t * (rowI[k]! - rowJ[k]!);
      score[k] = moved;
      if (rises[k] && moved >= highest) {
        highest = moved;
        i = k;
      }
    }
  }
  return {
    ...supportOf(x, y, alpha, features),
    features,
    gamma,
    rho: offset(y, alpha, score, bound),
    iterations,
  };
}

/**
 * ρ: the mean of −score_k over multipliers inside their bounds; else the middle of the range that all allow.
 */
function offset(y: Int8Array, alpha: Float64Array, score: Float64Array, bound: Float64Array): number {
  let [upper, lower, sum, free] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0, 0];
  for (let k = 0; k < y.length; k++) {
    const value = -score[k]!;
    if (alpha[k]! > 0 && alpha[k]! < bound[k]!) {
      sum += value;
      free++;
    } else if (alpha[k]! >= bound[k]! === y[k]! < 0) upper = Math.min(upper, value);
    else lower = Math.max(lower, value);
  }
  return free > 0 ? sum / free : (upper + lower) / 2;
}

function supportOf(x: Float64Array, y: Int8Array, alpha: Float64Array, features: number) {
  const support = Array.from(alpha.keys()).filter((k) => alpha[k]! > 0);
  return {
    vectors: rowsOf(x, features, support),
    coefficients: Float64Array.from(support, (k) => alpha[k]! * y[k]!),
  };
}

/**
 * Decision values Σ_m α_m y_m K(v_m, x) − ρ; > 0 means the class +1.
 * @param x [N, features], row-major
 * @returns [N]
 */
export function decisionValues(svm: Svm, x: Float64Array): Float64Array {
  if (svm.features === 1) return sumsOnLine(svm, x).map((sum) => sum - svm.rho);
  return new Float64Array(x.length / svm.features).map((_, n) => sumAt(svm, x, n) - svm.rho);
}
