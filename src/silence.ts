// The official builds of ONNX Runtime (1.29 and later, also on Linux and macOS) report facts about models and
// sessions to their vendor, and keep a device id and a queue in the user's home directory. Users who remove
// data from a model do not expect that, so it is off unless they set the variable themselves. It takes effect
// only if it is set before the native library is loaded, so it has a module of its own, which runtime.ts
// imports first.
process.env.ORT_DISABLE_TELEMETRY ??= "1";
