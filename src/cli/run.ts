import type { Command } from "commander";
import { type Io, printJson, printWarnings } from "./io.ts";

interface RunFlags {
  readonly dryRun?: boolean;
  readonly force?: boolean;
  readonly json?: boolean;
}

export const defineRun = (command: Command, io: Io): Command =>
  command
    .option("--dry-run", "check the file and its inputs, print the plan, do nothing")
    .option("--force", "replace outputs that exist: model, reports, receipt")
    .option("--json", "print one JSON document on stdout")
    .action(async (file: string, flags: RunFlags) => {
      if (flags.dryRun) {
        const [{ planText, readPlan }, { checkPlan }, { resolveSettings }] = await Promise.all([
          import("../release/plan.ts"),
          import("../release/run.ts"),
          import("../case/unlearn.ts"),
        ]);
        const plan = readPlan(file);
        const { opened, settings } = await checkPlan(plan, { force: flags.force });
        const text = planText(plan, resolveSettings(opened, settings));
        if (flags.json) printJson(io, { plan: text.split("\n") });
        else io.out(`${text}\n`);
        return;
      }
      const [{ runPipeline }, { progressHooks }] = await Promise.all([
        import("../release/run.ts"),
        import("../report/progress.ts"),
      ]);
      const document = await runPipeline(
        file,
        { force: flags.force },
        { ...(await progressHooks(io)), signal: io.signal },
      );
      printWarnings(io, document);
      if (flags.json) printJson(io, document);
      else {
        const { printDiff } = await import("./diff.ts");
        await printDiff(document.diff, io);
        if (document.rejected !== undefined)
          io.out(`The new file was not put in place; it lies at ${document.rejected}.\n`);
        io.out(`Verdict: ${document.verdict}.\n`);
      }
      if (document.verdict === "failed") io.exitWith?.(1);
    });
