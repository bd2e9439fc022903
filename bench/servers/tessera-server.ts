/**
 * Tessera's log on a POSIX file system, built from its Go module: the conformance server as it is shipped, or, with
 * another batch age, our own few lines around the same library (go/posix).
 */
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { createSigner, formatSignerKey } from "@tallystick/core";
import { buildGo, goToolchain } from "../../test/interop/go.ts";
import type { Target } from "../load/target.ts";
import { type Child, startChild } from "./child.ts";
import { removeFolder, temporaryFolder } from "./clean-up.ts";
import { slowerSync } from "./slower-sync.ts";
import { freePort } from "../../test/support/free-port.ts";

const MODULE = new URL("../go", import.meta.url).pathname;
const START_TIMEOUT_MS = 20_000;

export interface TesseraOptions {
  /** Without it the server is the one that is shipped: a batch closes after a second, or with 256 entries. */
  readonly batchAgeMs?: number;
  readonly syncDelayMs?: number;
}

/** What to say where Go is not there, or too old; `undefined` where Tessera can be built. */
export function whyNoTessera(): string | undefined {
  return goToolchain() === undefined ? "no Go on the PATH that is new enough: Tessera cannot be built" : undefined;
}

/** Leaves a CPU second that transparency-dev/merkle's compact range takes, on one core. */
export async function goLeavesPerCpuSecond(options: {
  readonly leafBytes: number;
  readonly leaves: number;
  readonly seconds: number;
}): Promise<number> {
  const { leafBytes, leaves, seconds } = options;
  const binary = await buildGo(MODULE, "./compact");
  const child = startChild(binary, [`-leaf-bytes=${leafBytes}`, `-leaves=${leaves}`, `-seconds=${seconds}`]);
  return Number(await child.line());
}

export class TesseraServer {
  readonly #folder: string;
  readonly #child: Child;
  readonly #url: URL;

  private constructor(folder: string, child: Child, url: string) {
    this.#folder = folder;
    this.#child = child;
    this.#url = new URL(url);
  }

  /** A new log in a new folder below the system's temporary one. */
  static async start({ batchAgeMs, syncDelayMs = 0 }: TesseraOptions): Promise<TesseraServer> {
    const folder = await temporaryFolder();
    const isShipped = batchAgeMs === undefined;
    const binary = await buildGo(
      MODULE,
      isShipped ? "github.com/transparency-dev/tessera/cmd/conformance/posix" : "./posix",
    );
    const listen = isShipped ? `127.0.0.1:${await freePort()}` : "";
    const words = isShipped
      ? ["-storage_dir", folder, "-listen", listen]
      : ["-folder", folder, "-batch-age", `${batchAgeMs}ms`];
    const signer = createSigner({
      name: "bench.localhost/posix",
      type: "ed25519",
      seed: new Uint8Array(randomBytes(32)),
    });
    // Under strace each of the signals by which Go interrupts its own threads would stop them twice.
    const preemption = syncDelayMs > 0 ? { GODEBUG: "asyncpreemptoff=1" } : {};
    const env = { LOG_PRIVATE_KEY: formatSignerKey(signer), ...preemption };
    const [command = "", ...args] = [...slowerSync(syncDelayMs), binary, ...words];
    const child = startChild(command, args, { env });
    const url = isShipped ? `http://${listen}` : await child.line();
    await untilAnswered(`${url}/checkpoint`);
    return new TesseraServer(folder, child, url);
  }

  get pid(): number {
    return this.#child.process.pid ?? 0;
  }

  /** Where entries are POSTed: the body is the entry. */
  target(): Target {
    const { hostname, port } = this.#url;
    return { host: hostname, port: Number(port), method: "POST", path: "/add", headers: {} };
  }

  async remove(): Promise<void> {
    await this.#child.stop();
    await removeFolder(this.#folder);
  }
}

/** Any answer will do. */
async function untilAnswered(url: string): Promise<void> {
  const end = performance.now() + START_TIMEOUT_MS;
  for (;;) {
    const answer = await fetch(url).catch(() => undefined);
    if (answer !== undefined) {
      await answer.arrayBuffer();
      return;
    }
    if (performance.now() > end) throw new Error(`nobody answers at ${url}`);
    await sleep(20);
  }
}
