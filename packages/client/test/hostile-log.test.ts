/** What a log can do wrong, and what the SDK makes of it: nothing is lost from the outbox, whatever it is. */
import { hashLeaf, parsePolicy } from "@tallystick/core";
import { type Leaf, decodeBatch, decodeEvent, decodeLeaf, encodeLeaf } from "@tallystick/events";
import { describe, expect, test } from "vitest";
import { rejectionCode } from "../../../test/support/errors.ts";
import {
  ClientError,
  type TallystickOptions,
  auditLog,
  createHttpLogReader,
  parseForkEvidence,
  verifyForkEvidence,
} from "../src/index.ts";
import { type Acknowledged, type Hooks, LogDouble, problem } from "./support/log-double.ts";
import { type Started, createFolder, login, startClient, until } from "./support/setup.ts";

/** A client whose stream has begun, with hooks that set in afterwards. */
async function startThen(hooks: Hooks, options: TallystickOptions = {}): Promise<Started & { log: LogDouble }> {
  const log = new LogDouble();
  const started = startClient(log, options);
  await started.client.flush();
  log.hooks = hooks;
  return { ...started, log };
}

function halted({ client }: Started): Promise<void> {
  return until(() => client.status().state === "halted", "halted");
}

function with16(byte: number): Uint8Array {
  return new Uint8Array(16).fill(byte);
}

function acknowledging(change: (leaf: Leaf) => Leaf): Hooks {
  return {
    acknowledge: (entries) =>
      entries.map(({ index, leaf }) => {
        const bytes = encodeLeaf(change(decodeLeaf(leaf)));
        return { index, leaf: bytes, leafHash: hashLeaf(bytes) };
      }),
  };
}

const session = { id: "5f".repeat(32) };

describe("an acknowledged leaf that is not the event's halts the client", () => {
  test.each<[string, string, Hooks]>([
    ["files it under another class", "class", acknowledging((leaf) => ({ ...leaf, class: "short" }))],
    [
      "puts it into another session",
      "session tag",
      acknowledging((leaf) => ({ ...leaf, session: { tag: with16(1), n: 0, prev: null } })),
    ],
    ["leaves it out of its session", "session tag", acknowledging((leaf) => ({ ...leaf, session: null }))],
    [
      "answers with a leaf of an unsigned event",
      "sequence",
      acknowledging((leaf) => ({ ...leaf, sequence: null, signature: null })),
    ],
    ["gives it another number", "sequence", acknowledging((leaf) => ({ ...leaf, sequence: (leaf.sequence ?? 0) + 1 }))],
    ["gives it to another stream", "stream", acknowledging((leaf) => ({ ...leaf, stream: with16(2) }))],
    ["commits to another event", "commitment", acknowledging((leaf) => ({ ...leaf, commitment: new Uint8Array(32) }))],
    [
      "names another actor",
      "actor tag",
      acknowledging((leaf) => ({ ...leaf, actor: { tag: with16(3), n: 0, prev: null } })),
    ],
    [
      "names a subject",
      "subject tag",
      acknowledging((leaf) => ({ ...leaf, subject: { tag: with16(3), n: 0, prev: null } })),
    ],
    [
      "names a tenant",
      "tenant tag",
      acknowledging((leaf) => ({ ...leaf, tenant: { tag: with16(3), n: 0, prev: null } })),
    ],
    ["drops the sender's signature", "signature", acknowledging((leaf) => ({ ...leaf, signature: null }))],
    ["says it used another person's key", "actor tag", { personKey: (key) => key.map((byte) => byte ^ 1) }],
    [
      "acknowledges bytes that are no leaf",
      "leaf",
      {
        acknowledge: (entries) =>
          entries.map(({ index }) => ({ index, leaf: Uint8Array.of(1), leafHash: hashLeaf(Uint8Array.of(1)) })),
      },
    ],
    [
      "answers with a wrong leaf hash",
      "leaf hash",
      { acknowledge: (entries) => entries.map((entry) => ({ ...entry, leafHash: new Uint8Array(32) })) },
    ],
  ])("%s: %s", async (_, field, hooks) => {
    const started = await startThen(hooks);
    const failed = started.client.record(login("u_1", { session }), { until: "witnessed" });
    expect(await rejectionCode(failed)).toBe("log-misbehaved");
    await halted(started);
    expect(started.errors.at(-1)).toMatchObject({ code: "log-misbehaved", details: { field } });
    // Queueing goes on, nothing is sent any more, nothing is lost.
    const { posts } = started.log;
    const sent = posts.length;
    expect(await started.client.record(login("u_2"))).toMatchObject({ state: "queued" });
    expect(await rejectionCode(started.client.record(login("u_3"), { until: "durable" }))).toBe("log-misbehaved");
    expect(await rejectionCode(started.client.flush())).toBe("log-misbehaved");
    expect(started.client.status()).toMatchObject({
      state: "halted",
      queued: 3,
      lastError: { code: "log-misbehaved" },
    });
    expect(posts).toHaveLength(sent);
  });
});

/** What each acknowledgement of a batch of several is answered with in place of its own leaf. */
type Confusion = (entries: readonly Acknowledged[], at: number) => Acknowledged | undefined;

describe("a batch of three of which one acknowledgement bears the leaf of another event halts the client", () => {
  const foreign: Acknowledged[] = [];
  const ofAt =
    (wrong: number, other: number): Confusion =>
    (entries, at) =>
      entries[at === wrong ? other : at];

  test.each<[string, Confusion]>([
    ["the first, that of the second", ofAt(0, 1)],
    ["the second, that of the first", ofAt(1, 0)],
    ["the second, that of the last, which bears the signature", ofAt(1, 2)],
    ["the last, that of the first, without the signature", ofAt(2, 0)],
    ["two, each that of the other", (entries, at) => entries[[1, 0, 2][at] ?? at]],
    ["the second, that of an event of an earlier batch", (entries, at) => (at === 1 ? foreign[0] : entries[at])],
  ])("%s", async (_, confuse) => {
    foreign.length = 0;
    const started = await startThen({
      acknowledge: (entries) => {
        foreign.push(...entries);
        if (entries.length === 1) return entries;
        // Its index stays its own: only the leaf is another's.
        return entries.map(({ index }, at) => ({ ...(confuse(entries, at) as Acknowledged), index }));
      },
    });
    await started.client.record(login("z"), { until: "witnessed" });
    expect(await recordThree(started)).toEqual(["log-misbehaved", "log-misbehaved", "log-misbehaved"]);
    expect(started.errors.at(-1)).toMatchObject({ code: "log-misbehaved", details: { field: "sequence" } });
    expect(started.client.status()).toMatchObject({ state: "halted", queued: 3, unproved: 0 });
    expect(decodeBatch(started.log.posts.at(-1) ?? new Uint8Array()).entries).toHaveLength(3);
  });
});

/** Records three events in one batch, and waits for what comes of them. */
async function recordThree({ client }: Started): Promise<(string | undefined)[]> {
  const recorded = ["a", "b", "c"].map((id) => client.record(login(id), { until: "witnessed" }));
  return Promise.all(recorded.map(rejectionCode));
}

describe("a log whose tree is not what it acknowledged halts the client", () => {
  test("drops one event of a stream", async () => {
    const started = await startThen({ leaf: (leaf) => (leaf.sequence === 3 ? undefined : leaf) });
    expect(await recordThree(started)).toContain("log-misbehaved");
    expect(started.client.status()).toMatchObject({ state: "halted" });
    expect(started.client.status().queued + started.client.status().unproved).toBe(3);
  });

  test("swaps two events", async () => {
    const swap = (leaves: Leaf[]): Leaf[] => leaves.toReversed();
    const started = await startThen({ leaves: swap });
    expect(await recordThree(started)).toContain("log-misbehaved");
    expect(started.client.status()).toMatchObject({ state: "halted", queued: 3 });
  });

  test("answers honestly, and has another leaf in the tree", async () => {
    const shown: Acknowledged[] = [];
    const started = await startThen({
      leaf: (leaf) => {
        const bytes = encodeLeaf(leaf);
        shown.push({ index: 0, leaf: bytes, leafHash: hashLeaf(bytes) });
        return { ...leaf, class: "short" };
      },
      acknowledge: (entries) =>
        entries.map(({ index }, at) => ({ ...(shown[at] ?? entries[at]), index }) as Acknowledged),
    });
    expect(await rejectionCode(started.client.record({ type: "app.thing" }, { until: "witnessed" }))).toBe(
      "log-misbehaved",
    );
    expect(started.errors.at(-1)).toMatchObject({ details: { index: 1 } });
    expect(started.client.status()).toMatchObject({ state: "halted", unproved: 1 });
  });

  test("postdates an event", async () => {
    const started = await startThen({ leaf: (leaf) => ({ ...leaf, loggedAt: leaf.loggedAt + 86_400_000 }) });
    expect(await rejectionCode(started.client.record(login(), { until: "witnessed" }))).toBe("log-misbehaved");
    expect(started.errors.at(-1)).toMatchObject({ details: { step: "time" } });
  });

  test("acknowledges an event with another time than its tree has", async () => {
    const started = await startThen(acknowledging((leaf) => ({ ...leaf, loggedAt: leaf.loggedAt - 400_000 })));
    expect(await rejectionCode(started.client.record(login(), { until: "witnessed" }))).toBe("log-misbehaved");
    expect(started.errors).toMatchObject([
      { code: "log-time-disputed", details: { events: [{ index: 1, backdated: true }] } },
      { code: "log-misbehaved", details: { index: 1 } },
    ]);
  });

  test("forgets what it acknowledged and expects an earlier number", async () => {
    const started = await startThen({});
    started.log.forgetStreams(1);
    expect(await rejectionCode(started.client.record(login(), { until: "durable" }))).toBe("log-misbehaved");
    expect(started.errors.at(-1)).toMatchObject({ details: { expected: 1, first: 2 } });
  });

  test("has more of the stream than the outbox: that is an older copy or another sender, and says so", async () => {
    const started = await startThen({});
    started.log.forgetStreams(9);
    expect(await rejectionCode(started.client.record(login(), { until: "durable" }))).toBe("outbox-outdated");
    expect(started.client.status()).toMatchObject({ state: "halted", queued: 1 });
  });
});

describe("forks and rollbacks", () => {
  async function record(started: Started, count: number): Promise<void> {
    for (let at = 0; at < count; at += 1) await started.client.record(login(`u_${at}`), { until: "durable" });
  }

  /** The error that halted the client. */
  async function errorOf(started: Started): Promise<ClientError> {
    await halted(started);
    const error = started.errors.findLast((known) => known instanceof ClientError && known.code === "log-forked");
    if (!(error instanceof ClientError)) throw new Error("no log-forked");
    return error;
  }

  function verdictOf(log: LogDouble, error: ClientError): boolean {
    const evidence = parseForkEvidence(String(error.details["evidence"]));
    return verifyForkEvidence({ evidence, policy: parsePolicy(log.policyText) }).proven;
  }

  test.each([1, 2, 3, 5, 7, 8, 300])(
    "C-112 another tree under the same key, after a head of %i: evidence that proves it",
    async (size) => {
      const started = await startThen({}, { outbox: await createFolder() });
      const { log, client } = started;
      await Promise.all(Array.from({ length: size - 1 }, (_, at) => client.record(login(`u_${at}`))));
      await client.flush();
      expect(log.leaves).toHaveLength(size);
      log.autoPublish = false;
      await record(started, 2);
      const [first = new Uint8Array(), ...rest] = log.leaves;
      log.replaceLeaves([encodeLeaf({ ...decodeLeaf(first), loggedAt: 1 }), ...rest]);
      const error = await errorOf(started);
      expect(verdictOf(log, error)).toBe(true);
      expect(client.status().unproved).toBe(2);
    },
  );

  test("C-112 two trees of one size", async () => {
    const started = await startThen({});
    const { log, client } = started;
    log.autoPublish = false;
    await record(started, 2);
    const other = log.leaves.slice(0, 1).map((leaf) => encodeLeaf({ ...decodeLeaf(leaf), loggedAt: 1 }));
    const honest = log.leaves;
    log.replaceLeaves(other);
    const error = await errorOf(started);
    expect(verdictOf(log, error)).toBe(true);
    expect(client.status().unproved).toBe(2);
    // Whoever audits the other tree with the head that the client kept is told so.
    const [kept] = parseForkEvidence(String(error.details["evidence"])).checkpoints;
    const reader = createHttpLogReader({ url: log.url, fetch: log.fetch });
    const report = await auditLog({ reader, policy: parsePolicy(log.policyText), heads: [kept] });
    expect(report.verdict).toBe("REFUTED");
    expect(report.findings.map(({ code }) => code)).toContain("head-not-in-history");
    log.replaceLeaves(honest);
    expect((await auditLog({ reader, policy: parsePolicy(log.policyText), heads: [kept] })).verdict).toBe("VERIFIED");
  });

  test("a head that rolls back proves nothing and lets nothing go; the audit with a kept head names it", async () => {
    const started = await startThen({});
    const { log, client } = started;
    await record(started, 3);
    await client.flush();
    const kept = log.checkpoint();
    log.autoPublish = false;
    await record(started, 1);
    log.publish(2);
    await until(() => client.status().waitingFor?.includes("older head") === true, "waiting for a newer head");
    expect(client.status().unproved).toBe(1);
    const reader = createHttpLogReader({ url: log.url, fetch: log.fetch });
    const report = await auditLog({ reader, policy: parsePolicy(log.policyText), heads: [kept] });
    expect(report.findings.map(({ code }) => code)).toEqual(["head-not-in-history"]);
  });

  test("tiles that do not hash to the head accuse nobody of a fork: it is tried again", async () => {
    const started = await startThen({});
    const { log, client } = started;
    let broken = true;
    log.hooks.intercept = ({ path }) =>
      broken && path.startsWith("tile/0/") ? garbage(32 * Number(path.split("/").at(-1))) : undefined;
    const recorded = client.record(login(), { until: "witnessed" });
    await until(() => started.errors.length > 0, "an error");
    expect(started.errors[0]).toMatchObject({ code: "log-answer-malformed" });
    broken = false;
    expect(await recorded).toMatchObject({ state: "witnessed" });
  });
});

function garbage(length: number): Response {
  return new Response(new Uint8Array(length).fill(0xa5));
}

describe("answers that are none", () => {
  const forever = new ReadableStream<Uint8Array>({
    pull: (controller) => controller.enqueue(new Uint8Array(1_000_000)),
  });

  test.each<[string, string, () => Response | Promise<Response>]>([
    [
      "503 with Retry-After",
      "audit-unavailable",
      () => new Response(null, { status: 503, headers: { "retry-after": "0" } }),
    ],
    ["429", "audit-unavailable", () => problem(429, "rate-limited")],
    ["500 with HTML", "audit-unavailable", () => new Response("<html>", { status: 500 })],
    ["401", "log-refused", () => problem(401, "unauthenticated")],
    ["404", "log-refused", () => new Response("nothing here", { status: 404 })],
    ["an empty 200", "log-answer-malformed", () => new Response("")],
    ["200 with text", "log-answer-malformed", () => new Response("fine")],
    ["invalid UTF-8", "log-answer-malformed", () => new Response(Uint8Array.of(0xff, 0xfe))],
    ["an empty object", "log-answer-malformed", () => Response.json({})],
    ["null", "log-answer-malformed", () => Response.json(null)],
    [
      "no entries",
      "log-answer-malformed",
      () => Response.json({ entries: [], tagKeys: { personDays: [], tenants: [] } }),
    ],
    ["entries without a leaf", "log-answer-malformed", () => Response.json({ entries: [{ index: 1 }], tagKeys: {} })],
    ["an index that is none", "log-answer-malformed", () => Response.json({ entries: [{ index: -1 }], tagKeys: {} })],
    ["deep JSON", "log-answer-malformed", () => new Response("[".repeat(100_000))],
    [
      "a redirect",
      "log-answer-malformed",
      () => new Response(null, { status: 302, headers: { location: "https://elsewhere.example/" } }),
    ],
    ["a body without end", "log-answer-malformed", () => new Response(forever)],
    ["no answer in time", "audit-unavailable", () => new Promise(() => undefined)],
    ["no connection", "audit-unavailable", () => Promise.reject(new TypeError("fetch failed"))],
    ["a sequence gap that names nothing", "log-refused", () => problem(409, "sequence-gap")],
    [
      "a refusal that names an event beyond the batch",
      "log-refused",
      () => problem(422, "event-invalid", { defects: [{ entry: 7 }, { entry: 8 }] }),
    ],
  ])("%s: %s, and the same bytes again", async (_, code, answer) => {
    const log = new LogDouble();
    let tries = 0;
    log.hooks.intercept = ({ path }) => {
      tries += path === "v1/events" ? 1 : 0;
      return path === "v1/events" && tries < 3 ? answer() : undefined;
    };
    const { client, errors } = startClient(log, { requestTimeoutMs: 500 });
    const [, second] = await Promise.all([
      client.record(login("a")),
      client.record(login("b"), { until: "witnessed" }),
    ]);
    expect(second.state).toBe("witnessed");
    expect(errors.length).toBeGreaterThan(0);
    expect(errors[0]).toMatchObject({ code });
    const [first, ...again] = log.posts.filter((body) => decodeBatch(body).first === 1);
    expect(again).toEqual([first, first]);
    expect(log.leaves.map((leaf) => decodeLeaf(leaf).sequence)).toEqual(log.leaves.map((_, at) => at + 1));
  });

  test("an answer that got lost: the log has the batch once", async () => {
    const log = new LogDouble();
    let lost = 0;
    const { fetch } = log;
    const client = startClient(log, {
      fetch: async (input, init) => {
        const response = await fetch(input, init);
        lost += 1;
        if (lost > 3 || init?.method !== "POST") return response;
        throw new TypeError("connection reset");
      },
    }).client;
    await Promise.all(["a", "b"].map((id) => client.record(login(id))));
    await client.flush();
    expect(log.leaves.map((leaf) => decodeLeaf(leaf).sequence)).toEqual([1, 2, 3]);
  });

  test.each([
    ["garbage for a head", () => new Response("garbage")],
    [
      "a head of nobody",
      () =>
        new Response("log.example/double\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n\n— x.example AAAAAAA=\n"),
    ],
    ["an endless head", () => new Response("a".repeat(200_000))],
    ["no head", () => new Response(null, { status: 404 })],
  ])("%s: nothing leaves the outbox until there is an honest one", async (_, answer) => {
    const log = new LogDouble();
    let hostile = true;
    log.hooks.intercept = ({ path }) => (hostile && path === "checkpoint" ? answer() : undefined);
    const { client, errors } = startClient(log);
    await client.record(login(), { until: "durable" });
    await until(() => errors.length > 1, "two errors");
    expect(client.status().unproved).toBe(2);
    hostile = false;
    await client.flush();
  });
});

describe("an event that is refused for good", () => {
  test("is replaced by stream.refused under its number, and record says so", async () => {
    const log = new LogDouble();
    const refuse = new Set(["b"]);
    log.hooks.intercept = ({ path, body }) => {
      if (path !== "v1/events") return undefined;
      const entry = decodeBatch(body).entries.findIndex(({ event }) => refuse.has(decodeEvent(event).actor?.id ?? ""));
      return entry === -1
        ? undefined
        : problem(422, "event-invalid", { defects: [{ entry, path: "type", message: "no" }] });
    };
    const { client, errors } = startClient(log, { outbox: await createFolder() });
    const ids = ["a", "b", "c"];
    const outcomes = await Promise.allSettled(ids.map((id) => client.record(login(id), { until: "witnessed" })));
    expect(outcomes.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
    expect(outcomes[1]).toMatchObject({ reason: { code: "log-refused", details: { problem: "event-invalid" } } });
    expect(errors.map((error) => (error as ClientError).code)).toContain("log-refused");
    const sent = log.posts.map(decodeBatch);
    const third = sent.flatMap(({ first, entries }) => entries.filter((_, at) => first + at === 3)).at(-1);
    expect(decodeEvent(third?.event ?? new Uint8Array())).toMatchObject({
      type: "stream.refused",
      context: { type: "auth.login", problem: "event-invalid" },
    });
    expect(log.leaves.map((leaf) => decodeLeaf(leaf).sequence)).toEqual([1, 2, 3, 4]);
  });

  test("whatever words the log finds for it", async () => {
    const log = new LogDouble();
    let refusals = 0;
    log.hooks.intercept = ({ path, body }) => {
      if (path !== "v1/events" || refusals > 0) return undefined;
      const { first, entries } = decodeBatch(body);
      if (first + entries.length <= 2) return undefined;
      refusals += 1;
      const entry = 2 - first;
      return new Response(`{"code":"event-invalid","detail":"\\ud800${"x".repeat(100_000)}","entry":${entry}}`, {
        status: 422,
      });
    };
    const { client } = startClient(log, { outbox: await createFolder() });
    expect(await rejectionCode(client.record(login(), { until: "witnessed" }))).toBe("log-refused");
    await client.flush();
    expect(client.status()).toMatchObject({ state: "ok", queued: 0, unproved: 0 });
  });
});
