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

/** Squared distance floor of the second-order selection, for pairs of equal points. */
const TAU = 1e-12;
/** Kernel rows kept in memory, in bytes; a row of n points takes 4n. */
const CACHE_BYTES = 200e6;

/** Kernel rows K(i, ·) as float32, the most recently used ones kept. */
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
    if (features === 1) {
      const xi = x[i]!;
      for (let k = 0; k < count; k++) {
        const d = xi - x[k]!;
        row[k] = Math.exp(-gamma * d * d);
      }
    } else {
      for (let k = 0; k < count; k++) {
        let squared = 0;
        for (let f = 0; f < features; f++) {
          const d = x[i * features + f]! - x[k * features + f]!;
          squared += d * d;
        }
        row[k] = Math.exp(-gamma * squared);
      }
    }
    kept.set(i, row);
    return row;
  };
}

/**
 * C-SVC by sequential minimal optimisation with second-order working-set selection (Fan, Chen, Lin: Working Set Selection
 * Using Second Order Information, JMLR 6, 2005; the selection LIBSVM and scikit-learn's SVC use):
 *
 *     min_α ½ Σ α_i α_j y_i y_j K_ij − Σ α_i   s.t.  0 ≤ α_i ≤ C,  Σ y_i α_i = 0
 *
 * Stops when the largest violation of optimality is below `tolerance`. Deterministic; ties go to the last index.
 * @param x [N, features], row-major
 * @param y +1 or −1, [N]
 */
export function trainSvm(
  x: Float64Array,
  y: Int8Array,
  {
    features,
    c,
    gamma,
    tolerance = 1e-3,
  }: { readonly features: number; readonly c: number; readonly gamma: number; readonly tolerance?: number },
): Svm {
  const n = y.length;
  const kernel = kernelRows(x, n, features, gamma);
  const alpha = new Float64Array(n);
  /** Gradient of the dual: y_i Σ_j α_j y_j K_ij − 1. */
  const gradient = new Float64Array(n).fill(-1);
  const mayRise = (k: number) => (y[k]! > 0 ? alpha[k]! < c : alpha[k]! > 0);
  const mayFall = (k: number) => (y[k]! > 0 ? alpha[k]! > 0 : alpha[k]! < c);
  let iterations = 0;
  // As many as LIBSVM allows; reached only by data far from what an attack sees.
  for (const limit = Math.max(10_000_000, 100 * n); iterations < limit; iterations++) {
    let i = -1;
    let highest = Number.NEGATIVE_INFINITY;
    for (let k = 0; k < n; k++) {
      const value = -y[k]! * gradient[k]!;
      if (value >= highest && mayRise(k)) {
        highest = value;
        i = k;
      }
    }
    if (i < 0) break;
    const rowI = kernel(i);
    let j = -1;
    let lowest = Number.POSITIVE_INFINITY;
    let best = Number.POSITIVE_INFINITY;
    for (let k = 0; k < n; k++) {
      if (!mayFall(k)) continue;
      const value = -y[k]! * gradient[k]!;
      if (value < lowest) lowest = value;
      const violation = highest - value;
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
    const [yi, yj] = [y[i]!, y[j]!];
    const curvature = 2 - 2 * rowI[j]!;
    // Along α_i y_i + t, α_j y_j − t the dual falls fastest at t = (−y_i G_i + y_j G_j) / curvature; both stay in [0, C].
    const wanted = (-yi * gradient[i]! + yj * gradient[j]!) / (curvature > 0 ? curvature : TAU);
    const roomI = yi > 0 ? c - alpha[i]! : alpha[i]!;
    const roomJ = yj > 0 ? alpha[j]! : c - alpha[j]!;
    const t = Math.min(wanted, roomI, roomJ);
    // The bound itself, not its neighbour: rounding must not leave a multiplier a hair inside its box.
    alpha[i] = t === roomI ? (yi > 0 ? c : 0) : alpha[i]! + yi * t;
    alpha[j] = t === roomJ ? (yj > 0 ? 0 : c) : alpha[j]! - yj * t;
    for (let k = 0; k < n; k++) gradient[k]! += y[k]! * t * (rowI[k]! - rowJ[k]!);
  }
  return {
    ...supportOf(x, y, alpha, features),
    features,
    gamma,
    rho: offset(y, alpha, gradient, c),
    iterations,
  };
}

/** ρ: the mean of y_k G_k over the free multipliers, or the middle of what the bounded ones allow. */
function offset(y: Int8Array, alpha: Float64Array, gradient: Float64Array, c: number): number {
  let [upper, lower, sum, free] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0, 0];
  for (let k = 0; k < y.length; k++) {
    const value = y[k]! * gradient[k]!;
    if (alpha[k]! > 0 && alpha[k]! < c) {
      sum += value;
      free++;
    } else if (alpha[k]! >= c === y[k]! < 0) upper = Math.min(upper, value);
    else lower = Math.max(lower, value);
  }
  return free > 0 ? sum / free : (upper + lower) / 2;
}

function supportOf(x: Float64Array, y: Int8Array, alpha: Float64Array, features: number) {
  const support = Array.from(alpha.keys()).filter((k) => alpha[k]! > 0);
  const vectors = new Float64Array(support.length * features);
  for (const [m, k] of support.entries())
    vectors.set(x.subarray(k * features, (k + 1) * features), m * features);
  return { vectors, coefficients: Float64Array.from(support, (k) => alpha[k]! * y[k]!) };
}

/**
 * Decision values Σ_m α_m y_m K(v_m, x) − ρ; > 0 means the class +1.
 * @param x [N, features], row-major
 * @returns [N]
 */
export function decisionValues(
  { vectors, coefficients, features, gamma, rho }: Svm,
  x: Float64Array,
): Float64Array {
  const out = new Float64Array(x.length / features);
  for (let n = 0; n < out.length; n++) {
    let sum = -rho;
    for (let m = 0; m < coefficients.length; m++) {
      let squared = 0;
      for (let f = 0; f < features; f++) {
        const d = x[n * features + f]! - vectors[m * features + f]!;
        squared += d * d;
      }
      sum += coefficients[m]! * Math.exp(-gamma * squared);
    }
    out[n] = sum;
  }
  return out;
}
