/** A served log in a process of its own, on a machine that can be changed under it. */
import type { ChildProcess } from "node:child_process";
import { readFileSync, readdirSync, renameSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Policy, parsePolicy } from "@tallystick/core";
import type { LogStatus } from "@tallystick/log";
import { type InitServerOptions, type InitializedServer, initServer } from "@tallystick/server";
import { exitOf, removeFolder, startCommand, temporaryFolder } from "../support/processes.ts";
import { openMany } from "./crowd.ts";
import type { Machine } from "./machine.ts";

const PRELOAD = new URL("machine.ts", import.meta.url).href;
const PATIENCE_MS = 120_000;

/** As `httpThreads` of server.json: whichever it is, the bounds are the same. */
const HTTP_THREADS = Number(process.env["TALLYSTICK_HTTP_THREADS"] ?? 0);

export interface SiteOptions {
  /** Fields of server.json. */
  readonly server?: Readonly<Record<string, unknown>>;
  /** Fields of its one log. */
  readonly log?: Readonly<Record<string, unknown>>;
  readonly witnesses?: InitServerOptions["witnesses"];
  readonly quorum?: number;
}

export interface Readiness {
  readonly ready: boolean;
  readonly logs: readonly {
    readonly state: string;
    readonly reasons: readonly { readonly code: string; readonly message: string }[];
  }[];
}

export class OverloadSite {
  readonly folder: string;
  readonly made: InitializedServer;
  readonly policy: Policy;
  readonly #machinePath: string;
  #child: ChildProcess | undefined;
  #url = "";
  /** What the server said on stderr. */
  #said = "";

  private constructor(folder: string, made: InitializedServer, policy: Policy) {
    this.folder = folder;
    this.made = made;
    this.policy = policy;
    this.#machinePath = join(folder, "machine.json");
  }

  /** Sets up a server; {@link start} runs it. */
  static async create({ server = {}, log = {}, witnesses = [], quorum }: SiteOptions = {}): Promise<OverloadSite> {
    const folder = await temporaryFolder();
    const made = await initServer({
      dir: join(folder, "log"),
      name: "app",
      origin: "test.localhost/app",
      port: 0,
      witnesses,
      ...(quorum === undefined ? {} : { quorum }),
    });
    const config = JSON.parse(await readFile(made.configPath, "utf8")) as { logs: object[] };
    const logs = config.logs.map((each) => ({ ...each, ...log }));
    writeFileSync(made.configPath, JSON.stringify({ ...config, httpThreads: HTTP_THREADS, ...server, logs }));
    const site = new OverloadSite(folder, made, parsePolicy(await readFile(made.policyPath)));
    site.change({});
    return site;
  }

  /** Without a slash at the end; the log is at `/app`. */
  get origin(): string {
    return this.#url;
  }

  get url(): string {
    return `${this.#url}/app`;
  }

  get port(): number {
    return Number(new URL(this.#url).port);
  }

  get said(): string {
    return this.#said;
  }

  /** Changes the machine under the server, at once or at its next start. */
  change(machine: Partial<Machine>): void {
    const next = `${this.#machinePath}.next`;
    writeFileSync(next, JSON.stringify({ clockMs: 0, diskMs: 0, ...machine }));
    renameSync(next, this.#machinePath);
  }

  /** Starts the server, and waits until it takes events. */
  async start(): Promise<void> {
    const env = ["env", `NODE_OPTIONS=--import=${PRELOAD}`, `TALLYSTICK_TEST_MACHINE=${this.#machinePath}`];
    const args = ["serve", "--dir", join(this.folder, "log"), "--json", "--listen", "127.0.0.1:0"];
    const child = startCommand(this.folder, args, [...openMany, ...env]);
    this.#child = child;
    child.stderr?.on("data", (part: Buffer) => (this.#said += part.toString()));
    this.#url = await new Promise<string>((resolve, reject) => {
      let out = "";
      child.stdout?.on("data", (part: Buffer) => {
        out += part.toString();
        const [, url] = /"url":\s*"([^"]+)"/.exec(out) ?? [];
        if (url !== undefined) resolve(url);
      });
      child.once("close", (code) => reject(new Error(`the server ended with ${code}: ${this.#said}`)));
    });
    await this.untilReadiness(({ ready }) => ready);
  }

  async readiness(): Promise<Readiness> {
    return (await (await fetch(`${this.#url}/readyz`)).json()) as Readiness;
  }

  async untilReadiness(holds: (readiness: Readiness) => boolean): Promise<Readiness> {
    let readiness: Readiness = { ready: false, logs: [] };
    await until(holds.toString(), async () => holds((readiness = await this.readiness())));
    return readiness;
  }

  /** A metric without labels but the log's. */
  async metric(name: string): Promise<number> {
    const text = await (await fetch(`${this.#url}/metrics`)).text();
    const [, value] = new RegExp(`^${name}(?:\\{log="app"\\})? (\\S+)$`, "m").exec(text) ?? [];
    return Number(value);
  }

  async untilStatus(holds: (status: LogStatus) => boolean): Promise<void> {
    await until(holds.toString(), async () => {
      const response = await this.#ask("v1/status", this.made.tokens.operator);
      return holds((await response.json()) as LogStatus);
    });
  }

  /** Waits until a tail is given again. */
  async untilTail(token: string): Promise<void> {
    await until("a tail", async () => {
      const ended = new AbortController();
      const response = await this.#ask("v1/tail", token, ended.signal);
      ended.abort();
      return response.status === 200;
    });
  }

  async untilMetric(name: string, holds: (value: number) => boolean): Promise<void> {
    await until(`${name}: ${holds.toString()}`, async () => holds(await this.metric(name)));
  }

  /** Waits until the server has so many files open, connections among them. */
  async untilOpen(count: number): Promise<void> {
    await until(`${count} open files`, async () => this.openFiles() >= count);
  }

  async untilSaid(words: RegExp): Promise<void> {
    await until(`words like ${String(words)}`, async () => words.test(this.#said));
  }

  async #ask(path: string, token: string, signal?: AbortSignal): Promise<Response> {
    const headers = { authorization: `Bearer ${token}` };
    return fetch(`${this.url}/${path}`, { headers, ...(signal === undefined ? {} : { signal }) });
  }

  /** Of the server's process, in MiB. */
  memory(): { readonly now: number; readonly peak: number } {
    const status = readFileSync(`/proc/${this.#child?.pid}/status`, "utf8");
    const of = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)?.[1]) / 1024;
    return { now: of("VmRSS"), peak: of("VmHWM") };
  }

  /** What the server has open, connections among them. */
  openFiles(): number {
    return readdirSync(`/proc/${this.#child?.pid}/fd`).length;
  }

  /** Ends it in order; gives the exit code. */
  async stop(): Promise<number | null> {
    const child = this.#child;
    if (child === undefined) return null;
    child.kill("SIGTERM");
    const code = await exitOf(child);
    this.#child = undefined;
    return code;
  }

  async close(): Promise<void> {
    this.#child?.kill("SIGKILL");
    if (this.#child !== undefined) await exitOf(this.#child);
    await removeFolder(this.folder);
  }
}

/** Asks again and again; a server that turns us away is asked again. */
async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  for (const deadline = performance.now() + PATIENCE_MS; ;) {
    if (await holds().catch(() => false)) return;
    if (performance.now() > deadline) throw new Error(`not within ${PATIENCE_MS} ms: ${what}`);
    await sleep(20);
  }
}
