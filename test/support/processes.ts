/** Real processes for tests: the command, run as a user runs it, in a folder of its own. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DevFile } from "@tallystick/cli";

const MAIN = new URL("../../packages/cli/src/main.ts", import.meta.url).pathname;
const FLAGS = ["--conditions=ws-source"];

export interface Finished {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Starts the command. npm's variables are left out: they would move it to another folder. */
export function startCommand(cwd: string, args: readonly string[], prefix: readonly string[] = []): ChildProcess {
  const { INIT_CWD: _, npm_lifecycle_event: __, ...env } = process.env;
  const [program, ...before] = [...prefix, process.execPath];
  return spawn(program ?? process.execPath, [...before, ...FLAGS, MAIN, ...args], {
    cwd,
    env,
    stdio: ["ignore", "pipe", "pipe"],
  });
}

/** Runs the command to its end. */
export async function runCommand(
  cwd: string,
  args: readonly string[],
  prefix: readonly string[] = [],
): Promise<Finished> {
  const child = startCommand(cwd, args, prefix);
  let [out, err] = ["", ""];
  child.stdout?.on("data", (part: Buffer) => (out += part.toString()));
  child.stderr?.on("data", (part: Buffer) => (err += part.toString()));
  const code = await exitOf(child);
  return { code, out, err };
}

export async function exitOf(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
  return new Promise((resolve) => child.once("close", (code) => resolve(code)));
}

export async function temporaryFolder(): Promise<string> {
  return mkdtemp(join(tmpdir(), "tallystick-test-"));
}

export async function removeFolder(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true });
}

export interface Dev {
  readonly folder: string;
  readonly file: DevFile;
  /** What it printed. */
  readonly printed: () => string;
  readonly child: ChildProcess;
  /** Ends it as Ctrl-C does; gives the exit code. */
  stop(): Promise<number | null>;
}

/** Starts `tallystick dev` in a folder, on any free port, and waits until it has said so. */
export async function startDev(folder: string): Promise<Dev> {
  const child = startCommand(folder, ["dev", "--port", "0"]);
  let printed = "";
  const ready = new Promise<void>((resolve, reject) => {
    const take = (part: Buffer): void => {
      printed += part.toString();
      if (printed.includes("Ctrl-C stops")) resolve();
    };
    child.stdout?.on("data", take);
    child.stderr?.on("data", take);
    child.once("close", (code) => reject(new Error(`dev ended with ${code}: ${printed}`)));
  });
  await ready;
  const file = JSON.parse(await readFile(join(folder, ".tallystick", "dev.json"), "utf8")) as DevFile;
  return {
    folder,
    file,
    child,
    printed: () => printed,
    stop: async () => {
      child.kill("SIGINT");
      return exitOf(child);
    },
  };
}
