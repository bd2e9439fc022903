/** Inspects folders in a process of its own, since LevelDB ends its process on some damage. */
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Inspection, Order } from "./inspection.ts";

const CHILD = fileURLToPath(new URL("inspection-child.ts", import.meta.url));

/** Far more than the longest inspection takes. */
const HANG_MS = 300_000;

export class Inspector {
  #child: ChildProcess | undefined;

  /** One at a time. A process that ends says so by the signal. */
  async inspect(order: Order): Promise<Inspection> {
    this.#child ??= fork(CHILD, { execArgv: ["--conditions=ws-source"], stdio: ["ignore", "ignore", "ignore", "ipc"] });
    const child = this.#child;
    return new Promise((resolve) => {
      const hanging = setTimeout(() => child.kill("SIGKILL"), HANG_MS);
      const ended = (code: number | null, signal: string | null): void => {
        clearTimeout(hanging);
        this.#child = undefined;
        const message = `the process ended: ${signal ?? code}`;
        resolve({ noticed: { by: "end", code: String(signal ?? code), message }, picture: {} });
      };
      child.once("exit", ended);
      child.once("message", (inspection: Inspection) => {
        clearTimeout(hanging);
        child.off("exit", ended);
        resolve(inspection);
      });
      child.send(order);
    });
  }

  async close(): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.disconnect();
    await ended;
  }
}
