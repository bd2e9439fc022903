/** Kills a log under load at any moment, and holds what it left against what it had said. */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";
import { writerStreamId } from "@tallystick/events";
import { type KeyStore, type LogStorage, indexKey, openKeyStore, openLevelStorage } from "@tallystick/storage";
import { decodeSignedHead } from "../src/heads.ts";
import { fsckLog } from "../src/index.ts";
import {
  TABLE,
  batchKey,
  decodeKnownId,
  decodePlacedBatch,
  decodeStreamEnd,
  idKey,
  writerSender,
} from "../src/rows.ts";
import { BATCH_EVENTS, KEYS, MASTER_KEY, ORIGIN, STREAM, WRITERS, requestSize, unsignedEvent } from "./kill-load.ts";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";

const ROUNDS = 20;
const child = new URL("kill-child.ts", import.meta.url).pathname;

/** Whether marks are written at once, or by another thread while the next commit is. */
type Disk = "quick" | "slow";

/** What was acknowledged, over all rounds. */
interface Said {
  /** By writer: number → index. */
  readonly events: Map<string, Map<number, number>>;
  /** Number → first index. */
  readonly batches: Map<number, number>;
  readonly heads: Set<number>;
}

/** Runs the child, kills it, and notes every line that it wrote whole. Every fifth is killed while it starts. */
async function runAndKill(
  { folder, disk }: { readonly folder: string; readonly disk: Disk },
  said: Said,
  round: number,
): Promise<void> {
  const next = WRITERS.map((writer) => String(nextNumber(said.events.get(writer) ?? new Map())));
  const args = [folder, disk, String(said.batches.size), ...next];
  const running = spawn(process.execPath, ["--conditions=ws-source", child, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  let errors = "";
  running.stderr.on("data", (text: Buffer) => (errors += text.toString()));
  if (round % 5 === 4) setTimeout(() => running.kill("SIGKILL"), 300 + round * 17);
  await new Promise<void>((resolve) => {
    running.stdout.on("data", (text: Buffer) => {
      if (output === "") setTimeout(() => running.kill("SIGKILL"), (round * 37) % 230);
      output += text.toString();
    });
    running.on("close", () => resolve());
  });
  expect(errors).toBe("");
  for (const line of output
    .slice(0, output.lastIndexOf("\n") + 1)
    .split("\n")
    .slice(0, -1))
    take(said, line);
}

/** The first number of the request that has to be sent again. */
function nextNumber(acknowledged: ReadonlyMap<number, number>): number {
  let n = 0;
  while (acknowledged.has(n + requestSize(n) - 1)) n += requestSize(n);
  return n;
}

/** What was said before is said again, or something new. */
function take(said: Said, line: string): void {
  const [who = "", ...rest] = line.split(" ");
  const [first = 0, second = 0] = rest.map(Number);
  if (who === "head") {
    said.heads.add(first);
    return;
  }
  const known = who === "batch" ? said.batches : said.events.get(who);
  expect(known?.get(first) ?? second).toBe(second);
  known?.set(first, second);
}

async function expectKept(storage: LogStorage, said: Said): Promise<void> {
  for (const [writer, indexes] of said.events) {
    const sender = writerSender(writerStreamId(writer));
    const numbers = [...indexes.keys()];
    const rows = await storage.getRows(
      TABLE.id,
      numbers.map((n) => idKey(sender, unsignedEvent(writer, n).id)),
    );
    const kept = rows.map((row) => (row === undefined ? undefined : decodeKnownId(row).index));
    expect(kept).toEqual([...indexes.values()]);
  }
  for (const [k, index] of said.batches) {
    const row = await storage.getRow(TABLE.batch, batchKey(STREAM, 1 + k * BATCH_EVENTS));
    expect(row && decodePlacedBatch(row)).toEqual({ firstIndex: index, count: BATCH_EVENTS });
  }
  for (const size of said.heads) {
    const row = await storage.getRow(TABLE.checkpoint, indexKey(size));
    expect(row && decodeSignedHead(row).size).toBe(size);
  }
}

async function expectWhole(storage: LogStorage, keyStore: KeyStore, said: Said): Promise<void> {
  const verifiers = KEYS.signers.map(({ verifier }) => verifier);
  const report = await fsckLog({ storage, keyStore, origin: ORIGIN, verifiers });
  expect(report.findings).toEqual([]);
  expect(report.counts).toMatchObject({ opened: report.size, erased: 0 });
  const end = await storage.getRow(TABLE.stream, STREAM);
  const sent = end === undefined ? 0 : decodeStreamEnd(end).next - 1;
  // Whole batches: those that were acknowledged, and at most the one that was under way.
  expect(sent / BATCH_EVENTS - said.batches.size).toBeOneOf([0, 1]);
}

test.each<Disk>(["quick", "slow"])(
  "C-255 a kill at any moment loses nothing that was acknowledged, and gives no index twice (the disk is %s)",
  async (disk) => {
    const folder = temporaryFolder();
    let unmarked = 0;
    const said: Said = {
      events: new Map(WRITERS.map((writer) => [writer, new Map()])),
      batches: new Map(),
      heads: new Set(),
    };
    for (let round = 0; round < ROUNDS; round += 1) {
      await runAndKill({ folder, disk }, said, round);
      const storage = await openLevelStorage({ path: join(folder, "data"), logger: { warn: () => (unmarked += 1) } });
      const keyStore = await openKeyStore({ path: join(folder, "keys"), masterKey: MASTER_KEY });
      await expectKept(storage, said);
      if (round % 10 === 9 || round === 0) await expectWhole(storage, keyStore, said);
      await keyStore.close();
      await storage.close();
    }
    expect(said.batches.size).toBeGreaterThan(ROUNDS / 2);
    // Commits that were in the database, and not marked yet, when the process was killed.
    expect(disk === "quick" || unmarked > 0).toBe(true);
  },
  120_000,
);
