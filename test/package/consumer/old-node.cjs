// Run with a Node that cannot require() an ES module: what returns a promise works, the rest says what to do.
const library = require("onnx-unlearn");

library.open("missing.onnx", { forget: "missing.npz", retain: "missing.npz" }).then(
  () => process.exit(1),
  ({ code }) => {
    if (code !== "FILE_UNREADABLE") throw new Error(code);
    try {
      library.readModel(new Uint8Array());
    } catch ({ message }) {
      process.exit(message.includes('await import("onnx-unlearn")') ? 0 : 1);
    }
    process.exit(1);
  },
);
