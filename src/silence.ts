// The official builds of ONNX Runtime (1.29 and later, also on Linux and macOS) report model and session
// facts to their vendor and keep a device id and
// a queue under the user's home. Who scrubs a model does not expect that, so it is off unless the user has
// set the variable. It counts only when set
// before the native library starts, hence this module, which runtime.ts loads first.
process.env.ORT_DISABLE_TELEMETRY ??= "1";
