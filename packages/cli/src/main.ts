#!/usr/bin/env node
/** The `tallystick` command: parses its arguments, calls one library function, prints. */
import { enableCompileCache } from "node:module";
import { fileURLToPath } from "node:url";

// Whatever nobody caught: node itself would end with 1, which means refuted.
process.on("uncaughtException", (error: unknown) => {
  process.stderr.write(`tallystick: internal error: ${JSON.stringify(String(error))}\n`);
  process.exit(2);
});

// Compiled code is kept beside the code itself, where nobody can write who could not change that too: starting takes
// 0.3 s instead of 0.7. Where the folder cannot be written, nothing is kept. So the import comes after it.
enableCompileCache(fileURLToPath(new URL("../node_modules/.cache/tallystick", import.meta.url)));
const { run } = await import("./run.ts");

// npm runs scripts in the workspace's folder; files that a user names are where the user is.
const userFolder = process.env["INIT_CWD"];
if (userFolder !== undefined && process.env["npm_lifecycle_event"] === "tallystick") process.chdir(userFolder);

const stop = new AbortController();
let asked = 0;
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => {
    // Through a package manager one Ctrl-C arrives twice: only a later one means impatience.
    const now = performance.now();
    if (stop.signal.aborted && now - asked > 500) process.exit(130);
    if (!stop.signal.aborted) asked = now;
    stop.abort();
  });
}
// A reader that closes the pipe early is no error of ours.
process.stdout.on("error", () => stop.abort());
process.stderr.on("error", () => undefined);

const code = await run(process.argv.slice(2), { out: process.stdout, err: process.stderr }, stop.signal);
process.exitCode = code;
// What is open has been closed by now; whatever still waits must not keep a finished command alive.
setTimeout(() => process.exit(code), 1000).unref();
