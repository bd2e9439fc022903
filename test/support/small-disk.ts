/** A small disk of one's own, which can be filled: a tmpfs that only the processes of one shell see. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { exitOf } from "./processes.ts";

const MAIN = new URL("../../packages/cli/src/main.ts", import.meta.url).pathname;
const WAIT_MS = 30_000;

/** Whether mounts of one's own can be made here. */
export const CAN_MOUNT: boolean = spawnSync("unshare", ["-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]).status === 0;

export class SmallDisk {
  readonly path: string;
  readonly #shell: ChildProcess;
  #output = "";

  private constructor(path: string) {
    this.path = path;
    this.#shell = spawn("unshare", ["-m", "sh"], { stdio: ["pipe", "pipe", "ignore"] });
    this.#shell.stdout?.on("data", (part: Buffer) => (this.#output += part.toString()));
  }

  /** Makes it at `path`; it is gone with `end`. */
  static async create(path: string, { mebibytes }: { readonly mebibytes: number }): Promise<SmallDisk> {
    await mkdir(path);
    const disk = new SmallDisk(path);
    await disk.run(`mount -t tmpfs -o size=${mebibytes}m tmpfs '${path}' && echo mounted`, /^mounted$/m);
    return disk;
  }

  /** Gives the shell a line, and waits for what it prints: the first line that matches. */
  async run(line: string, prints: RegExp): Promise<RegExpExecArray> {
    this.#output = "";
    this.#shell.stdin?.write(`${line}\n`);
    return this.prints(prints);
  }

  /** Waits for what is printed after the last line that was given. */
  async prints(pattern: RegExp): Promise<RegExpExecArray> {
    const deadline = Date.now() + WAIT_MS;
    for (;;) {
      const found = pattern.exec(this.#output);
      if (found !== null) return found;
      if (Date.now() > deadline || this.#shell.exitCode !== null) throw new Error(`not ${pattern}: ${this.#output}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  /** Leaves no room. */
  async fill(): Promise<void> {
    await this.run(`dd if=/dev/zero of='${this.path}/filler' bs=4k 2>&1; echo filled`, /^filled$/m);
  }

  /** Takes that back. */
  async makeRoom(): Promise<void> {
    await this.run(`rm '${this.path}/filler'; echo free`, /^free$/m);
  }

  async end(): Promise<void> {
    this.#shell.stdin?.end("exit\n");
    await exitOf(this.#shell);
  }
}

/** A line of shell that runs the command from source. */
export const commandLine = (...args: readonly string[]): string => nodeLine(MAIN, ...args);

export const nodeLine = (...args: readonly string[]): string =>
  [process.execPath, "--conditions=ws-source", ...args].map((word) => `'${word}'`).join(" ");
