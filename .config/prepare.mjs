/**
 * Installs what the lockfile names, Node 24 included, and compiles the kernel, if that has not been done yet.
 *
 * It runs as a pre-script on whatever Node the machine has: the shell of the script proper starts afterwards and finds
 * the new Node first on its PATH. A running shell would keep the old one.
 */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { isKernelCompiled } from "./kernel.mjs";

const root = new URL("../", import.meta.url);

function textOf(path) {
  try {
    return readFileSync(new URL(path, root), "utf8");
  } catch {
    return undefined;
  }
}

const wanted = textOf("pnpm-lock.yaml");
if (wanted === undefined || wanted !== textOf("node_modules/.pnpm/lock.yaml")) {
  process.stderr.write("setting up: installing what the lockfile names; this takes a minute at most, once\n");
  // Without --prefer-offline, npx waits minutes for a network that is not there.
  const pnpm = ["pnpm@12.21.0", "install", "--frozen-lockfile", "--loglevel=error"];
  run("npx", ["-y", "--prefer-offline", "--loglevel=error", ...pnpm], "the dependencies could not be installed");
}
// By the Node that is installed now.
if (!isKernelCompiled()) run("node_modules/.bin/node", [".config/kernel.mjs"], "the kernel could not be compiled");

/** What it prints goes to stderr: stdout belongs to the command that follows. */
function run(command, args, failure) {
  const { status } = spawnSync(command, args, { cwd: root, stdio: ["ignore", 2, 2] });
  if (status === 0) return;
  process.stderr.write(`${failure}: see above\n`);
  if (process.env.npm_lifecycle_event === "pretest") process.stdout.write("0 passed, 1 failed\n");
  process.exit(1);
}
