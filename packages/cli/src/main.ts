#!/usr/bin/env node
/** The `tallystick` command: parses its arguments, calls one library function, prints. */
import * as nodeModule from "node:module";
import { fileURLToPath } from "node:url";

// Older ones fail somewhere below, in words that help nobody.
const NODE_MIN = [22, 18] as const;
const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
if (major < NODE_MIN[0] || (major === NODE_MIN[0] && minor < NODE_MIN[1])) {
  const wanted = NODE_MIN.join(".");
  process.stderr.write(
    `tallystick: expected Node ${wanted} or later, got ${process.versions.node}; npm install node@24 brings one\n`,
  );
  process.exit(2);
}

// Whatever nobody caught: node itself would end with 1, which means refuted.
process.on("uncaughtException", (error: unknown) => {
  process.stderr.write(`tallystick: internal error: ${JSON.stringify(String(error))}\n`);
  process.exit(2);
});

// Compiled code is kept beside the code itself, where nobody can write who could not change that too: starting takes
// half the time. Where the folder cannot be written, nothing is kept. So the import comes after it.
nodeModule.enableCompileCache(fileURLToPath(new URL("../node_modules/.cache/tallystick", import.meta.url)));
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
