/** Clients that do not behave, by the thousand. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { exitOf } from "../support/processes.ts";

export interface CrowdOrder {
  readonly port: number;
  readonly count: number;
  /**
   * - `idle`: says nothing.
   * - `half-open`: begins a request and never ends its head.
   * - `kept`: asks once, and keeps the connection.
   * - `unread`: asks for `path` and never reads; with `ahead` so many times at once, and again every second.
   * - `slow-body`: posts to `path`, a byte a second.
   */
  readonly kind: "idle" | "half-open" | "kept" | "unread" | "slow-body";
  readonly path?: string;
  readonly ahead?: number;
  readonly token?: string;
}

export interface CrowdCount {
  readonly open: number;
  /** Connections that were open and ended; each was made anew. */
  readonly closed: number;
  /** What was read. */
  readonly bytes: number;
}

const CHILD = fileURLToPath(new URL("crowd-child.ts", import.meta.url));
export const FILES_MAX = 16_384;

/** Whether a process may have so many connections open. */
export const canOpenMany: boolean = spawnSync("sh", ["-c", `ulimit -n ${FILES_MAX}`]).status === 0;

/** What comes before a command so that it may. */
export const openMany: readonly string[] = canOpenMany ? ["sh", "-c", `ulimit -n ${FILES_MAX} && exec "$0" "$@"`] : [];

export class Crowd {
  readonly #child: ChildProcess;
  #count: CrowdCount = { open: 0, closed: 0, bytes: 0 };

  constructor(order: CrowdOrder) {
    const command = [...openMany, process.execPath, "--conditions=ws-source", CHILD, JSON.stringify(order)];
    this.#child = spawn(command[0] ?? "", command.slice(1), { stdio: ["ignore", "ignore", "inherit", "ipc"] });
    this.#child.on("message", (count: CrowdCount) => (this.#count = count));
  }

  get count(): CrowdCount {
    return this.#count;
  }

  /** Waits until something holds of it. */
  async until(holds: (count: CrowdCount) => boolean, timeoutMs = 120_000): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    while (!holds(this.#count)) {
      if (performance.now() > deadline || this.#child.exitCode !== null)
        throw new Error(`not within ${timeoutMs} ms: ${holds.toString()}, at ${JSON.stringify(this.#count)}`);
      await sleep(20);
    }
  }

  async end(): Promise<void> {
    this.#child.kill("SIGKILL");
    await exitOf(this.#child);
  }
}
