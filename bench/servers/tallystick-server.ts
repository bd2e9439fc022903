/** Our server as it is run: `tallystick serve` in a process of its own, and witnesses likewise, in a folder of their own. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { encodeHex } from "@tallystick/core";
import { type InitializedServer, initServer, logLayoutOf } from "@tallystick/server";
import { addLog, initWitness } from "@tallystick/witness";
import type { Target } from "../load/target.ts";
import { type Child, SOURCE_FLAGS, startChild } from "./child.ts";
import { removeFolder, temporaryFolder } from "./clean-up.ts";
import { slowerSync } from "./slower-sync.ts";

const MAIN = new URL("../../packages/cli/src/main.ts", import.meta.url).pathname;
const NAME = "app";
export const ORIGIN = "bench.localhost/app";

export interface TallystickOptions {
  readonly witnesses?: number;
  /** May send signed batches. */
  readonly senderKey?: Uint8Array;
  readonly syncDelayMs?: number;
  /** Put into the log's own part of the configuration. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Put into the configuration of the server. */
  readonly server?: Readonly<Record<string, unknown>>;
  /** For profiles, such as `--cpu-prof`. */
  readonly nodeFlags?: readonly string[];
}

export interface LogStatus {
  readonly state: string;
  readonly size: number;
  readonly publishedSize: number;
}

export class TallystickServer {
  readonly made: InitializedServer;
  /** Holds the log's data. */
  readonly dataFolder: string;
  readonly #folder: string;
  readonly #options: TallystickOptions;
  readonly #witnesses: readonly Child[];
  #child: Child | undefined;
  #url = "";

  private constructor(input: {
    readonly folder: string;
    readonly options: TallystickOptions;
    readonly made: InitializedServer;
    readonly witnesses: readonly Child[];
  }) {
    this.#folder = input.folder;
    this.#options = input.options;
    this.made = input.made;
    this.#witnesses = input.witnesses;
    this.dataFolder = logLayoutOf(join(input.folder, "log"), NAME).data;
  }

  /** Sets up a log in a new folder below the system's temporary one, and starts it. */
  static async start(options: TallystickOptions = {}): Promise<TallystickServer> {
    const folder = await temporaryFolder();
    const witnesses = await makeWitnesses(folder, options.witnesses ?? 0);
    const made = await initServer({
      dir: join(folder, "log"),
      name: NAME,
      origin: ORIGIN,
      port: 0,
      witnesses: witnesses.map(({ name, vkeys, url }) => ({ name, vkeys, url })),
    });
    for (const { dir } of witnesses) for (const vkey of made.vkeys) await addLog({ dir, vkey });
    await configure(made.configPath, options);
    for (const { child } of witnesses) child.process.kill("SIGHUP");
    const server = new TallystickServer({ folder, options, made, witnesses: witnesses.map(({ child }) => child) });
    await server.start();
    return server;
  }

  get pid(): number {
    return this.#child?.process.pid ?? 0;
  }

  get url(): string {
    return `${this.#url}/${NAME}`;
  }

  /** Starts the server again; gives the milliseconds until it took events. */
  async start(): Promise<number> {
    const began = performance.now();
    const { syncDelayMs = 0, nodeFlags = [] } = this.#options;
    const serve = ["serve", "--dir", join(this.#folder, "log"), "--listen", "127.0.0.1:0", "--json"];
    const [command = "", ...args] = [
      ...slowerSync(syncDelayMs),
      process.execPath,
      ...SOURCE_FLAGS,
      ...nodeFlags,
      MAIN,
      ...serve,
    ];
    const child = startChild(command, args, { cwd: this.#folder });
    this.#child = child;
    this.#url = (JSON.parse(await child.line()) as { url: string }).url;
    while ((await this.status()).state === "starting") await sleep(5);
    return performance.now() - began;
  }

  async stop(): Promise<void> {
    await this.#child?.stop();
    this.#child = undefined;
  }

  async status(): Promise<LogStatus> {
    const headers = { authorization: `Bearer ${this.made.tokens.operator}` };
    return (await (await fetch(`${this.url}/v1/status`, { headers })).json()) as LogStatus;
  }

  /** Waits until the published head covers all that is durable now. */
  async untilPublished(): Promise<number> {
    const { size } = await this.status();
    for (;;) {
      const { publishedSize } = await this.status();
      if (publishedSize >= size) return publishedSize;
      await sleep(20);
    }
  }

  /** Where events are POSTed. */
  target(mediaType = "application/json", query = ""): Target {
    const { hostname, port, pathname } = new URL(this.url);
    return {
      host: hostname,
      port: Number(port),
      method: "POST",
      path: `${pathname}/v1/events${query}`,
      headers: { authorization: `Bearer ${this.made.tokens.writer}`, "content-type": mediaType },
    };
  }

  /** What is read from below the log's address. */
  readTarget(path: string): Target {
    const { method: _, headers: __, ...target } = this.target();
    const headers = { authorization: `Bearer ${this.made.tokens.auditor}` };
    return { ...target, method: "GET", path: `/${NAME}/${path}`, headers };
  }

  /** Ends everything and leaves nothing. */
  async remove(): Promise<void> {
    await this.stop();
    for (const witness of this.#witnesses) await witness.stop();
    await removeFolder(this.#folder);
  }
}

async function configure(path: string, { senderKey, config = {}, server = {} }: TallystickOptions): Promise<void> {
  const before = JSON.parse(await readFile(path, "utf8")) as { logs: object[] };
  const senderKeys = senderKey === undefined ? [] : [{ publicKey: encodeHex(senderKey) }];
  // One token sends everything here: what is measured is not the limit on what one token may send.
  const rateLimit = { requestsPerSecond: 1_000_000_000, burst: 1_000_000_000 };
  const logs = before.logs.map((log) => ({ ...log, senderKeys, ...config }));
  await writeFile(path, JSON.stringify({ ...before, ...server, rateLimit, logs }));
}

interface MadeWitness {
  readonly name: string;
  readonly dir: string;
  readonly vkeys: readonly string[];
  readonly url: string;
  readonly child: Child;
}

async function makeWitnesses(folder: string, count: number): Promise<MadeWitness[]> {
  const made: MadeWitness[] = [];
  for (let at = 1; at <= count; at += 1) {
    const [name, dir] = [`w${at}`, join(folder, `w${at}`)];
    const { vkeys } = await initWitness({ dir, name: `bench.localhost/${name}` });
    const serve = ["witness", "serve", "--dir", dir, "--listen", "127.0.0.1:0", "--json"];
    const child = startChild(process.execPath, [...SOURCE_FLAGS, MAIN, ...serve], { cwd: folder });
    const { url } = JSON.parse(await child.line()) as { url: string };
    made.push({ name, dir, vkeys, url, child });
  }
  return made;
}
