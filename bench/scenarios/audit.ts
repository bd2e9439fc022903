/** The audit of a whole log: hashes only, and every rule that its leaves must keep; from memory, and over HTTP. */
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { type AuditReport, type LogReader, auditLog, createHttpLogReader, verifyHead } from "@tallystick/client";
import {
  CompactRange,
  type Policy,
  decodeEntryBundle,
  entriesPath,
  equalBytes,
  hashLeaves,
  parsePolicy,
  tilePath,
} from "@tallystick/core";
import { BATCH_MEDIA_TYPE } from "@tallystick/events";
import { fillLog } from "../fill.ts";
import { senderKeyOf } from "../load/signed-batches.ts";
import { median } from "../load/latencies.ts";
import { measureLoad } from "../measure.ts";
import { onceByCpu } from "../repeat.ts";
import type { Scenario } from "../scenario.ts";
import { ORIGIN, TallystickServer } from "../servers/tallystick-server.ts";

const TILE_WIDTH = 256;
/** For the compiler. */
const WARMUP_ROUNDS = 1;
const SIGNED_CONNECTIONS = 4;
const SIGNED_BATCH = 1000;

export const auditWholeLog: Scenario = {
  name: "audit",
  about: "audit of a whole log (half of it signed), leaves/s: hashes only, every rule, over HTTP",
  async *run({ auditEvents, rounds }) {
    const seed = randomBytes(32);
    const server = await TallystickServer.start({ senderKey: senderKeyOf(new Uint8Array(seed)) });
    try {
      await fillLog(server, auditEvents / 2);
      await fillSigned(server, auditEvents / 2, seed.toString("hex"));
      await server.untilPublished();
      const policy = parsePolicy(await readFile(server.made.policyPath, "utf8"));
      const overHttp = createHttpLogReader({ url: server.url, token: server.made.tokens.auditor });
      const { reader, audited } = await readOnce(overHttp, policy);
      yield { name: `audit over HTTP, every rule, ${audited.size} leaves`, value: audited.perSecond, unit: "leaves/s" };
      await server.stop();
      const [hashes, rules]: [number[], number[]] = [[], []];
      for (let round = 0; round < rounds + WARMUP_ROUNDS; round += 1) {
        hashes.push(await onceByCpu(async () => rebuild(reader, policy)));
        rules.push(await onceByCpu(async () => audit(reader, policy)));
      }
      const unit = "leaves/CPU s";
      yield { name: "audit from memory, hashes only", value: median(hashes.slice(WARMUP_ROUNDS)), unit };
      yield { name: "audit from memory, every rule", value: median(rules.slice(WARMUP_ROUNDS)), unit };
    } finally {
      await server.remove();
    }
  },
};

async function fillSigned(server: TallystickServer, events: number, seed: string): Promise<void> {
  const target = server.target(BATCH_MEDIA_TYPE);
  const requests = Math.ceil(events / SIGNED_BATCH / SIGNED_CONNECTIONS);
  await measureLoad({
    requests: { kind: "signed", target, eventsPerRequest: SIGNED_BATCH, origin: ORIGIN, seed, requests },
    connections: SIGNED_CONNECTIONS,
    seconds: 3600,
    warmupSeconds: 0,
    requestsMax: requests * SIGNED_CONNECTIONS,
    expectedStatuses: [201],
  });
}

/** Audits over HTTP, and keeps what was read for the audits from memory. */
async function readOnce(
  source: LogReader,
  policy: Policy,
): Promise<{ reader: LogReader; audited: { size: number; perSecond: number } }> {
  const kept = new Map<string, Uint8Array>();
  const note = await source.checkpoint();
  const remember = async (path: string, read: () => Promise<Uint8Array>): Promise<Uint8Array> => {
    const known = kept.get(path);
    if (known !== undefined) return known;
    const bytes = await read();
    kept.set(path, bytes);
    return bytes;
  };
  const reader: LogReader = {
    checkpoint: async () => note,
    tile: async (tile) => remember(tilePath(tile), async () => source.tile(tile)),
    entryBundle: async (bundle) => remember(entriesPath(bundle), async () => source.entryBundle(bundle)),
  };
  const began = performance.now();
  const size = await audit(reader, policy);
  return { reader, audited: { size, perSecond: size / ((performance.now() - began) / 1000) } };
}

async function audit(reader: LogReader, policy: Policy): Promise<number> {
  const report: AuditReport = await auditLog({ reader, policy });
  if (report.findingsTotal > 0) throw new Error(`the audit found ${report.findings[0]?.code}`);
  return report.size;
}

/** Every entry hashed, the tree rebuilt, its root compared with the signed one. */
async function rebuild(reader: LogReader, policy: Policy): Promise<number> {
  const { checkpoint } = verifyHead({ policy }, await reader.checkpoint());
  const size = Number(checkpoint.size);
  const tree = CompactRange.empty();
  for (let index = 0; index * TILE_WIDTH < size; index += 1) {
    const width = Math.min(TILE_WIDTH, size - index * TILE_WIDTH);
    const bundle = await reader.entryBundle({ index, width });
    tree.appendAll(hashLeaves(decodeEntryBundle(bundle, width)));
  }
  if (!equalBytes(tree.rootHash(), checkpoint.rootHash)) throw new Error("the entries do not hash to the signed root");
  return size;
}
