import type { SingleBar } from "cli-progress";
import type { UnlearnHooks } from "../case/unlearn.ts";

export interface ProgressOutput {
  readonly err: (text: string) => void;
  /** The terminal for a progress bar; undefined: plain lines are written with `err`. */
  readonly terminal?: NodeJS.WriteStream;
}

/**
 * Hooks that show the progress of a run: a bar on a terminal, else a line per phase and per tenth of the run.
 */
export async function progressHooks(
  output: ProgressOutput,
): Promise<Required<Pick<UnlearnHooks, "onPhase" | "onStep">>> {
  const stream = output.terminal;
  if (!stream) {
    let told = 0;
    return {
      onPhase: (phase) => output.err(`${phase}\n`),
      onStep: ({ step, steps, entry }) => {
        const tenths = Math.floor((10 * step) / steps);
        if (tenths <= told) return;
        told = tenths;
        output.err(
          `step ${step} of ${steps}: forget loss ${entry.forgetLoss?.toFixed(4) ?? "–"}, retain loss ${entry.retainLoss?.toFixed(4) ?? "–"}, λ ${entry.lambda.toFixed(3)}\n`,
        );
      },
    };
  }
  const progress = (await import("cli-progress")).default;
  let bar: SingleBar | undefined;
  return {
    onPhase: (phase) => {
      bar?.stop();
      bar = undefined;
      output.err(`${phase}\n`);
    },
    onStep: ({ step, steps, entry }) => {
      if (!bar) {
        bar = new progress.SingleBar({
          stream,
          format: "{bar} {value}/{total} steps · {eta} s left · forget loss {forget} · retain loss {retain}",
          clearOnComplete: true,
          hideCursor: true,
        });
        bar.start(steps, 0, { forget: "–", retain: "–" });
      }
      bar.update(step, {
        forget: entry.forgetLoss?.toFixed(3) ?? "–",
        retain: entry.retainLoss?.toFixed(3) ?? "–",
      });
      if (step === steps) {
        bar.stop();
        bar = undefined;
      }
    },
  };
}
