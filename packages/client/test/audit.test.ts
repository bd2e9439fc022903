/** A log of some thousand leaves: the audit finds nothing where nothing is wrong, and every defect by its index. */
import { ed25519PublicKey, encodeHex, hashLeaf, parsePolicy, sha256, treeHash, utf8 } from "@tallystick/core";
import {
  type Chain,
  type Leaf,
  decodeLeaf,
  encodeEvent,
  encodeLeaf,
  encodeOpening,
  newEventId,
  parseEvent,
  signBatch,
  writerStreamId,
} from "@tallystick/events";
import { beforeAll, describe, expect, test } from "vitest";
import { rejectionCode } from "../../../test/support/errors.ts";
import { type AuditOptions, type AuditReport, ClientError, auditLog, createHttpLogReader } from "../src/verify.ts";
import { LogDouble, TOKEN } from "./support/log-double.ts";

const START = 1_760_000_000_000;
const log = new LogDouble();
const policy = parsePolicy(log.policyText);
let honest: readonly Uint8Array[] = [];
const openings: Uint8Array[] = [];

interface Sender {
  readonly seed: Uint8Array;
  readonly publicKey: Uint8Array;
  readonly instance: Uint8Array;
  next: number;
}

function createSender(name: string): Sender {
  const seed = sha256(utf8(name));
  return { seed, publicKey: ed25519PublicKey(seed), instance: seed.slice(0, 16), next: 1 };
}

async function send(sender: Sender, count: number): Promise<void> {
  const entries = Array.from({ length: count }, (_, at) => {
    const n = sender.next + at;
    const random = sha256(utf8(`${encodeHex(sender.instance)} ${n}`));
    const event = parseEvent({
      id: newEventId(START + n, random.slice(0, 16)),
      time: START + n,
      type: n % 3 === 0 ? "access.read" : "auth.login",
      outcome: "success",
      actor: { type: "user", id: `u_${n % 40}` },
      subject: { id: `u_${n % 11}` },
      targets: [{ type: "file", id: "f" }],
      auth: { method: "password" },
      ...(n % 2 === 0 ? { session: { id: encodeHex(sha256(utf8(`session ${n % 25}`))) } } : {}),
      ...(n % 5 === 0 ? { tenant: `t_${n % 4}` } : {}),
    });
    return { salt: random, event: encodeEvent(event) };
  });
  openings.push(...entries.map(encodeOpening));
  const body = signBatch({ origin: log.origin, ...sender, first: sender.next, entries });
  sender.next += count;
  log.now = () => START + log.leaves.length * 10;
  const answer = await log.fetch(`${log.url}/v1/events`, {
    method: "POST",
    headers: { authorization: `Bearer ${TOKEN}` },
    body: new Uint8Array(body),
  });
  expect(answer.status).toBe(201);
}

beforeAll(async () => {
  const senders = ["one", "two", "three"].map(createSender);
  for (let round = 0; round < 90; round += 1) {
    const sender = senders[round % 3];
    if (sender !== undefined) await send(sender, [1, 25, 60, 7][round % 4] ?? 1);
  }
  log.now = () => START + log.leaves.length * 10;
  honest = [...log.leaves];
});

async function audit(leaves: readonly Uint8Array[], options: Partial<AuditOptions> = {}): Promise<AuditReport> {
  log.replaceLeaves(leaves);
  const reader = createHttpLogReader({ url: log.url, fetch: log.fetch });
  return auditLog({ reader, policy, ...options });
}

/** The honest leaves, with one changed. */
function withLeaf(index: number, change: (leaf: Leaf) => Leaf): Uint8Array[] {
  return honest.map((bytes, at) => (at === index ? encodeLeaf(change(decodeLeaf(bytes))) : bytes));
}

/** Writes n and prev anew, as a careful forger would. */
function rechained(leaves: readonly Uint8Array[]): Uint8Array[] {
  const known = new Map<string, { n: number; last: number }>();
  return leaves.map((bytes, index) => {
    const leaf = decodeLeaf(bytes);
    const chain = (kind: "session" | "actor" | "subject" | "tenant"): Chain | null => {
      const before = leaf[kind];
      if (before === null) return null;
      const key = `${kind} ${encodeHex(before.tag)}`;
      const last = known.get(key);
      known.set(key, { n: (last?.n ?? 0) + 1, last: index });
      return { tag: before.tag, n: last?.n ?? 0, prev: last?.last ?? null };
    };
    return encodeLeaf({
      ...leaf,
      session: chain("session"),
      actor: chain("actor"),
      subject: chain("subject"),
      tenant: chain("tenant"),
    });
  });
}

/** The index of the last leaf of the batch that holds this one. */
function endOfBatch(index: number): number {
  return honest.findIndex((bytes, at) => at >= index && decodeLeaf(bytes).signature !== null);
}

/** The first leaf from here on that has its like. */
function indexOf(from: number, fits: (leaf: Leaf, index: number) => boolean): number {
  return honest.findIndex((bytes, at) => at >= from && fits(decodeLeaf(bytes), at));
}

function unsigned(leaf: Leaf): Leaf {
  return { ...leaf, stream: writerStreamId("somebody"), sequence: null, signature: null };
}

const inBatch = (leaf: Leaf, index: number): boolean => leaf.signature === null && endOfBatch(index) > index + 2;

describe("auditLog", () => {
  test("finds nothing in an honest log, and says what it has seen", async () => {
    const progress: number[] = [];
    const report = await audit(honest, {
      openingOf: async (index) => openings[index],
      onProgress: (done) => progress.push(done),
      heads: [1, 255, 256, 257, 1000].map((size) => log.checkpoint(size)),
    });
    expect(report).toMatchObject({ verdict: "VERIFIED", findings: [], findingsTotal: 0, size: honest.length });
    expect(report.size).toBeGreaterThan(2000);
    expect(report.counts).toMatchObject({ signed: honest.length, unsigned: 0, batches: 90, opened: honest.length });
    expect(report.streams.size).toBe(3);
    expect(progress.at(-1)).toBe(honest.length);
  });

  test("asks for openings once for each bundle, and one bundle ahead at most", async () => {
    const froms: number[] = [];
    let seen = 0;
    const report = await audit(honest, {
      openingOf: async () => expect.unreachable("each is in a range"),
      openingsOf: async ({ from, limit }) => {
        expect(from).toBeLessThanOrEqual(seen + 256);
        froms.push(from);
        return openings.slice(from, from + limit);
      },
      onProgress: (done) => {
        seen = done;
      },
    });
    expect(report).toMatchObject({ verdict: "VERIFIED", counts: { opened: honest.length } });
    expect(froms).toEqual(Array.from({ length: Math.ceil(honest.length / 256) }, (_, bundle) => 256 * bundle));
  });

  test("cannot tell where ranges of openings cannot be had for another reason", async () => {
    const openingsOf = async (): Promise<never> => {
      throw new ClientError("log-refused", "no");
    };
    const asked = audit(honest, { openingOf: async (index) => openings[index], openingsOf });
    await expect(asked).rejects.toMatchObject({ code: "log-refused" });
  });

  test.each([0, 1, 2, 255, 256, 257, 600])("audits a log of %i leaves whole", async (size) => {
    const report = await audit(honest.slice(0, size));
    const cut = size > 0 && decodeLeaf(honest[size - 1] ?? utf8("")).signature === null;
    expect(report.findings.map(({ code }) => code)).toEqual(cut ? ["batch-cut"] : []);
  });

  test("without the quorum it is the log's word alone", async () => {
    log.cosigning = 1;
    expect((await audit(honest)).verdict).toBe("LOG-ONLY");
    log.cosigning = 3;
  });

  test.each<[string, () => { leaves: Uint8Array[]; code: string; index: number }]>([
    [
      "an event that was dropped",
      () => {
        const index = indexOf(1500, inBatch);
        return { leaves: rechained(honest.toSpliced(index, 1)), code: "sequence-gap", index };
      },
    ],
    [
      "a batch that was dropped",
      () => {
        const start = endOfBatch(900) + 1;
        const next = indexOf(endOfBatch(start) + 1, ({ stream }, at) => {
          const { stream: dropped } = decodeLeaf(honest[start] ?? utf8(""));
          return encodeHex(stream) === encodeHex(dropped) && at > endOfBatch(start);
        });
        const count = endOfBatch(start) + 1 - start;
        return { leaves: rechained(honest.toSpliced(start, count)), code: "sequence-gap", index: next - count };
      },
    ],
    [
      "two events that were swapped",
      () => {
        const index = indexOf(1500, inBatch);
        const [a = utf8(""), b = utf8("")] = honest.slice(index, index + 2);
        const time = (leaf: Uint8Array, other: Uint8Array): Uint8Array =>
          encodeLeaf({ ...decodeLeaf(leaf), loggedAt: decodeLeaf(other).loggedAt });
        return { leaves: rechained(honest.toSpliced(index, 2, time(b, a), time(a, b))), code: "sequence-gap", index };
      },
    ],
    [
      "another class",
      () => ({
        leaves: withLeaf(1234, (leaf) => ({ ...leaf, class: "short" })),
        code: "batch-signature-invalid",
        index: endOfBatch(1234),
      }),
    ],
    [
      "another session",
      () => {
        const index = indexOf(1000, ({ session }) => session !== null);
        const leaves = withLeaf(index, (leaf) => ({ ...leaf, session: { tag: new Uint8Array(16), n: 0, prev: null } }));
        return { leaves: rechained(leaves), code: "batch-signature-invalid", index: endOfBatch(index) };
      },
    ],
    [
      "no session",
      () => {
        const index = indexOf(1000, ({ session }) => session !== null);
        return {
          leaves: rechained(withLeaf(index, (leaf) => ({ ...leaf, session: null }))),
          code: "batch-signature-invalid",
          index: endOfBatch(index),
        };
      },
    ],
    [
      "another event",
      () => ({
        leaves: withLeaf(777, (leaf) => ({ ...leaf, commitment: new Uint8Array(32) })),
        code: "batch-signature-invalid",
        index: endOfBatch(777),
      }),
    ],
    [
      "an event without a sender in a batch",
      () => {
        const index = indexOf(500, inBatch) + 1;
        return { leaves: withLeaf(index, unsigned), code: "batch-interrupted", index };
      },
    ],
    [
      "a signature that is gone",
      () => {
        const index = endOfBatch(1700);
        return {
          leaves: withLeaf(index, (leaf) => ({ ...leaf, signature: null })),
          code: "batch-interrupted",
          index: index + 1,
        };
      },
    ],
    [
      "a stream that nobody began",
      () => ({
        leaves: withLeaf(2000, (leaf) => ({ ...leaf, stream: new Uint8Array(16) })),
        code: "stream-unknown",
        index: 2000,
      }),
    ],
    [
      "an event that was backdated",
      () => ({
        leaves: withLeaf(1111, (leaf) => ({ ...leaf, loggedAt: leaf.loggedAt - 60_000 })),
        code: "time-decreased",
        index: 1111,
      }),
    ],
    [
      "events that were postdated",
      () => ({
        leaves: withLeaf(honest.length - 1, (leaf) => ({ ...leaf, loggedAt: leaf.loggedAt + 3_600_000 })),
        code: "time-postdated",
        index: honest.length - 1,
      }),
    ],
    [
      "a wrong n in an actor's chain",
      () => {
        const index = indexOf(1300, ({ actor }) => (actor?.n ?? 0) > 1);
        const leaves = withLeaf(index, (leaf) => ({
          ...leaf,
          actor: leaf.actor === null ? null : { ...leaf.actor, n: leaf.actor.n - 1 },
        }));
        return { leaves, code: "chain-broken", index };
      },
    ],
    [
      "a wrong prev in a tenant's chain",
      () => {
        const index = indexOf(1300, ({ tenant }) => (tenant?.n ?? 0) > 1);
        const leaves = withLeaf(index, (leaf) => ({
          ...leaf,
          tenant: leaf.tenant === null ? null : { ...leaf.tenant, prev: 3 },
        }));
        return { leaves, code: "chain-broken", index };
      },
    ],
    [
      "an entry that is no leaf",
      () => ({ leaves: honest.toSpliced(1600, 1, utf8("hello")), code: "leaf-malformed", index: 1600 }),
    ],
    [
      "a tail that is cut within a batch",
      () => {
        const index = indexOf(honest.length - 200, inBatch);
        return { leaves: honest.slice(0, index + 1), code: "batch-cut", index };
      },
    ],
  ])("names %s", async (_, forge) => {
    const { leaves, code, index } = forge();
    const report = await audit(leaves);
    expect(report.verdict).toBe("REFUTED");
    expect(report.findings.map(({ code, index }) => ({ code, index }))).toContainEqual({ code, index });
    // Nothing before the defect is accused.
    expect(Math.min(...report.findings.map(({ index }) => index ?? Infinity))).toBeGreaterThanOrEqual(
      Math.min(index, index - 60),
    );
  });

  test("names contents that are not those of the leaf", async () => {
    const report = await audit(honest, { openingOf: async (index) => openings[index === 1200 ? 1201 : index] });
    expect(report.findings).toMatchObject([{ code: "contents-mismatch", index: 1200 }]);
  });

  test("contents that the log withholds, and no certificate covers, are destroyed evidence", async () => {
    const some = await audit(honest, { openingOf: async (index) => (index % 2 === 0 ? openings[index] : undefined) });
    const odd = Math.floor(honest.length / 2);
    expect(some).toMatchObject({ verdict: "REFUTED", findingsTotal: odd });
    expect(some.counts).toMatchObject({ opened: honest.length - odd, erased: 0, withheld: 0 });
    expect(some.findings.slice(0, 3)).toMatchObject([1, 3, 5].map((index) => ({ code: "contents-destroyed", index })));
    const none = await audit(honest, { openingOf: async () => undefined });
    expect(none).toMatchObject({ verdict: "REFUTED", findingsTotal: honest.length, counts: { opened: 0 } });
    expect(none.findings).toHaveLength(1000);
  });

  test("says of each signed stream whose key it bears, how far it came and when", async () => {
    const { streams } = await audit(honest);
    expect([...streams.values()].map(({ publicKey }) => encodeHex(publicKey)).toSorted()).toEqual(
      ["one", "two", "three"].map((name) => encodeHex(createSender(name).publicKey)).toSorted(),
    );
    const last = decodeLeaf(honest.at(-1) ?? utf8(""));
    const state = streams.get(encodeHex(last.stream));
    expect(state).toMatchObject({ lastSequence: last.sequence, lastIndex: honest.length - 1, tail: "unknown" });
    expect(state?.lastLoggedAt).toBe(last.loggedAt);
  });

  test("a stream of which the last event is not its end is open or cut", async () => {
    const { streams } = await audit(honest, { openingOf: async (index) => openings[index] });
    expect([...streams.values()].map(({ tail }) => tail)).toEqual(["open-or-cut", "open-or-cut", "open-or-cut"]);
    const withheld = await audit(honest, {
      openingOf: async (index) => (index === honest.length - 1 ? undefined : openings[index]),
    });
    expect([...withheld.streams.values()].map(({ tail }) => tail).toSorted()).toEqual([
      "open-or-cut",
      "open-or-cut",
      "unknown",
    ]);
  });

  test("names a stream under a sender key that is not expected", async () => {
    const [one, two, three] = ["one", "two", "three"].map((name) => createSender(name).publicKey);
    if (one === undefined || two === undefined || three === undefined) throw new Error("three senders");
    expect((await audit(honest, { senderKeys: [one, two, three] })).verdict).toBe("VERIFIED");
    const report = await audit(honest, { senderKeys: [one, three] });
    expect(report).toMatchObject({ verdict: "REFUTED", findings: [{ code: "sender-key-unexpected" }] });
    expect(report.findings[0]?.message).toContain(encodeHex(two));
  });

  test("says how old the newest cosignature is", async () => {
    expect((await audit(honest)).headAgeMs).toBeUndefined();
    const cosignedAt = Math.floor(log.now() / 1000) * 1000;
    expect((await audit(honest, { now: cosignedAt + 7_200_000 })).headAgeMs).toBe(7_200_000);
    expect((await audit(honest, { now: cosignedAt - 1000 })).headAgeMs).toBe(0);
  });

  test("names a tile that is not that of the entries, at every level", async () => {
    for (const [path, index] of [
      ["tile/0/003", 768],
      ["tile/1/000", 0],
    ] as const) {
      log.hooks.intercept = ({ path: asked }) => (asked.startsWith(path) ? tampered(asked) : undefined);
      const report = await audit(honest);
      log.hooks = {};
      expect(report.findings).toMatchObject([{ code: "tile-mismatch", index }]);
    }
  });

  test("names a head that is not that of the entries", async () => {
    const other = new LogDouble();
    other.now = log.now;
    other.replaceLeaves(withLeaf(5, (leaf) => ({ ...leaf, class: "short" })));
    log.hooks.intercept = ({ path }) => (path === "checkpoint" ? new Response(other.checkpoint()) : undefined);
    const report = await audit(honest);
    log.hooks = {};
    expect(report.findings.map(({ code }) => code)).toEqual(["root-mismatch"]);
  });

  test("names heads of another history, by their size, and one that is beyond this one", async () => {
    const other = new LogDouble();
    other.now = log.now;
    other.replaceLeaves(withLeaf(5, (leaf) => ({ ...leaf, class: "short" })));
    const heads = [other.checkpoint(3), other.checkpoint(6), other.checkpoint(1024), other.checkpoint()];
    const report = await audit(honest.slice(0, 1024), { heads });
    const found = report.findings.filter(({ code }) => code === "head-not-in-history");
    expect(found.map(({ index }) => index)).toEqual([6, 1024, undefined]);
    expect(found.at(-1)?.message).toContain("rolled back");
  });

  test("says nothing of a log that it could not read whole", async () => {
    const answers: [string, () => Response, string][] = [
      ["tile/entries/", () => new Response("garbage"), "log-answer-malformed"],
      ["tile/entries/", () => new Response(null, { status: 403 }), "log-refused"],
      ["tile/entries/", () => new Response(null, { status: 500 }), "audit-unavailable"],
      ["tile/0/", () => new Response("short"), "log-answer-malformed"],
      ["checkpoint", () => new Response("garbage"), "note-malformed"],
    ];
    for (const [path, answer, code] of answers) {
      log.hooks.intercept = (request) => (request.path.startsWith(path) ? answer() : undefined);
      expect(await rejectionCode(audit(honest)), `reading ${path}`).toBe(code);
    }
    log.hooks = {};
  });

  test("counts more findings than it keeps", async () => {
    const report = await audit(honest.map(() => utf8("no leaf")));
    expect(report.findings).toHaveLength(1000);
    expect(report.findingsTotal).toBe(honest.length);
  });

  test("ends when it is told to", async () => {
    await expect(audit(honest, { signal: AbortSignal.abort() })).rejects.toThrow("aborted");
  });
});

function tampered(path: string): Response {
  const width = path.includes(".p/") ? Number(path.split("/").at(-1)) : 256;
  const level = Number(path.split("/")[1]);
  const index = Number(path.split("/")[2]?.replace(".p", ""));
  const span = 256 ** level;
  const hashes = new Uint8Array(32 * width);
  for (let at = 0; at < width; at += 1) hashes.set(nodeOf((index * 256 + at) * span, span), 32 * at);
  hashes[0] = (hashes[0] ?? 0) ^ 1;
  return new Response(hashes);
}

function nodeOf(start: number, span: number): Uint8Array {
  return treeHash(honest.slice(start, start + span).map(hashLeaf));
}
