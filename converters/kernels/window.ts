/** A sliding window over the spatial axes: convolutions and pools share this arithmetic. */
export interface Window {
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  /** [begin of each axis …, end of each axis …] */
  readonly pads: readonly number[];
}

export interface ConvAttributes extends Window {
  readonly group: number;
  /** [N, C, spatial…] of the convolution's input. */
  readonly inputShape: readonly number[];
  /** [O, C/group, kernel…] */
  readonly filterShape: readonly number[];
  /** [N, O, spatial…] */
  readonly outputShape: readonly number[];
}

export interface WindowAttributes {
  readonly auto_pad?: string;
  readonly dilations?: readonly number[];
  readonly pads?: readonly number[];
  readonly strides?: readonly number[];
}

/** Resolves defaults and auto_pad (SAME_UPPER, SAME_LOWER, VALID) to explicit pads. */
export function resolveWindow(
  kernel: readonly number[],
  spatial: readonly number[],
  { auto_pad = "NOTSET", dilations, pads, strides }: WindowAttributes,
): Window {
  const ones = kernel.map(() => 1);
  const s = strides ?? ones;
  const d = dilations ?? ones;
  let p = pads ?? [...kernel, ...kernel].map(() => 0);
  if (auto_pad === "VALID") p = [...kernel, ...kernel].map(() => 0);
  else if (auto_pad.startsWith("SAME")) {
    const total = kernel.map((k, i) =>
      Math.max(0, (Math.ceil(spatial[i]! / s[i]!) - 1) * s[i]! + (k - 1) * d[i]! + 1 - spatial[i]!),
    );
    const small = total.map((t) => Math.floor(t / 2));
    const large = total.map((t, i) => t - small[i]!);
    p = auto_pad === "SAME_UPPER" ? [...small, ...large] : [...large, ...small];
  }
  return { kernel, strides: s, dilations: d, pads: p };
}

/** Number of window positions on each axis. */
export function outputSpatial(spatial: readonly number[], w: Window, ceil = false): number[] {
  return spatial.map((size, i) => {
    const rank = spatial.length;
    const room = size + w.pads[i]! + w.pads[rank + i]! - (w.kernel[i]! - 1) * w.dilations[i]! - 1;
    let count = (ceil ? Math.ceil : Math.floor)(room / w.strides[i]!) + 1;
    // A window that would start in the end padding is not counted.
    if (ceil && (count - 1) * w.strides[i]! >= size + w.pads[i]!) count--;
    return count;
  });
}

/** Every tap of the kernel as its offset in the padded input, first axis slowest. */
export function taps({ kernel, dilations }: Window): number[][] {
  let offsets: number[][] = [[]];
  kernel.forEach((k, i) => {
    offsets = offsets.flatMap((o) => Array.from({ length: k }, (_, t) => [...o, t * dilations[i]!]));
  });
  return offsets;
}
