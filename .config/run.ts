/** Runs a tool of the workspace. */
import { spawn } from "node:child_process";
import { delimiter } from "node:path";
import { fileURLToPath } from "node:url";

/** The workspace's folder. */
export const root: string = fileURLToPath(new URL("../", import.meta.url));

/**
 * The environment in which the workspace's own tools, Node among them, come before the machine's. What Node has compiled
 * it keeps for the next process: the tests start hundreds.
 */
export const environment: NodeJS.ProcessEnv = {
  NODE_COMPILE_CACHE: `${root}node_modules/.cache/node`,
  ...process.env,
  PATH: `${root}node_modules/.bin${delimiter}${process.env["PATH"] ?? ""}`,
};

/** How a command ended, and what it wrote to stdout and stderr, in the order in which it came. */
export interface Outcome {
  readonly ok: boolean;
  readonly output: string;
}

/** Runs `command` to its end and keeps what it wrote. */
export function run(command: string, args: readonly string[]): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: root, env: environment, stdio: ["ignore", "pipe", "pipe"] });
    const written: Buffer[] = [];
    child.stdout.on("data", (bytes: Buffer) => written.push(bytes));
    child.stderr.on("data", (bytes: Buffer) => written.push(bytes));
    child.on("error", reject);
    child.on("close", (status) => resolve({ ok: status === 0, output: Buffer.concat(written).toString() }));
  });
}
