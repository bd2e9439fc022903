/** Kill -9 under load, twenty times: what was acknowledged is there, once, and every head extends the one before. */
import type { ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { TileProver, auditLog, createHttpLogReader, createTallystick } from "@tallystick/client";
import {
  decodeBase64,
  decodeEntryBundle,
  encodeBase64,
  equalBytes,
  hashLeaf,
  parseCheckpoint,
  parseNote,
} from "@tallystick/core";
import { newEventId } from "@tallystick/events";
import { afterAll, beforeAll, expect, test } from "vitest";
import { exitOf, startCommand } from "../support/processes.ts";
import { type SmallLog, createSmallLog } from "../support/small-log.ts";

const ROUNDS = 20;
const WRITERS = 8;

let log: SmallLog;

beforeAll(async () => {
  log = await createSmallLog();
  await log.stop();
}, 60_000);

afterAll(async () => log.remove());

interface Served {
  readonly child: ChildProcess;
  readonly url: string;
}

async function startServe(port: number): Promise<Served> {
  const child = startCommand(log.folder, ["serve", "--dir", log.logDir, "--json", "--listen", `127.0.0.1:${port}`]);
  let [out, err] = ["", ""];
  child.stderr?.on("data", (part: Buffer) => (err += part.toString()));
  const url = await new Promise<string>((resolve, reject) => {
    child.stdout?.on("data", (part: Buffer) => {
      out += part.toString();
      if (out.includes("\n")) resolve((JSON.parse(out) as { url: string }).url);
    });
    child.once("close", (code) => reject(new Error(`serve ended with ${code}: ${err}`)));
  });
  return { child, url: `${url}/app` };
}

interface Acknowledged {
  readonly index: number;
  readonly leafHash: Uint8Array;
}

/** Reports events until the log is gone; notes what was acknowledged. */
async function write(url: string, acknowledged: Map<string, Acknowledged>): Promise<void> {
  for (;;) {
    const now = Date.now();
    const id = newEventId(now, new Uint8Array(randomBytes(16)));
    try {
      const response = await fetch(`${url}/v1/events`, {
        method: "POST",
        headers: { authorization: `Bearer ${log.made.tokens.writer}`, "content-type": "application/json" },
        body: JSON.stringify({
          id,
          time: now,
          type: "auth.login",
          outcome: "failure",
          actor: { type: "user", id: `u_${now % 50}` },
        }),
      });
      if (response.status === 503) await new Promise((resolve) => setTimeout(resolve, 10));
      if (response.status !== 201) continue;
      const { index, leafHash } = (await response.json()) as { index: number; leafHash: string };
      acknowledged.set(id, { index, leafHash: decodeBase64(leafHash) });
    } catch {
      return;
    }
  }
}

test("C-55 C-255 twenty kills under load lose nothing, log nothing twice, and never contradict a head", async () => {
  const acknowledged = new Map<string, Acknowledged>();
  const heads: { size: number; rootHash: Uint8Array }[] = [];
  let served = await startServe(0);
  const port = Number(new URL(served.url).port);
  const tally = createTallystick({
    url: served.url,
    token: log.made.tokens.writer,
    policy: log.made.policyPath,
    outbox: join(log.folder, "outbox"),
  });
  const recorded: string[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const writers = Array.from({ length: WRITERS }, async () => write(served.url, acknowledged));
    for (let at = 0; at < 5; at += 1) {
      recorded.push(
        (await tally.record({ type: "auth.logout", outcome: "success", actor: { type: "user", id: `u_${at}` } })).id,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, 150 + Math.random() * 300));
    const shown = await fetch(`${served.url}/checkpoint`);
    if (shown.ok) {
      const { size, rootHash } = parseCheckpoint(parseNote(await shown.text()).text);
      heads.push({ size: Number(size), rootHash });
    }
    served.child.kill("SIGKILL");
    await exitOf(served.child);
    await Promise.all(writers);
    served = await startServe(port);
  }
  await tally.flush({ timeoutMs: 60_000 });
  const reader = createHttpLogReader({ url: served.url, token: log.made.tokens.auditor });
  const report = await auditLog({ reader, policy: log.policy });
  expect(report).toMatchObject({ verdict: "VERIFIED", findings: [] });
  const indexes = [...acknowledged.values()].map(({ index }) => index);
  expect(new Set(indexes).size).toBe(indexes.length);
  expect(indexes.length).toBeGreaterThan(ROUNDS);
  for (const { index, leafHash } of acknowledged.values()) {
    const first = Math.floor(index / 256) * 256;
    const width = Math.min(256, report.size - first);
    const bundle = decodeEntryBundle(
      await cached(`${first}`, async () => reader.entryBundle({ index: first / 256, width })),
      width,
    );
    expect(equalBytes(hashLeaf(bundle[index - first] ?? new Uint8Array()), leafHash)).toBe(true);
  }
  expect(heads.length).toBeGreaterThan(ROUNDS / 2);
  const prover = new TileProver(reader, report.size);
  for (const { size, rootHash } of heads.filter(({ size }) => size > 0)) {
    expect(encodeBase64(await prover.rootHash(size))).toBe(encodeBase64(rootHash));
  }
  const places = await Promise.all(recorded.map(async (id) => (await tally.receipts.get(id)).index));
  expect(new Set(places).size).toBe(recorded.length);
  await tally.close();
  served.child.kill("SIGTERM");
  expect(await exitOf(served.child)).toBe(0);
}, 180_000);

const bundles = new Map<string, Promise<Uint8Array>>();

async function cached(key: string, read: () => Promise<Uint8Array>): Promise<Uint8Array> {
  const known = bundles.get(key) ?? read();
  bundles.set(key, known);
  return known;
}
