/** What `verify` says in words: no more than the file proves, and nothing of others' that reads like words of ours. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { formatTlogProof } from "@tallystick/core";
import {
  type EventInput,
  type Leaf,
  computeCommitment,
  encodeEvent,
  encodeLeaf,
  encodeOpening,
  formatEvidence,
  parseEvent,
} from "@tallystick/events";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { LogDouble } from "../../client/test/support/log-double.ts";
import { describeAge, describeEvent } from "../src/words.ts";
import { expectClean } from "./support/clean.ts";
import { type Ran, runHere } from "./support/run-here.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tallystick-cli-"));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

function eventOf(more: Partial<EventInput> = {}): ReturnType<typeof parseEvent> {
  return parseEvent({
    id: "01890000-0000-7000-8000-000000000000",
    time: Date.now(),
    type: "auth.login",
    outcome: "success",
    actor: { type: "user", id: "ceo" },
    ...more,
  });
}

/** Verifies the evidence of a leaf that a lying log made up, under the cosignatures of honest witnesses. */
async function verifyForged(change: Partial<Leaf>, offsets: readonly number[] = [0, 0, 0]): Promise<Ran> {
  const log = new LogDouble();
  const opening = { salt: new Uint8Array(32), event: encodeEvent(eventOf()) };
  const leaf = encodeLeaf({
    loggedAt: Date.now(),
    stream: new Uint8Array(16).fill(0xab),
    sequence: null,
    class: "auth",
    commitment: computeCommitment(opening),
    session: null,
    actor: null,
    subject: null,
    tenant: null,
    signature: null,
    ...change,
  });
  log.replaceLeaves([leaf]);
  log.witnessOffsets = offsets;
  const proof = formatTlogProof({ extra: leaf, index: 0n, hashes: [], checkpoint: log.checkpoint() });
  await writeFile(join(folder, "forged.json"), formatEvidence({ proof, opening: encodeOpening(opening) }));
  await writeFile(join(folder, "policy.txt"), log.policyText);
  const ran = await runHere(["verify", join(folder, "forged.json"), "--policy", join(folder, "policy.txt")]);
  expectClean(ran);
  return ran;
}

describe("verify", () => {
  test("takes a stream and a number for the log's claim where no signature is in the file", async () => {
    const { code, out } = await verifyForged({ sequence: 7 });
    expect(code).toBe(0);
    expect(out).toContain(
      "  filed    class auth, claims sequence 7 of stream abababab…; its sender's signature is not in this file\n",
    );
    expect(out).toContain("  not shown: that the application told the truth, or sent this\n");
  });

  test("says of a signature that it cannot check, zeros for one, that it did not", async () => {
    const { out } = await verifyForged({ sequence: 7, signature: { count: 1, signature: new Uint8Array(64) } });
    expect(out).toContain(
      "claims sequence 7 of stream abababab…; its sender's signature is not checked here (audit does)",
    );
  });

  test("does not take the first leaf of a stream for its sender's either", async () => {
    const { out } = await verifyForged({ sequence: 1, stream: new Uint8Array(48).fill(1) });
    expect(out).toContain("claims sequence 1 of a new stream; its sender's signature is not in this file");
  });

  test("says whose word the time is", async () => {
    const { out } = await verifyForged({ loggedAt: Date.UTC(2020, 0, 1) });
    expect(out).toMatch(
      /time {5}logged 2020-01-01 00:00:00\.000 \(the log's word; not after the cosignatures\), witnessed [0-9:]{8} \(UTC\)\n/,
    );
    expect(out).toContain("not signed by its sender");
  });

  test("names a witness whose cosignature lies before the entry, and does not count it", async () => {
    const { code, out } = await verifyForged({}, [-3600, 0, 0]);
    expect(code).toBe(0);
    expect(out).toMatch(/witnesses w2, w3 \(2 of 3, required 2\); too early to count: w1\n/);
  });
});

describe("describeEvent", () => {
  test("shows words as they are", () => {
    const event = eventOf({ actor: { type: "user", id: "u_81" }, source: { ip: "2001:db8::1" }, reason: "expired" });
    expect(describeEvent(event)).toBe("auth.login success by user:u_81 from 2001:db8::1 (expired)");
    expect(describeEvent(eventOf({ actor: { type: "user", id: "Zoë.Ünal+a@例え.jp" } }))).toContain(
      "user:Zoë.Ünal+a@例え.jp",
    );
  });

  test.each([
    ["u_81 about victim from 10.0.0.1 (approved)", '"u_81 about victim from 10.0.0.1 (approved)"'],
    ['a" about "b', String.raw`"a\" about \"b"`],
    ["(x)", '"(x)"'],
    ["u_\u202E18", String.raw`"u_\u{202e}18"`],
    ["u\u200B_81\u00AD", String.raw`"u\u{200b}_81\u{ad}"`],
    ["u\u00A0a", String.raw`"u\u{a0}a"`],
  ])("puts %j in quotes, so that it reads as no field of ours", (id, shown) => {
    expect(describeEvent(eventOf({ actor: { type: "user", id } }))).toBe(`auth.login success by user:${shown}`);
    expect(describeEvent(eventOf({ reason: id }))).toBe(`auth.login success by user:ceo (${shown})`);
  });
});

test("describeAge rounds down to minutes, hours or days", () => {
  expect([61, 119, 120, 47 * 60 + 59, 48 * 60].map((minutes) => describeAge(minutes * 60_000))).toEqual([
    "61 minutes",
    "119 minutes",
    "2 hours",
    "47 hours",
    "2 days",
  ]);
});
