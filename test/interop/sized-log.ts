/** A served log of a size that the test decides, with public entry bundles, on a free port and in a folder of its own. */
import { randomBytes } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Log, LogStatus } from "@tallystick/log";
import { type TallyEvent, newEventId, parseEvent } from "@tallystick/events";
import {
  type InitServerOptions,
  type InitializedServer,
  type ServedLogs,
  initServer,
  serveLogs,
} from "@tallystick/server";
import { vi } from "vitest";
import { removeFolder, temporaryFolder } from "../support/processes.ts";

export interface SizedLog {
  readonly folder: string;
  readonly dir: string;
  /** Another one after each start. */
  readonly url: string;
  readonly vkeys: readonly string[];
  readonly policyPath: string;
  readonly tokens: InitializedServer["tokens"];
  /** Appends entries until there are `size`. */
  appendTo(size: number): Promise<void>;
  /** The same, and waits until a published head says so. */
  growTo(size: number): Promise<void>;
  status(): LogStatus;
  stop(): Promise<void>;
  start(options?: { readonly startWithoutWitnesses?: boolean }): Promise<void>;
  /** Stops it and leaves nothing. */
  remove(): Promise<void>;
}

/** As many as the queue takes at once. */
const APPEND_MAX = 16_384;

/** Makes an empty log. It never writes entries of its own: no log.head comes within a day. */
export async function createSizedLog(options: Partial<InitServerOptions> = {}): Promise<SizedLog> {
  const folder = await temporaryFolder();
  const dir = join(folder, "log");
  const made = await initServer({ dir, name: "app", origin: "interop.example/app", port: 0, ...options });
  await changeConfig(made.configPath, { publicEntries: true, headIntervalMs: 86_400_000, publishIntervalMs: 20 });
  let served = await serveLogs({ dir });
  return {
    folder,
    dir,
    get url() {
      return `${served.url}/app`;
    },
    vkeys: made.vkeys,
    policyPath: made.policyPath,
    tokens: made.tokens,
    appendTo: async (size) => appendTo(openedLog(served), size),
    growTo: async (size) => growTo(openedLog(served), size),
    status: () => openedLog(served).status(),
    stop: async () => served.close(),
    start: async (startOptions) => {
      served = await serveLogs({ dir, ...startOptions });
    },
    remove: async () => {
      await served.close();
      await removeFolder(folder);
    },
  };
}

async function changeConfig(path: string, changes: object): Promise<void> {
  const config = JSON.parse(await readFile(path, "utf8")) as { logs: object[] };
  await writeFile(path, JSON.stringify({ ...config, logs: config.logs.map((log) => ({ ...log, ...changes })) }));
}

function openedLog(served: ServedLogs): Log {
  const log = served.logs[0]?.log;
  if (log === undefined) throw new Error("the log did not open");
  return log;
}

async function appendTo(log: Log, size: number): Promise<void> {
  await vi.waitUntil(() => log.status().state !== "starting", { timeout: 60_000 });
  while (log.size() < size) {
    const count = Math.min(size - log.size(), APPEND_MAX);
    await log.appendEvents({ writer: "interop", events: Array.from({ length: count }, (_, at) => eventOf(at)) });
  }
  if (log.size() !== size) throw new Error(`the log has ${log.size()} entries, not ${size}`);
}

async function growTo(log: Log, size: number): Promise<void> {
  await appendTo(log, size);
  await vi.waitUntil(() => log.checkpoint() !== undefined && log.publishedSize() === size, { timeout: 60_000 });
}

function eventOf(at: number): TallyEvent {
  return parseEvent({
    id: newEventId(Date.now(), new Uint8Array(randomBytes(16))),
    time: new Date().toISOString(),
    type: "access.read",
    outcome: "success",
    actor: { type: "user", id: `u_${at % 100}` },
    targets: [{ type: "file", id: `f_${at}` }],
  });
}
