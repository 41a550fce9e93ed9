import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** Time that one kind of operator took in the compiled step. */
export interface OperatorTime {
  /** ONNX operator; with "blocked " in front where it works on ONNX Runtime's blocked layout (NCHWc). */
  readonly operator: string;
  /** Number of nodes with this operator in the step. */
  readonly nodes: number;
  readonly millisecondsPerStep: number;
  /** Share of the time of all operators, 0…1. */
  readonly share: number;
}

interface ProfileEvent {
  readonly cat: string;
  readonly name: string;
  /** Microseconds. */
  readonly dur: number;
  readonly args?: { readonly op_name?: string };
}

/**
 * Time per operator, slowest first, from the files that ONNX Runtime's profiler wrote into a folder. The
 * first step is left out, as it also warms up.
 */
export function readProfile(folder: string): readonly OperatorTime[] {
  const events = readdirSync(folder)
    .filter((name) => name.endsWith(".json"))
    .flatMap((name) => JSON.parse(readFileSync(join(folder, name), "utf8")) as ProfileEvent[]);
  const durations = new Map<string, { operator: string; times: number[] }>();
  for (const { cat, name, dur, args } of events) {
    if (cat !== "Node" || !name.endsWith("_kernel_time") || !args?.op_name) continue;
    const operator = name.startsWith("blocked ") ? `blocked ${args.op_name}` : args.op_name;
    const known = durations.get(name);
    if (known) known.times.push(dur);
    else durations.set(name, { operator, times: [dur] });
  }
  const rows = new Map<string, { nodes: number; milliseconds: number }>();
  let total = 0;
  for (const { operator, times } of durations.values()) {
    const counted = times.length > 1 ? times.slice(1) : times;
    const milliseconds = counted.reduce((a, b) => a + b, 0) / counted.length / 1000;
    const row = rows.get(operator) ?? { nodes: 0, milliseconds: 0 };
    rows.set(operator, { nodes: row.nodes + 1, milliseconds: row.milliseconds + milliseconds });
    total += milliseconds;
  }
  return [...rows]
    .map(([operator, { nodes, milliseconds }]) => ({
      operator,
      nodes,
      millisecondsPerStep: milliseconds,
      share: total > 0 ? milliseconds / total : 0,
    }))
    .sort((a, b) => b.millisecondsPerStep - a.millisecondsPerStep);
}
