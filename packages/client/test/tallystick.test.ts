import { decodeOpening, decodeBatch, decodeEvent, decodeLeaf, newEventId } from "@tallystick/events";
import { createSigner, encodeHex, parsePolicy } from "@tallystick/core";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { errorCode, rejectionCode } from "../../../test/support/errors.ts";
import { type Report, type Tallystick, createTallystick, verifyReceipt } from "../src/index.ts";
import { LogDouble, problem } from "./support/log-double.ts";
import { createFolder, login, startClient, until } from "./support/setup.ts";

describe("record", () => {
  test("gives a verified receipt of what was recorded", async () => {
    const log = new LogDouble();
    const { client } = startClient(log);
    const { state, receipt, opening, index } = await client.record(login(), { until: "witnessed" });
    expect(state).toBe("witnessed");
    const verified = verifyReceipt({ proof: receipt ?? "", opening, policy: parsePolicy(log.policyText) });
    expect(verified).toMatchObject({ origin: log.origin, index, quorumMet: true, event: { type: "auth.login" } });
    expect(verified.cosignatures).toHaveLength(2);
  });

  test("numbers a thousand concurrent events in the order of the calls, without a gap", async () => {
    const log = new LogDouble();
    const { client } = startClient(log, { outbox: await createFolder() });
    const recorded = await Promise.all(Array.from({ length: 1000 }, (_, at) => client.record(login(`u_${at}`))));
    await client.flush();
    const batches = log.posts.map(decodeBatch);
    const sent = batches.flatMap(({ first, entries }) =>
      entries.map(({ event }, at) => [first + at, decodeEvent(event).id]),
    );
    expect(sent.map(([sequence]) => sequence)).toEqual(Array.from({ length: 1001 }, (_, at) => at + 1));
    expect(sent.slice(1).map(([, id]) => id)).toEqual(recorded.map(({ id }) => id));
    expect(log.leaves.map((leaf) => decodeLeaf(leaf).sequence)).toEqual(sent.map(([sequence]) => sequence));
  });

  test("begins a stream with stream.start", async () => {
    const log = new LogDouble();
    const { client } = startClient(log);
    await client.record(login(), { until: "witnessed" });
    expect(log.posts.flatMap((body) => decodeBatch(body).entries.map(({ event }) => decodeEvent(event).type))).toEqual([
      "stream.start",
      "auth.login",
    ]);
  });

  test("resolves as queued, and goes on, while nothing answers", async () => {
    const log = new LogDouble();
    log.hooks.intercept = () => {
      throw new TypeError("fetch failed");
    };
    const { client, errors } = startClient(log);
    expect(await client.record(login())).toMatchObject({ state: "queued" });
    await until(() => errors.length > 0, "an error");
    expect(client.status()).toMatchObject({ state: "offline", queued: 2, lastError: { code: "audit-unavailable" } });
    log.hooks = {};
    await client.flush();
    expect(client.status()).toMatchObject({ state: "ok", queued: 0, unproved: 0, bytes: 0 });
  });

  test("answers the state that was reached when the time is over or the signal comes", async () => {
    const log = new LogDouble();
    log.cosigning = 1;
    const { client } = startClient(log);
    expect(await client.record(login(), { until: "witnessed", timeoutMs: 300 })).toMatchObject({ state: "durable" });
    const aborter = new AbortController();
    const recorded = client.record(login(), { until: "witnessed", signal: aborter.signal });
    await until(() => client.status().unproved === 3, "acknowledged");
    aborter.abort();
    expect(await recorded).toMatchObject({ state: "durable", index: 2 });
    expect(await client.record(login(), { until: "witnessed", signal: AbortSignal.abort() })).toMatchObject({
      state: "queued",
    });
    expect(client.status().waitingFor).toContain("quorum");
  });

  test("under a policy without witnesses a receipt is published, and that is as far as it gets", async () => {
    const log = new LogDouble();
    const policy = `log ${log.signer.vkey}\nquorum none\n`;
    const { client } = startClient(log, { policy });
    const recorded = await client.record(login(), { until: "witnessed" });
    expect(recorded.state).toBe("published");
    expect(recorded.receipt).toContain("c2sp.org/tlog-proof@v1");
  });

  test.each([
    [{ type: "auth.logn" }, "event-invalid"],
    [{ type: "log.head", context: { a: 1 } }, "event-invalid"],
    [{ type: "stream.start" }, "event-invalid"],
    [{ type: "auth.login" }, "event-invalid"],
  ])("refuses %j before a number is taken", async (event, code) => {
    const log = new LogDouble();
    const { client } = startClient(log);
    await client.flush();
    expect(await rejectionCode(client.record(event))).toBe(code);
    expect((await client.record(login(), { until: "durable" })).index).toBe(1);
  });

  test("hashes a session id that is none, alike in all outboxes that share a secret", async () => {
    const sessionSecret = new Uint8Array(32).fill(7);
    const idOf = async (options: { sessionSecret?: Uint8Array }): Promise<string | undefined> => {
      const { client } = startClient(new LogDouble(), options);
      const { opening } = await client.record(login("u_1", { session: { id: "s-4711" } }), { until: "witnessed" });
      return decodeEvent(decodeOpening(opening).event).session?.id;
    };
    const shared = await idOf({ sessionSecret });
    expect(shared).toMatch(/^[0-9a-f]{64}$/);
    expect(await idOf({ sessionSecret })).toBe(shared);
    expect(await idOf({})).not.toBe(shared);
  });

  test("takes the same event again under an id that waits as one event, and another one not at all", async () => {
    const log = new LogDouble();
    log.cosigning = 0;
    const { client } = startClient(log);
    const id = newEventId(Date.now(), new Uint8Array(16).fill(9));
    const time = Date.now();
    const event = login("u_1", { id, time });
    const [first, again] = await Promise.all([client.record(event), client.record(event)]);
    expect(again.opening).toEqual(first.opening);
    expect(await client.record(event, { until: "durable" })).toMatchObject({ state: "durable", index: 1 });
    expect(await rejectionCode(client.record(login("u_2", { id, time })))).toBe("id-reused");
    await client.record(login("u_3"), { until: "durable" });
    expect(log.leaves).toHaveLength(3);
  });
});

describe("a caller's slip", () => {
  test.each([
    ["record", (client: Tallystick) => client.record(undefined as unknown as Report), "event: expected an object"],
    ["record", (client: Tallystick) => client.record("auth.login" as unknown as Report), "event: expected an object"],
    ["record", (client: Tallystick) => client.record(login(), { timeout: 5 } as object), "did you mean timeoutMs?"],
    ["flush", (client: Tallystick) => client.flush({ untill: "durable" } as object), "did you mean until?"],
    [
      "audit",
      (client: Tallystick) => client.audit({ type: "app.thing" }, undefined as unknown as () => number),
      "work: expected a function, got undefined",
    ],
    ["forget", (client: Tallystick) => client.receipts.forget(undefined as unknown as string), "subject: expected"],
  ])("in %s is named, and takes no number", async (_name, slip, message) => {
    const { client } = startClient(new LogDouble());
    const error: unknown = await slip(client).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(TypeError);
    expect(error).toHaveProperty("message", expect.stringContaining(message));
    expect(client.status()).toMatchObject({ queued: 0, counters: { recorded: 0 } });
  });
});

describe("senderKey", () => {
  test("several outboxes share a key, each a stream of its own", async () => {
    const log = new LogDouble();
    const senderKey = join(await createFolder(), "key");
    for (const outbox of ["none", "none", await createFolder()]) {
      const { client } = startClient(log, { outbox, senderKey });
      await client.flush();
    }
    const batches = log.posts.map(decodeBatch);
    expect(new Set(batches.map(({ publicKey }) => encodeHex(publicKey))).size).toBe(1);
    expect(new Set(batches.map(({ instance }) => encodeHex(instance))).size).toBe(3);
  });
});

describe("outbox limits", () => {
  test("a full outbox is an error that takes no number", async () => {
    const log = new LogDouble();
    let down = true;
    log.hooks.intercept = () => (down ? new Response(null, { status: 503 }) : undefined);
    const { client } = startClient(log, { outboxBytesMax: 65_536 });
    let taken = 0;
    let code: string | undefined;
    for (; code === undefined; taken += 1) code = await rejectionCode(client.record(login(`u_${taken}`)));
    expect(code).toBe("outbox-full");
    expect(client.status().bytes).toBeLessThanOrEqual(65_536);
    down = false;
    await client.flush();
    const { index } = await client.record(login("last"), { until: "witnessed" });
    expect(index).toBe(taken);
    expect(log.leaves.map((leaf) => decodeLeaf(leaf).sequence)).toEqual(log.leaves.map((_, at) => at + 1));
  });
});

describe("close", () => {
  test("while offline keeps everything in the folder, and the next start delivers it once", async () => {
    const log = new LogDouble();
    const outbox = await createFolder();
    log.hooks.intercept = () => new Promise(() => undefined);
    const first = startClient(log, { outbox });
    const ids = await Promise.all(["a", "b", "c"].map(async (id) => (await first.client.record(login(id))).id));
    const before = performance.now();
    await first.client.close();
    expect(performance.now() - before).toBeLessThan(1000);
    log.hooks = {};
    const second = startClient(log, { outbox });
    await second.client.flush();
    expect(log.leaves).toHaveLength(4);
    for (const id of ids) expect(await second.client.receipts.get(id)).toMatchObject({ id });
  });

  test("refuses what comes later, and says so to who waits", async () => {
    const log = new LogDouble();
    log.cosigning = 0;
    const { client } = startClient(log, { outbox: await createFolder() });
    const waiting = rejectionCode(client.record(login(), { until: "witnessed" }));
    await until(() => client.status().unproved === 2, "acknowledged");
    await Promise.all([client.close(), client.close()]);
    expect(await waiting).toBe("client-closed");
    expect(await rejectionCode(client.record(login()))).toBe("client-closed");
  });

  test("of an outbox in memory says stream.end and delivers first", async () => {
    const log = new LogDouble();
    const { client } = startClient(log);
    await client.record(login());
    await client.close();
    const types = log.posts.flatMap((body) => decodeBatch(body).entries.map(({ event }) => decodeEvent(event).type));
    expect(types).toEqual(["stream.start", "auth.login", "stream.end"]);
  });

  test("of an outbox in memory is an error when events were lost", async () => {
    const log = new LogDouble();
    log.hooks.intercept = () => new Response(null, { status: 503 });
    const { client } = startClient(log);
    await client.record(login());
    expect(await rejectionCode(client.close({ timeoutMs: 50 }))).toBe("wait-timeout");
  });

  test("with an end lets the next start in the folder begin a stream that names the one before", async () => {
    const log = new LogDouble();
    const outbox = await createFolder();
    const first = startClient(log, { outbox });
    await first.client.record(login());
    await first.client.close({ end: true });
    const second = startClient(log, { outbox });
    await second.client.record(login(), { until: "witnessed" });
    const events = log.posts.flatMap((body) => decodeBatch(body).entries.map(({ event }) => decodeEvent(event)));
    expect(events.map(({ type }) => type)).toEqual([
      "stream.start",
      "auth.login",
      "stream.end",
      "stream.start",
      "auth.login",
    ]);
    expect(events[3]?.context).toMatchObject({ last: 3, previous: expect.stringMatching(/^[0-9a-f]{32}$/) as string });
  });
});

describe("flush", () => {
  test("fails at once, naming the cause, where the log forbids the sender key; nothing is lost", async () => {
    const log = new LogDouble();
    log.hooks.intercept = ({ path }) => (path === "v1/events" ? problem(403, "sender-key-unknown") : undefined);
    const { client } = startClient(log);
    await client.record(login());
    const error = await client.flush({ timeoutMs: 60_000 }).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: "log-refused", details: { status: 403, problem: "sender-key-unknown" } });
    expect(client.status()).toMatchObject({ state: "refused", queued: 2, lastError: { code: "log-refused" } });
    log.hooks = {};
    await until(() => client.status().queued === 0, "delivered");
    await client.flush();
    expect(client.status()).toMatchObject({ state: "ok", unproved: 0 });
  });

  test("of a refusal that goes on for many tries the process is warned once, and again of a later one", async () => {
    const log = new LogDouble();
    const warnings: Error[] = [];
    const note = (warning: Error): void => void warnings.push(warning);
    process.on("warning", note);
    onTestFinished(() => void process.off("warning", note));
    let tries = 0;
    let refuses = true;
    log.hooks.intercept = ({ path }) => {
      if (path !== "v1/events" || !refuses) return undefined;
      tries += 1;
      return problem(403, "sender-key-unknown");
    };
    const { client } = startClient(log, { onError: undefined });
    await client.record(login());
    await until(() => tries >= 3, "three tries");
    refuses = false;
    await until(() => client.status().queued === 0, "delivered");
    expect(warnings).toHaveLength(1);
    refuses = true;
    await client.record(login());
    await until(() => warnings.length > 1, "another warning");
    expect(warnings.map(({ message }) => message)).toEqual(
      Array(2).fill(expect.stringContaining("sender-key-unknown")),
    );
  });

  test("says after its time what still waits", async () => {
    const log = new LogDouble();
    log.cosigning = 0;
    const { client } = startClient(log);
    await client.record(login());
    await client.flush({ until: "durable" });
    expect(await rejectionCode(client.flush({ timeoutMs: 50 }))).toBe("wait-timeout");
    expect(await rejectionCode(client.flush({ signal: AbortSignal.abort() }))).toBe("wait-timeout");
  });
});

describe("receipts", () => {
  test("survive a restart, and are saved as plain tlog-proofs", async () => {
    const log = new LogDouble();
    const folder = await createFolder();
    const outbox = join(folder, "outbox");
    const first = startClient(log, { outbox });
    const { id, receipt } = await first.client.record(login(), { until: "witnessed" });
    await first.client.close();
    const { client } = startClient(log, { outbox });
    expect((await client.receipts.get(id)).proof).toBe(receipt);
    await client.receipts.save(id, join(folder, "1.tlog-proof"));
    expect(await readFile(join(folder, "1.tlog-proof"), "utf8")).toBe(receipt);
    expect(await rejectionCode(client.receipts.get("none"))).toBe("receipt-unknown");
  });
});

describe("beats", () => {
  test("a silent stream says that it is alive", async () => {
    const log = new LogDouble();
    const { client } = startClient(log, { beatIntervalMs: 30 });
    await client.flush();
    await until(() => log.leaves.length >= 3, "two beats");
    const types = log.posts.flatMap((body) => decodeBatch(body).entries.map(({ event }) => decodeEvent(event).type));
    expect(types.slice(0, 3)).toEqual(["stream.start", "stream.beat", "stream.beat"]);
  });

  test("and does not where they are off", async () => {
    const log = new LogDouble();
    const { client } = startClient(log, { beatIntervalMs: 0 });
    await client.flush();
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(log.leaves).toHaveLength(1);
  });
});

describe("createTallystick", () => {
  test("never throws because nothing can be reached, and says on record what cannot be opened", async () => {
    const errors: Error[] = [];
    const options = {
      url: "http://127.0.0.1:1/app",
      token: "t",
      outbox: "none",
      onError: (error: Error) => errors.push(error),
    };
    const client = createTallystick({ ...options, policy: "/nowhere/policy.txt" });
    await expect(client.record(login())).rejects.toThrow("the policy that the options name, as a path");
    await expect(client.record(login())).rejects.toThrow("/nowhere/policy.txt");
    expect(errors).toHaveLength(1);
    expect(client.status().state).toBe("halted");
    await client.close();
    const unreachable = createTallystick({ ...options, policy: new LogDouble().policyText });
    expect(await unreachable.record(login())).toMatchObject({ state: "queued" });
    expect(await rejectionCode(unreachable.close({ timeoutMs: 10 }))).toBe("wait-timeout");
  });

  test("says that it is the policy that is missing, and that TALLYSTICK_POLICY names it", async () => {
    vi.stubEnv("TALLYSTICK_POLICY", "missing.txt");
    const options = { url: "http://127.0.0.1:1/app", token: "t", outbox: "none", onError: () => undefined };
    const client = createTallystick(options);
    vi.unstubAllEnvs();
    const words = "the policy that TALLYSTICK_POLICY names, as a path since it has no line ends: ENOENT";
    await expect(client.record(login())).rejects.toMatchObject({
      code: "audit-unavailable",
      message: expect.stringContaining(words),
    });
    await client.close();
  });

  test.each([
    ["url", { url: "not an address" }, "TypeError"],
    ["url", { url: "https://log.example/?a" }, "TypeError"],
    ["url", { url: "" }, "TypeError"],
    ["url", { url: "https://user:sEcReT@log.example/a" }, "TypeError"],
    ["token", { token: "sEcReT\nsEcReT" }, "TypeError"],
    ["token", { token: "sEcReT " }, "TypeError"],
    ["token", { token: "sEcReTö" }, "TypeError"],
    ["until", { until: "sent" as "queued" }, "TypeError"],
    ["outboxBytesMax", { outboxBytesMax: 1 }, "RangeError"],
    ["requestTimeoutMs", { requestTimeoutMs: 2 ** 31 }, "RangeError"],
    ["beatIntervalMs", { beatIntervalMs: -1 }, "RangeError"],
    ["senderKey", { senderKey: new Uint8Array(33) }, "RangeError"],
    ["sessionSecret", { sessionSecret: new Uint8Array(31) }, "RangeError"],
    ["otbox: no option has this name: did you mean outbox?", { otbox: "none" }, "TypeError"],
    ["onOutage.dney: no option has this name: did you mean deny?", { onOutage: { dney: [] } as never }, "TypeError"],
    ["onOutage: expected an object", { onOutage: "deny" as never }, "TypeError"],
    ["onOutage.deny: expected a list", { onOutage: { deny: "access.read" as unknown as string[] } }, "TypeError"],
    ["did you mean access.export?", { onOutage: { deny: ["access.exprt"] } }, "TypeError"],
    ["onOutage.allow", { onOutage: { default: "deny" as const, allow: ["auth.logn"] } }, "TypeError"],
  ])("refuses a wrong %s at once: %j", (name, options, code) => {
    const create = (): unknown =>
      createTallystick({ url: "https://log.example/a", token: "t", policy: "p", ...options });
    expect(errorCode(create)).toBe(code);
    expect(create).toThrow(name);
    expect(create).not.toThrow("sEcReT");
  });

  test("asks which log where the policy names more than one", async () => {
    const log = new LogDouble();
    const other = createSigner({ name: "log.example/other", type: "ed25519", seed: new Uint8Array(32) });
    const policy = `log ${log.signer.vkey}\nlog ${other.vkey}\nquorum none\n`;
    const { client } = startClient(log, { policy });
    await expect(client.record(login())).rejects.toThrow("origin");
    const chosen = startClient(log, { policy, origin: log.origin });
    expect(await chosen.client.record(login(), { until: "published" })).toMatchObject({ state: "published" });
  });

  test("what an application's onError throws does not stop the delivery", async () => {
    const log = new LogDouble();
    let down = true;
    log.hooks.intercept = () => (down ? new Response(null, { status: 500 }) : undefined);
    const { client } = startClient(log, {
      onError: () => {
        down = false;
        throw new Error("from the application");
      },
    });
    expect(await client.record(login(), { until: "witnessed" })).toMatchObject({ state: "witnessed" });
  });
});
