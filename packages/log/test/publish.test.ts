import { describe, expect, test, vi } from "vitest";
import {
  createSigner,
  encodeBase64,
  parseCheckpoint,
  parseNote,
  parsePolicy,
  parseTlogProof,
  verifyCheckpoint,
  verifyTlogProof,
} from "@tallystick/core";
import { type HeadName, createMemoryStorage } from "@tallystick/storage";
import {
  ORIGIN,
  type Site,
  createSite,
  ed25519Signer,
  expectWhole,
  hanging,
  login,
  published,
  seed,
  until,
} from "./site.ts";
import type { Log } from "../src/index.ts";
import { type Fault, WatchedStorage } from "./watched-storage.ts";

/** The witnesses whose cosignatures stand under the published head. */
function cosigners(site: Site, log: Log): string[] {
  const note = log.checkpoint();
  if (note === undefined) return [];
  const { cosignatures } = verifyCheckpoint({ note, policy: parsePolicy(site.policyText) });
  return [...new Set(cosignatures.map(({ name }) => name.split(/[./]/, 1)[0] ?? ""))].sort();
}

async function append(log: Log, ...numbers: number[]): Promise<void> {
  await log.appendEvents({ writer: "app", events: numbers.map((n) => login(n)) });
}

async function started(log: Log): Promise<Log> {
  await until(() => log.status().state !== "starting");
  return log;
}

describe("publishing", () => {
  test("an entry goes from durable to witnessed, and its receipt meets the policy", async () => {
    const site = await createSite({ witnesses: 3 });
    const log = await started(await site.open());
    const [answer] = await log.appendEvents({ writer: "app", events: [login(0)] });
    expect(answer?.state).toBe("durable");
    expect(await log.waitFor({ index: 0, state: "witnessed", timeoutMs: 20_000 })).toBe("witnessed");
    const text = await log.receipt(0);
    const { index } = verifyTlogProof({
      proof: parseTlogProof(text),
      leafHash: answer?.leafHash ?? new Uint8Array(),
      policy: parsePolicy(site.policyText),
    });
    expect(index).toBe(0n);
    await expectWhole(site);
  });

  test("C-98 the empty log has a head", async () => {
    const site = await createSite({ witnesses: 1 });
    const log = await site.open();
    await until(() => log.checkpoint() !== undefined);
    expect(parseCheckpoint(parseNote(log.checkpoint() ?? "").text).size).toBe(0n);
    expect(await log.readTile({ level: 0, index: 0, width: 256 })).toBeUndefined();
  });

  test("without witnesses in its policy a log publishes what it signed", async () => {
    const site = await createSite();
    const log = await started(await site.open());
    await append(log, 0);
    expect(await log.waitFor({ index: 0, state: "published", timeoutMs: 5000 })).toBe("published");
    expect(await log.waitFor({ index: 0, state: "witnessed", timeoutMs: 30 })).toBe("published");
  });

  test("a wait that is not met ends in time with the state that was reached", async () => {
    const site = await createSite({ witnesses: 3 });
    const log = await started(await site.open());
    site.network.hosts.clear();
    await append(log, 0);
    expect(await log.waitFor({ index: 0, state: "witnessed", timeoutMs: 40 })).toBe("durable");
    const abort = new AbortController();
    const waiting = log.waitFor({ index: 0, state: "witnessed", timeoutMs: 60_000, signal: abort.signal });
    abort.abort();
    expect(await waiting).toBe("durable");
    await expect(log.receipt(0)).rejects.toMatchObject({ code: "receipt-not-ready" });
  });

  test("while somebody waits for a head, it comes before the interval is over", async () => {
    const intervalMs = 999;
    const site = await createSite({ witnesses: 1 });
    const log = await started(await site.open({ publishIntervalMs: intervalMs }));
    await until(() => log.checkpoint() !== undefined);
    let soonestMs = Infinity;
    for (let n = 0; n < 10 && soonestMs >= intervalMs / 2; n += 1) {
      await append(log, n);
      const began = performance.now();
      // The first of these heads may have been due anyway.
      await log.waitFor({ index: log.size() - 1, state: "witnessed", timeoutMs: 20_000 });
      if (n > 0) soonestMs = Math.min(soonestMs, performance.now() - began);
    }
    expect(soonestMs).toBeLessThan(intervalMs / 2);
  });

  test("an interval of a second or more is there to spare the witnesses, and holds whoever waits", async () => {
    const site = await createSite({ witnesses: 1 });
    const log = await started(await site.open({ publishIntervalMs: 86_400_000 }));
    await until(() => log.checkpoint() !== undefined);
    await append(log, 0);
    const waits = Array.from({ length: 5 }, async () => log.waitFor({ index: 0, state: "witnessed", timeoutMs: 100 }));
    expect(await Promise.all(waits)).toEqual(Array(5).fill("durable"));
    expect(log.publishedSize()).toBe(0);
  });

  test("receipts with the entry at hand are those without, and one with another entry is refused", async () => {
    const site = await createSite({ witnesses: 2 });
    const log = await started(await site.open());
    await append(log, 0, 1, 2, 3, 4);
    await published(log);
    for (let index = 0; index < 5; index += 1) {
      const leaf = await log.readLeaf(index);
      for (const signatures of ["minimal", "all"] as const)
        expect(await log.receipt(index, { leaf, signatures })).toBe(await log.receipt(index, { signatures }));
      await expect(log.receipt((index + 1) % 5, { leaf })).rejects.toMatchObject({ code: "log-corrupt" });
    }
    await expectWhole(site);
  });

  test("C-179 no head goes to a witness before it is durable, and none is published before it is", async () => {
    const storage = new WatchedStorage(createMemoryStorage());
    const site = await createSite({ witnesses: 1, storage });
    const log = await started(await site.open());
    const handler = site.handlers[0] ?? hanging;
    site.network.hosts.set("w1.example", async (request) => {
      const text = await request.clone().text();
      const size = Number(parseCheckpoint(parseNote(text.slice(text.indexOf("\n\n") + 2)).text).size);
      const stored = await storage.readHead("signed");
      expect(Buffer.from(stored?.bytes ?? []).toString("latin1")).toContain(`${ORIGIN}\n${size}\n`);
      return handler(request);
    });
    for (let n = 0; n < 20; n += 1) {
      await append(log, n);
      await log.waitFor({ index: n, state: "witnessed", timeoutMs: 5000 });
      const stored = await storage.readHead("published");
      expect(Buffer.from(stored?.bytes ?? []).toString("latin1")).toContain(`${ORIGIN}\n${log.publishedSize()}\n`);
    }
  });

  test("C-178 durable goes on without a quorum, which is said; when it is back the newest head alone is published", async () => {
    const site = await createSite({ witnesses: 3 });
    const log = await started(await site.open());
    await append(log, 0);
    await published(log);
    site.network.hosts.delete("w2.example");
    site.network.hosts.delete("w3.example");
    for (let n = 1; n <= 10; n += 1) {
      await append(log, n);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    await until(() => log.status().state === "degraded");
    expect(log.publishedSize()).toBe(1);
    expect(log.size()).toBe(11);
    const [reason] = log.status().reasons;
    expect(reason).toMatchObject({ code: "quorum-not-met" });
    expect(reason?.message).toMatch(/w2: connect ECONNREFUSED.*w3: connect ECONNREFUSED/);
    // A head that was signed on the way there could still be under way, and be cosigned first.
    await vi.waitFor(async () => {
      const signed = await site.storage.readHead("signed");
      expect(Buffer.from(signed?.bytes ?? []).toString("latin1")).toContain(`${ORIGIN}\n11\n`);
    });
    site.network.hosts.set("w2.example", site.handlers[1] ?? hanging);
    await published(log);
    await until(() => log.status().state === "ok");
    const sizes = (await log.checkpoints()).map(({ size }) => size);
    expect(sizes).toEqual([11, 1, 0]);
    await expectWhole(site);
  });

  test("entries that no published head covers for long are told, whatever the reason", async () => {
    const storage = new WatchedStorage(createMemoryStorage());
    const site = await createSite({ witnesses: 1, storage });
    const log = await started(await site.open({ witnessTimeoutMs: 200 }));
    await append(log, 0);
    await published(log);
    const release = storage.hold("published");
    await append(log, 1);
    await until(() => log.status().state === "degraded");
    expect(log.status().reasons).toEqual([
      { code: "publication-late", message: expect.stringContaining("entries above size 1 have been durable") },
    ]);
    release();
    await published(log);
    expect(log.status().state).toBe("ok");
  });

  test("C-178 durable goes on only up to a bound", async () => {
    const site = await createSite({ witnesses: 1 });
    const log = await started(await site.open({ unpublishedEntriesMax: 3 }));
    await until(() => log.checkpoint() !== undefined);
    site.network.hosts.clear();
    await append(log, 0, 1, 2);
    await expect(append(log, 3)).rejects.toMatchObject({ code: "log-overloaded" });
    site.network.hosts.set("w1.example", site.handlers[0] ?? hanging);
    await published(log);
    await append(log, 3);
  });

  test("C-176 a witness that hangs delays nothing while the others make a quorum", async () => {
    const site = await createSite({ witnesses: 3 });
    const log = await started(await site.open({ witnessTimeoutMs: 60_000 }));
    site.network.hosts.set("w3.example", hanging);
    const began = performance.now();
    for (let n = 0; n < 10; n += 1) {
      await append(log, n);
      expect(await log.waitFor({ index: n, state: "witnessed", timeoutMs: 20_000 })).toBe("witnessed");
    }
    expect(performance.now() - began).toBeLessThan(20_000);
  });

  test("C-176 a witness that hangs is given up at the deadline, and costs nothing after its breaker opened", async () => {
    const site = await createSite({ witnesses: 1 });
    const log = await started(await site.open({ witnessTimeoutMs: 20 }));
    await until(() => log.checkpoint() !== undefined);
    site.network.hosts.set("w1.example", hanging);
    await append(log, 0);
    await until(() => log.status().witnesses[0]?.state === "unreachable");
    const before = site.network.requests.length;
    await new Promise((resolve) => setTimeout(resolve, 400));
    expect(site.network.requests.length - before).toBeLessThan(10);
    site.network.hosts.set("w1.example", site.handlers[0] ?? hanging);
    await published(log);
    expect(log.status().witnesses[0]).toMatchObject({ state: "ok", size: 1 });
    expect(log.status().witnesses[0]?.lastError).toBeUndefined();
  });

  test("C-177 a quorum publishes at once, and late cosignatures join the same head and no other", async () => {
    const site = await createSite({ witnesses: 3, quorum: 2 });
    const log = await started(await site.open());
    await until(() => cosigners(site, log).length === 3);
    const gate = Promise.withResolvers<void>();
    const slow = site.handlers[2] ?? hanging;
    site.network.hosts.set("w3.example", async (request) => {
      await gate.promise;
      return slow(request);
    });
    await append(log, 0);
    await log.waitFor({ index: 0, state: "witnessed", timeoutMs: 5000 });
    expect(cosigners(site, log)).toEqual(["w1", "w2"]);
    gate.resolve();
    await until(() => cosigners(site, log).length === 3);
    expect(log.publishedSize()).toBe(1);
    const [kept] = await log.checkpoints({ limit: 1 });
    expect(kept?.note).toBe(log.checkpoint());
  });

  test("C-177 a cosignature that comes after the next head was signed is dropped", async () => {
    const site = await createSite({ witnesses: 2, quorum: 1 });
    const log = await started(await site.open({ witnessTimeoutMs: 5000 }));
    await until(() => cosigners(site, log).length === 2);
    const gate = Promise.withResolvers<void>();
    const slow = site.handlers[1] ?? hanging;
    site.network.hosts.set("w2.example", async (request) => {
      await gate.promise;
      return slow(request);
    });
    await append(log, 0);
    await log.waitFor({ index: 0, state: "witnessed", timeoutMs: 5000 });
    await append(log, 1);
    await log.waitFor({ index: 1, state: "witnessed", timeoutMs: 5000 });
    expect(cosigners(site, log)).toEqual(["w1"]);
    gate.resolve();
    await append(log, 2);
    await until(() => log.publishedSize() === 3 && cosigners(site, log).length === 2);
    const heads = await log.checkpoints();
    for (const { note } of heads) verifyCheckpoint({ note, policy: parsePolicy(site.policyText) });
  });

  test("C-180 an unchanged head is cosigned anew at its own interval, not at each tick", async () => {
    const site = await createSite({ witnesses: 1 });
    const log = await started(await site.open({ publishIntervalMs: 5, freshnessIntervalMs: 300 }));
    await append(log, 0);
    await published(log);
    await new Promise((resolve) => setTimeout(resolve, 50));
    const asked = () => site.network.requests.filter((line) => line.startsWith("POST")).length;
    const [before, note] = [asked(), log.checkpoint()];
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect(asked()).toBe(before);
    site.clock.nowMs += 60_000;
    await until(() => log.checkpoint() !== note);
    expect(log.publishedSize()).toBe(1);
    const { cosignatures } = verifyCheckpoint({ note: log.checkpoint() ?? "", policy: parsePolicy(site.policyText) });
    expect(cosignatures[0]?.timestamp).toBe(BigInt(site.clock.nowMs / 1000));
    await expectWhole(site);
  });

  test.each([-366 * 86_400_000, -360_000, 360_000, 366 * 86_400_000])(
    "a witness of three whose clock is %d ms off is not counted and not kept, and is told",
    async (off) => {
      const site = await createSite({ witnesses: 3, witnessesAheadMs: [off] });
      const log = await started(await site.open());
      await append(log, 0);
      await published(log);
      await until(() => log.status().witnesses[0]?.state === "faulty");
      expect(log.status().witnesses[0]?.lastError).toContain(off < 0 ? "s behind the time" : "s ahead of the time");
      await until(() => cosigners(site, log).length === 2);
      expect(log.status().state).toBe("ok");
      for (const { note } of await log.checkpoints()) expect(note).not.toContain("w1.example");
      for (const signatures of ["minimal", "all"] as const)
        expect(await log.receipt(0, { signatures })).not.toContain("w1.example");
    },
  );

  test("without a quorum of witnesses that have the time nothing is published, and whose clock is wrong is told", async () => {
    const site = await createSite({ witnesses: 3, witnessesAheadMs: [360_000, -360_000] });
    const log = await started(await site.open());
    await append(log, 0);
    await until(() => log.status().reasons.some(({ code }) => code === "quorum-not-met"));
    expect(log.publishedSize()).toBe(0);
    const reasons = log.status().reasons;
    expect(reasons.find(({ code }) => code === "quorum-not-met")?.message).toMatch(
      /w1: its clock is 36\d s ahead .* w2: its clock is 3[56]\d s behind/,
    );
    expect(reasons.map(({ code }) => code)).toContain("clock-disputed");
  });

  test.each([-360_000, 360_000])("of two witnesses one whose clock is %d ms off stops nothing", async (off) => {
    const site = await createSite({ witnesses: 2, quorum: 1, witnessesAheadMs: [off] });
    const log = await started(await site.open());
    await append(log, 0);
    await published(log);
    await until(() => log.status().state === "degraded");
    expect(log.status().reasons).toMatchObject([{ code: "clock-disputed" }]);
    await append(log, 1);
    await published(log);
    expect(cosigners(site, log)).toEqual(["w2"]);
  });

  test("a log whose own clock is behind is degraded, and publishes what witnesses cosign", async () => {
    const site = await createSite({ witnesses: 3 });
    const log = await started(await site.open({ now: () => site.clock.nowMs - 360_000 }));
    await append(log, 0);
    await published(log);
    await until(() => log.status().reasons.some(({ code }) => code === "clock-behind"));
    expect(log.status().state).toBe("degraded");
    await append(log, 1);
    await published(log);
    await log.receipt(1);
  });

  test("C-59 a log with an ML-DSA key signs with both", async () => {
    const mldsa = createSigner({ name: ORIGIN, type: "mldsa44", seed: seed("log 06") });
    const site = await createSite({ witnesses: 1, signers: [ed25519Signer("log"), mldsa] });
    const log = await started(await site.open());
    await append(log, 0);
    await published(log);
    const { logSignatures } = verifyCheckpoint({ note: log.checkpoint() ?? "", policy: parsePolicy(site.policyText) });
    expect(logSignatures.map(({ verifier }) => verifier.type)).toEqual([1, 6]);
    await log.close();
    await started(await site.open());
  });
});

describe("hostile and broken witnesses", () => {
  /** A log of one honest witness, which is enough, and one that a test makes up. */
  async function withOther(answer: (request: Request) => Promise<Response>) {
    const site = await createSite({ witnesses: 2, quorum: 1 });
    const log = await started(await site.open({ witnessTimeoutMs: 200 }));
    await until(() => log.status().witnesses[1]?.state === "ok");
    site.network.hosts.set("w2.example", answer);
    await append(log, 0);
    expect(await log.waitFor({ index: 0, state: "witnessed", timeoutMs: 20_000 })).toBe("witnessed");
    const state = () => log.status().witnesses[1];
    return { site, log, state };
  }

  const size = (text: string, type = "text/x.tlog.size") =>
    new Response(text, { status: 409, headers: { "content-type": type } });

  test.each([
    ["garbage", () => size("hello\n")],
    ["a size with leading zeros", () => size("007\n")],
    ["no newline", () => size("7")],
    ["another content type", () => size("7\n", "text/plain")],
    ["10^30", () => size(`1${"0".repeat(30)}\n`)],
    ["nothing", () => size("")],
  ])("C-174 a 409 with %s makes that witness faulty, and no other", async (_, answer) => {
    const { log, state } = await withOther(async () => answer());
    await until(() => state()?.state === "faulty");
    expect(state()?.lastError).toMatch(/409|size|uint|decimal/i);
    expect(log.status().state).toBe("ok");
  });

  test("C-173 a 409 with a larger size stops nothing: only a head with our signature would", async () => {
    const { log, site, state } = await withOther(async (request) =>
      request.method === "POST" ? size("1000000\n") : new Response("not found", { status: 404 }),
    );
    await until(() => state()?.state === "faulty");
    expect(state()?.lastError).toContain("1000000");
    await until(() => site.network.requests.some((line) => line.startsWith("GET w2.example")));
    await append(log, 1);
    expect(await log.waitFor({ index: 1, state: "witnessed", timeoutMs: 20_000 })).toBe("witnessed");
  });

  test("C-175 a witness that names a smaller size each time is asked four times and given up", async () => {
    /** What the log thought of it when it asked. */
    const states: unknown[] = [];
    const site = await createSite({ witnesses: 2, quorum: 1 });
    const log = await started(await site.open());
    await append(log, ...Array.from({ length: 20 }, (_, n) => n));
    await published(log);
    await until(() => log.status().witnesses[1]?.state === "ok");
    site.network.hosts.set("w2.example", async () => {
      states.push(log.status().witnesses[1]?.state);
      return size(`${Math.max(0, 20 - states.length)}\n`);
    });
    await append(log, 20);
    await until(() => log.status().witnesses[1]?.state === "faulty");
    // In a later turn it is asked again.
    expect([...states, "faulty"].slice(0, 5)).toEqual(["ok", "ok", "ok", "ok", "faulty"]);
    expect(log.status().witnesses[1]?.lastError).toContain("another size each time");
  });

  test("C-172 a witness that is behind gets a proof from its size; one that has just our head is asked again", async () => {
    const site = await createSite({ witnesses: 2, quorum: 1 });
    const log = await started(await site.open());
    site.network.hosts.delete("w2.example");
    for (let n = 0; n < 5; n += 1) {
      await append(log, n);
      await log.waitFor({ index: n, state: "witnessed", timeoutMs: 5000 });
    }
    site.network.hosts.set("w2.example", site.handlers[1] ?? hanging);
    await append(log, 5);
    await until(() => log.status().witnesses[1]?.size === 6, 8000);
    // What the witness answered is lost once, after it took the head in.
    const handler = site.handlers[1] ?? hanging;
    site.network.hosts.set("w2.example", async (request) => {
      await handler(request);
      site.network.hosts.set("w2.example", handler);
      throw new Error("connection reset");
    });
    await append(log, 6);
    await until(() => log.status().witnesses[1]?.state === "unreachable");
    await append(log, 7);
    await until(() => log.status().witnesses[1]?.size === 8, 8000);
  });

  test("C-170 lines of unknown keys are passed over; one of a known key that does not hold discards the answer", async () => {
    const unknown = `— other.example/w ${encodeBase64(new Uint8Array(76).fill(7))}\n`;
    const site = await createSite({ witnesses: 2, quorum: 1 });
    const log = await started(await site.open());
    await until(() => log.status().witnesses[1]?.state === "ok");
    const handler = site.handlers[1] ?? hanging;
    site.network.hosts.set("w2.example", async (request) => {
      const response = await handler(request);
      return new Response(unknown + (await response.text()), { status: response.status });
    });
    await append(log, 0);
    await until(() => cosigners(site, log).includes("w2") && log.publishedSize() === 1);
    expect(log.checkpoint()).not.toContain("other.example");
    site.network.hosts.set("w2.example", async (request) => {
      const response = await handler(request);
      const [first = "", ...rest] = (await response.text()).split("\n");
      const cut = first.slice(0, -6) + (first.at(-6) === "A" ? "B" : "A") + first.slice(-5);
      return new Response([cut, ...rest].join("\n"), { status: response.status });
    });
    await append(log, 1);
    await until(() => log.status().witnesses[1]?.state === "faulty");
    expect(await log.waitFor({ index: 1, state: "witnessed", timeoutMs: 20_000 })).toBe("witnessed");
    expect(cosigners(site, log)).toEqual(["w1"]);
  });

  test.each([
    ["C-171 more than 64 KiB", async () => new Response("x".repeat(70_000)), "65536"],
    [
      "C-171 a redirect",
      async () => new Response(null, { status: 307, headers: { location: "http://w1.example/add-checkpoint" } }),
      "307",
    ],
    ["an empty body", async () => new Response("\n"), ""],
    ["404", async () => new Response("", { status: 404 }), "does not know this log"],
    ["403", async () => new Response("", { status: 403 }), "403"],
    ["500", async () => new Response("", { status: 500 }), "500"],
    [
      "a body that never ends",
      async () => new Response(new ReadableStream({ pull: () => new Promise(() => undefined) })),
      "",
    ],
  ])("%s is no cosignature", async (_, answer, words) => {
    const { log, state } = await withOther(answer);
    await until(() => state()?.state === "faulty" || state()?.state === "unreachable");
    expect(state()?.lastError).toContain(words);
    expect(log.status().state).toBe("ok");
  });

  test("C-173 a head of ours that a witness holds, and that is not in our history, stops signing and is kept", async () => {
    const witnessed = await createSite({ witnesses: 2, quorum: 1 });
    const log = await started(await witnessed.open());
    await append(log, 0, 1);
    await published(log);
    // The same keys sign another history: what a stolen key, or two processes on copies of one folder, would do.
    const fork = await createSite();
    const forked = await started(await fork.open({ witnesses: [], policyText: fork.policyText }));
    await append(forked, 10, 11);
    await published(forked);
    const theirs = forked.checkpoint() ?? "";
    witnessed.network.hosts.set("w2.example", async (request) =>
      request.method === "POST" ? new Response("", { status: 422 }) : new Response(theirs),
    );
    await append(log, 2);
    await until(() => log.status().state === "stopped");
    expect(log.status().reasons).toMatchObject([{ code: "log-forked" }]);
    await expect(append(log, 3)).rejects.toMatchObject({ code: "log-forked" });
    const kept: string[] = [];
    await until(() => log.status().state === "stopped");
    for await (const { value } of witnessed.storage.scanRows("evidence")) kept.push(Buffer.from(value).toString());
    expect(JSON.parse(kept[0] ?? "")).toMatchObject({ format: "tallystick/fork@1", origin: ORIGIN });
    expect((JSON.parse(kept[0] ?? "") as { checkpoints: string[] }).checkpoints[0]).toBe(theirs);
  });
});

describe("a head that cannot be stored", () => {
  test.each<[HeadName, Fault]>([
    ["signed", "before"],
    ["signed", "after"],
    ["published", "before"],
    ["published", "after"],
  ])("rule 2: %s, failing %s it landed, stops the log; the next start publishes what is there", async (head, fault) => {
    const disk = createMemoryStorage();
    const site = await createSite({ witnesses: 2, storage: disk });
    const storage = new WatchedStorage(disk);
    storage.failCommit(head, fault, 1);
    const log = await started(await site.open({ storage }));
    await until(() => log.checkpoint() !== undefined || log.status().state === "stopped");
    await append(log, 0).catch(() => undefined);
    await until(() => log.status().state === "stopped");
    await log.close();
    const again = await started(await site.open());
    await append(again, 0, 1);
    await published(again);
    expect(again.size()).toBe(2);
    await again.close();
    await expectWhole(site);
  });
});
