import { methods } from "../../src/unlearn/methods/index.ts";
import { kindText } from "../../src/unlearn/option-kind.ts";
import {
  defaultText,
  flagName,
  heededText,
  METHODS,
  OPTION_GROUPS,
  OPTIONS,
  spelled,
} from "../../src/unlearn/option-table.ts";

const TITLES: { readonly [G in keyof typeof OPTION_GROUPS]: string } = {
  training: "Training",
  guard: "What the result is held to",
  importing: "Which weights are trained",
  permissions: "Files",
};

/** The table of options as a page: `docs/options.md`. */
export function optionsPage(): string {
  const sections = Object.entries(OPTION_GROUPS).map(([group, names]) => {
    const rows = names.map((name) => {
      const { kind, what, section } = OPTIONS[name];
      const key =
        section === "none" ? "–" : `\`${section === "top" ? "" : "unlearn."}${spelled(name, "key")}\``;
      const cells = [what, kindText(kind), defaultText(name) ?? "–", heededText(name) ?? "everywhere"];
      return `| \`${name}\` | \`${flagName(name)}\` | ${key} | ${cells.join(" | ")} |`;
    });
    return [
      `## ${TITLES[group as keyof typeof TITLES]}`,
      "",
      "| option | flag | pipeline file | what | values | default | heeded by |",
      "| --- | --- | --- | --- | --- | --- | --- |",
      ...rows,
    ].join("\n");
  });
  const settings = METHODS.flatMap((method) =>
    Object.entries(methods[method].settings ?? {}).map(
      ([name, { value, minimum, maximum, what }]) =>
        `| \`${method}\` | \`${name}\` | ${what} | ${kindText({ is: "number", minimum, maximum })} | ${value} |`,
    ),
  );
  return `# Options

Written by \`npm run docs\`; do not edit.

Every option of \`onnx-unlearn unlearn\`: its name in the library, its flag, its key in a [pipeline file](pipeline.md).
*Heeded by*: the methods, optimizers, losses or circumstances in which it has an effect; elsewhere it has none or is refused.
What the methods do, and what a budget decides by itself: [methods.md](methods.md).

${sections.join("\n\n")}

## Settings of the methods

Given by \`--set name=number\`, in a pipeline file under \`unlearn.settings\`.

| method | setting | what | values | default |
| --- | --- | --- | --- | --- |
${settings.join("\n")}
`;
}
