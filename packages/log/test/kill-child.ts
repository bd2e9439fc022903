/**
 * A log under load, to be killed. Says after each answer what it was told; is told how quick its marks are written, and with which
 * numbers to begin.
 *
 * Lines: `w0 <number> <index>`, `batch <number> <index>`, `head <size>`.
 */
import { writeSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type FileSystem, nodeFileSystem, openKeyStore, openLevelStorage } from "@tallystick/storage";
import { openLog } from "../src/index.ts";
import { KEYS, MASTER_KEY, ORIGIN, POLICY, WRITERS, requestSize, signedBatch, unsignedEvent } from "./kill-load.ts";

/** Marks go by another thread, before and after some wait, while the next commit is written. */
const slow: FileSystem = {
  ...nodeFileSystem,
  write: async (...call) => {
    await sleep(Math.random() * 4);
    await nodeFileSystem.write(...call);
    await sleep(Math.random() * 4);
  },
};

const [folder = "", disk = "quick", batchesBefore = "0", ...numbersBefore] = process.argv.slice(2);
const fileSystem = disk === "slow" ? slow : nodeFileSystem;
const storage = await openLevelStorage({ path: join(folder, "data"), fileSystem });
const keyStore = await openKeyStore({ path: join(folder, "keys"), masterKey: MASTER_KEY });
const log = await openLog({
  origin: ORIGIN,
  storage,
  keyStore,
  keys: KEYS,
  policyText: POLICY,
  witnesses: [],
  pinFirstSenderKey: true,
  publishIntervalMs: 5,
  headIntervalMs: 20,
  confirmClock: true,
});
while (log.status().state === "starting") await new Promise((resolve) => setTimeout(resolve, 1));

function say(line: string): void {
  writeSync(1, `${line}\n`);
}

async function write(writer: string, from: number): Promise<never> {
  for (let n = from; ; n += requestSize(n)) {
    const events = Array.from({ length: requestSize(n) }, (_, at) => unsignedEvent(writer, n + at));
    const answers = await log.appendEvents({ writer, events });
    for (const [at, { index }] of answers.entries()) say(`${writer} ${n + at} ${index}`);
  }
}

async function send(from: number): Promise<never> {
  for (let k = from; ; k += 1) {
    const { entries } = await log.appendBatch({ writer: "app", batch: signedBatch(k) });
    say(`batch ${k} ${entries[0]?.index}`);
  }
}

async function watch(): Promise<never> {
  for (let shown = log.publishedSize(); ; await new Promise((resolve) => setTimeout(resolve, 2))) {
    if (log.publishedSize() === shown) continue;
    shown = log.publishedSize();
    say(`head ${shown}`);
  }
}

await Promise.all([
  ...WRITERS.map(async (writer, at) => write(writer, Number(numbersBefore[at] ?? 0))),
  send(Number(batchesBefore)),
  watch(),
]);
