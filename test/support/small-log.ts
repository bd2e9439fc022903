/** A served log with served witnesses, in this process, on free ports and in a folder of its own. */
import { readFile } from "node:fs/promises";
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { type Policy, parsePolicy } from "@tallystick/core";
import { newEventId } from "@tallystick/events";
import { type InitializedServer, type ServedLogs, initServer, serveLogs } from "@tallystick/server";
import { type ServedWitness, addLog, initWitness, serveWitness } from "@tallystick/witness";
import { removeFolder, temporaryFolder } from "./processes.ts";

export interface SmallLog {
  readonly folder: string;
  readonly logDir: string;
  readonly made: InitializedServer;
  readonly policy: Policy;
  readonly witnesses: readonly { readonly dir: string; readonly served: ServedWitness }[];
  /** The served log; another one after each start. */
  served: ServedLogs;
  url(): string;
  start(options?: { readonly startWithoutWitnesses?: boolean }): Promise<void>;
  stop(): Promise<void>;
  /** Reports events and waits until they are witnessed. */
  report(count: number): Promise<readonly { readonly index: number; readonly state: string }[]>;
  remove(): Promise<void>;
}

export async function createSmallLog(witnessCount = 3): Promise<SmallLog> {
  const folder = await temporaryFolder();
  const witnesses: { readonly dir: string; readonly served: ServedWitness }[] = [];
  const configured = [];
  for (let at = 1; at <= witnessCount; at += 1) {
    const dir = join(folder, `w${at}`);
    const { vkeys } = await initWitness({ dir, name: `test.localhost/w${at}` });
    const served = await serveWitness({ dir });
    witnesses.push({ dir, served });
    configured.push({ name: `w${at}`, vkeys, url: served.url });
  }
  const logDir = join(folder, "log");
  const made = await initServer({
    dir: logDir,
    name: "app",
    origin: "test.localhost/app",
    port: 0,
    witnesses: configured,
    pinFirstSenderKey: true,
  });
  for (const { dir, served } of witnesses) {
    for (const vkey of made.vkeys) await addLog({ dir, vkey });
    await served.reload();
  }
  const policy = parsePolicy(await readFile(made.policyPath));
  const log: SmallLog = {
    folder,
    logDir,
    made,
    policy,
    witnesses,
    served: await serveLogs({ dir: logDir }),
    url: () => `${log.served.url}/app`,
    start: async (options = {}) => {
      log.served = await serveLogs({ dir: logDir, ...options });
    },
    stop: async () => log.served.close(),
    report: async (count) => report(log, count),
    remove: async () => {
      await log.served.close();
      for (const { served } of witnesses) await served.close();
      await removeFolder(folder);
    },
  };
  return log;
}

async function report(
  log: SmallLog,
  count: number,
): Promise<readonly { readonly index: number; readonly state: string }[]> {
  const events = Array.from({ length: count }, (_, at) => ({
    id: newEventId(Date.now(), new Uint8Array(randomBytes(16))),
    time: Date.now(),
    type: "auth.login",
    outcome: "success",
    actor: { type: "user", id: `u_${at}` },
  }));
  for (let tries = 0; ; tries += 1) {
    const response = await fetch(`${log.url()}/v1/events?wait=witnessed`, {
      method: "POST",
      headers: { authorization: `Bearer ${log.made.tokens.writer}`, "content-type": "application/json" },
      body: JSON.stringify(events),
    });
    if (response.status === 201) return (await response.json()) as { index: number; state: string }[];
    const text = await response.text();
    // Right after a start the log asks its witnesses first.
    if (response.status !== 503 || tries === 50) throw new Error(`${response.status}: ${text}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
