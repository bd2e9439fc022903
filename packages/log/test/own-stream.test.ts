import { randomBytes } from "node:crypto";
import { describe, expect, test } from "vitest";
import {
  createSigner,
  ed25519PublicKey,
  encodeHex,
  equalBytes,
  formatPolicy,
  parseCheckpoint,
  parseNote,
  parsePolicy,
  verifyCheckpoint,
} from "@tallystick/core";
import { decodeLeaf } from "@tallystick/events";
import { LogReader } from "../src/reader.ts";
import { LogSecrets } from "../src/keys.ts";
import type { Log } from "../src/index.ts";
import { ORIGIN, type Site, createSite, expectWhole, login, logKeys, published, replay, seed, until } from "./site.ts";

/** The types of a log's entries, read beside it, so that nothing is recorded. */
async function typesOf(site: Site, log: Log): Promise<string[]> {
  const reader = new LogReader({
    storage: site.storage,
    secrets: new LogSecrets(site.keyStore),
    size: () => log.size(),
  } as ConstructorParameters<typeof LogReader>[0]);
  const types: string[] = [];
  for (let index = 0; index < log.size(); index += 1) {
    const { event } = await reader.open(index, await log.readLeaf(index));
    types.push(event.type);
  }
  return types;
}

describe("the log's own stream", () => {
  test("rule 9: whoever reads contents stands in the log before they are given", async () => {
    const site = await createSite();
    const log = await site.open();
    await log.appendEvents({ writer: "app", events: [login(0)] });
    const { event } = await log.readEvent({ index: 0, reader: "auditor-1", purpose: "complaint 7" });
    expect(event.type).toBe("auth.login");
    expect(await typesOf(site, log)).toEqual(["auth.login", "stream.start", "log.read"]);
    const read = await log.readEvent({ index: 2, reader: "auditor-2" });
    expect(read.event).toMatchObject({
      type: "log.read",
      actor: { type: "credential", id: "auditor-1" },
      reason: "complaint 7",
      context: { indexes: [0], count: 1 },
    });
    expect(log.size()).toBe(3);
    expect(log.counters().reads).toBe(2);
  });

  test("rule 9: that a record of a read was read is no entry of its own", async () => {
    const site = await createSite();
    const log = await site.open();
    await until(() => log.status().state === "ok");
    await log.appendEvents({ writer: "app", events: [login(0)] });
    await log.readEvent({ index: 0, reader: "auditor-1" });
    const size = log.size();
    const { event } = await log.readEvent({ index: 2, reader: "auditor-2" });
    expect([event.type, log.size()]).toEqual(["log.read", size]);
    await log.readEvent({ index: 1, reader: "auditor-2" });
    expect(log.size()).toBe(size + 1);
  });

  test("rule 9: where nothing can be appended, no contents are given", async () => {
    const site = await createSite();
    const log = await site.open();
    await log.appendEvents({ writer: "app", events: [login(0)] });
    site.clock.nowMs += 365 * 86_400_000;
    await expect(log.readEvent({ index: 0, reader: "auditor" })).rejects.toMatchObject({ code: "clock-jumped" });
    await log.close();
    await expect(log.readEvent({ index: 0, reader: "auditor" })).rejects.toMatchObject({ code: "log-closed" });
  });

  test("has no gap and is signed, one leaf after the other", async () => {
    const site = await createSite();
    const log = await site.open();
    await log.appendEvents({ writer: "app", events: [login(0), login(1)] });
    await Promise.all([0, 1, 0, 1].map(async (index) => log.readEvent({ index, reader: "auditor" })));
    const audit = await replay(log);
    expect(audit.streams.size).toBe(1);
    const [own] = audit.streams.values();
    expect(own?.lastSequence).toBe(5);
    expect(
      equalBytes(own?.publicKey ?? new Uint8Array(), site.keys.signers[0]?.verifier.publicKey ?? new Uint8Array()),
    ).toBe(false);
    await expectWhole(site);
  });

  test("goes on where it was after a restart", async () => {
    const site = await createSite();
    const first = await site.open();
    await first.appendEvents({ writer: "app", events: [login(0)] });
    await first.readEvent({ index: 0, reader: "auditor" });
    await first.close();
    const log = await site.open();
    await until(() => log.status().state === "ok");
    await log.readEvent({ index: 0, reader: "auditor" });
    const audit = await replay(log);
    expect([...audit.streams.values()].map(({ lastSequence }) => lastSequence)).toEqual([3]);
  });

  test("begins anew under another sender key", async () => {
    const site = await createSite();
    const first = await site.open();
    await first.appendEvents({ writer: "app", events: [login(0)] });
    await first.readEvent({ index: 0, reader: "auditor" });
    await first.close();
    const warnings: string[] = [];
    const logger = { info: () => undefined, warn: (message: string) => void warnings.push(message) };
    const keys = { ...logKeys(), senderSeed: seed("another sender") };
    const log = await site.open({ keys, logger });
    await until(() => log.size() === 5);
    expect(warnings).toEqual([expect.stringContaining("another sender key before")]);
    expect((await log.readEvent({ index: 4, reader: "auditor" })).event).toMatchObject({
      type: "log.key",
      context: { change: "replaced", former: encodeHex(ed25519PublicKey(logKeys().senderSeed)) },
    });
    const audit = await replay(log);
    expect([...audit.streams.values()].map(({ lastSequence }) => lastSequence)).toEqual([2, 3]);
    await log.close();
    const again = await site.open({ keys, logger });
    await until(() => again.status().state === "ok");
    await published(again);
    expect(again.size()).toBe(6);
    expect(warnings).toHaveLength(1);
    await expectWhole(site);
  });

  test("a log that starts without one of the keys that signed its newest head says so", async () => {
    const mldsa = createSigner({ name: ORIGIN, type: "mldsa44", seed: seed("log 06") });
    const signers = [...logKeys().signers, mldsa];
    const site = await createSite({ signers });
    const first = await site.open();
    await first.appendEvents({ writer: "app", events: [login(0)] });
    await published(first);
    await first.close();
    const warnings: string[] = [];
    const logger = { info: () => undefined, warn: (message: string) => void warnings.push(message) };
    await (await site.open({ logger })).close();
    expect(warnings).toEqual([]);
    await site.open({ keys: logKeys(), logger });
    expect(warnings).toEqual([expect.stringContaining("keys of this log that this start does not have")]);
  });

  test("log.head puts the newest witnessed head into the log, and no second one while nothing else came", async () => {
    const site = await createSite({ witnesses: 1 });
    const log = await site.open({ headIntervalMs: 20 });
    await until(() => log.status().state === "ok");
    await log.appendEvents({ writer: "app", events: [login(0)] });
    await until(() => log.size() === 3);
    await published(log);
    await new Promise((resolve) => setTimeout(resolve, 80));
    expect(await typesOf(site, log)).toEqual(["auth.login", "stream.start", "log.head"]);
    await log.appendEvents({ writer: "app", events: [login(1)] });
    await until(() => log.size() === 5);
    await published(log);
    await new Promise((resolve) => setTimeout(resolve, 80));
    expect(await typesOf(site, log)).toEqual(["auth.login", "stream.start", "log.head", "auth.login", "log.head"]);
    const { event } = await log.readEvent({ index: 4, reader: "auditor" });
    const note = event.context?.["checkpoint"];
    const checkpoint = parseCheckpoint(parseNote(typeof note === "string" ? note : "").text);
    expect(Number(checkpoint.size)).toBe(event.context?.["size"]);
    expect(Number(checkpoint.size)).toBeGreaterThanOrEqual(1);
    expect(Number(checkpoint.size)).toBeLessThanOrEqual(4);
    expect(decodeLeaf(await log.readLeaf(4)).class).toBe("log");
    await replay(log);
  });

  test("a head whose quorum is too long for an entry is logged with the log's own line", async () => {
    const witnesses = 5;
    const site = await createSite({ witnesses, quorum: witnesses });
    const targets = site.witnesses.map((target) => ({
      ...target,
      verifiers: target.verifiers.filter(({ type }) => type === 6),
    }));
    const policyText = formatPolicy({
      logs: [{ vkey: site.keys.signers[0]?.vkey ?? "" }],
      witnesses: targets.map(({ name, verifiers }) => ({ name, vkeys: verifiers.map(({ vkey }) => vkey) })),
      quorum: witnesses,
    });
    const log = await site.open({ witnesses: targets, policyText, headIntervalMs: 20 });
    await until(() => log.status().state === "ok");
    await log.appendEvents({ writer: "app", events: [login(0)] });
    await until(() => log.size() === 3);
    await published(log);
    expect(log.checkpoint()?.length).toBeGreaterThan(16_384);
    expect(log.status().state).toBe("ok");
    const { event } = await log.readEvent({ index: 2, reader: "auditor" });
    const text = event.context?.["checkpoint"];
    const note = typeof text === "string" ? text : "";
    const policy = parsePolicy(policyText);
    const logged = verifyCheckpoint({ note, policy, requireQuorum: false });
    expect(logged.logSignatures.map(({ verifier }) => verifier.type)).toEqual([1]);
    expect(Number(logged.checkpoint.size)).toBe(event.context?.["size"]);
    // The cosignatures are with the published head of that size.
    const heads = await log.checkpoints();
    const kept = heads.find(({ size }) => size === event.context?.["size"]);
    expect(verifyCheckpoint({ note: kept?.note ?? "", policy }).cosignatures).toHaveLength(witnesses);
    await replay(log);
  });

  test("a log.head that cannot be made is told, and stops nothing", async () => {
    const site = await createSite();
    let broken = true;
    const random = (bytes: number): Uint8Array => {
      if (broken && bytes === 16 && opened) throw new Error("no random bytes");
      return new Uint8Array(randomBytes(bytes));
    };
    let opened = false;
    const log = await site.open({ headIntervalMs: 20, random });
    opened = true;
    await log.appendEvents({ writer: "app", events: [login(0)] });
    await until(() => log.status().state === "degraded");
    expect(log.status().reasons).toEqual([
      { code: "head-not-logged", message: expect.stringContaining("no random bytes") },
    ]);
    await log.appendEvents({ writer: "app", events: [login(1)] });
    await published(log);
    broken = false;
    await until(() => log.status().state === "ok");
    expect(await typesOf(site, log)).toEqual(["auth.login", "auth.login", "stream.start", "log.head"]);
    await replay(log);
  });
});
