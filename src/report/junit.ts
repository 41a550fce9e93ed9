import { fails, type GateCheck, type GateReport } from "../gates/judge.ts";
import { escapeMarkup } from "./format.ts";

const attributes = (values: Readonly<Record<string, string | number>>): string =>
  Object.entries(values)
    .map(([name, value]) => ` ${name}="${escapeMarkup(String(value))}"`)
    .join("");

function testCase(check: GateCheck): string {
  const { name, status, limit, sentence } = check;
  const [group, ...rest] = name.split(".");
  const head = `<testcase${attributes({ name: rest.join(".") || name, classname: `onnx-unlearn.${group}`, time: 0 })}`;
  const message = `${limit}: ${sentence}`;
  if (fails(check))
    return `${head}><failure${attributes({ message, type: status })}>${escapeMarkup(message)}</failure></testcase>`;
  if (status === "skipped") return `${head}><skipped/></testcase>`;
  return `${head}/>`;
}

/** The gates as a JUnit test suite with a test case per check; warnings are in the suite's output. */
export function junitReport(
  { checks }: GateReport,
  at: { readonly time: Date; readonly host: string },
): string {
  const failures = checks.filter(fails).length;
  const skipped = checks.filter(({ status, level }) => status === "skipped" && level === "warn").length;
  const notes = checks.filter(({ status }) => status === "warned" || status === "skipped");
  const suite = {
    name: "onnx-unlearn gates",
    package: "onnx-unlearn",
    id: 0,
    timestamp: at.time.toISOString().replace(/\.\d+Z$/, ""),
    hostname: at.host,
    tests: checks.length,
    failures,
    errors: 0,
    skipped,
    time: 0,
  };
  const output = notes.map(
    ({ name, status, limit, sentence }) => `${status}: ${name} (${limit}): ${sentence}`,
  );
  return `<?xml version="1.0" encoding="UTF-8"?>
<testsuites>
<testsuite${attributes(suite)}>
<properties/>
${checks.map(testCase).join("\n")}
<system-out>${escapeMarkup(output.join("\n"))}</system-out>
<system-err/>
</testsuite>
</testsuites>
`;
}
