import { describe, test } from "vitest";
import * as activation from "./activation.cases.ts";
import * as convolution from "./convolution.cases.ts";
import * as elementwise from "./elementwise.cases.ts";
import { checkOperator } from "./harness.ts";
import * as linalg from "./linalg.cases.ts";
import * as movement from "./movement.cases.ts";
import * as normalization from "./normalization.cases.ts";
import * as reduction from "./reduction.cases.ts";
import * as shape from "./shape.cases.ts";

const families = { elementwise, activation, linalg, reduction, movement, normalization, shape, convolution };

for (const [family, { cases }] of Object.entries(families))
  describe(`${family}: ONNX Runtime forward and central differences`, () => {
    test.each(cases.map((c) => [`${c.op}: ${c.name}`, c] as const))("%s", async (_, c) => checkOperator(c));
  });
