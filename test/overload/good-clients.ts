/**
 * Clients that behave, while others do not: they report events, send again what was not taken, read heads, and ask how
 * the server is. Then all that they were told is held against the log.
 */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { auditLog, createHttpLogReader } from "@tallystick/client";
import { decodeEntryBundle, encodeBase64, hashLeaf } from "@tallystick/core";
import { decodeLeaf, newEventId } from "@tallystick/events";
import type { OverloadSite } from "./site.ts";

interface Place {
  readonly index: number;
  readonly leafHash: string;
}

export interface GoodClientsOptions {
  /** That report events, side by side; 4 by default. */
  readonly writers?: number;
  /** In each request; 1 by default. */
  readonly events?: number;
  /** Between an answer and the next request; 5 by default. */
  readonly pauseMs?: number;
}

/** What an event is sent again for: nothing of it was taken, or nobody knows. */
const AGAIN = new Set([
  "clock-jumped",
  "log-closed",
  "log-overloaded",
  "log-starting",
  "log-stopped",
  "outcome-unknown",
]);
/** Sooner than they are told, so that a full queue stays full. */
const AGAIN_MS = 50;
const PROBE_MS = 100;
const LARGE_CHARS = 15_000;
const LARGE_AT_ONCE = 100;

export class GoodClients {
  readonly #site: OverloadSite;
  readonly #work: Promise<unknown>;
  readonly #options: Required<GoodClientsOptions>;
  /** By id. */
  readonly acknowledged: Map<string, Place> = new Map();
  /** Sent, and not answered yet: may be logged, or not. */
  readonly open: Set<string> = new Set();
  /** Refusals, by code. */
  readonly refused: Map<string, number> = new Map();
  readonly readiness: number[] = [];
  readonly metrics: number[] = [];
  readonly heads: number[] = [];
  #isOver = false;

  constructor(site: OverloadSite, options: GoodClientsOptions = {}) {
    this.#site = site;
    this.#options = { writers: 4, events: 1, pauseMs: 5, ...options };
    const writers = Array.from({ length: this.#options.writers }, async () => this.#write());
    this.#work = Promise.all([...writers, this.#probe()]);
    // Whoever ends them hears of it.
    this.#work.catch(() => (this.#isOver = true));
  }

  /** Reports events of fifteen kilobytes each, until they are taken. */
  async reportLarge(count: number): Promise<void> {
    for (let left = count; left > 0; left -= LARGE_AT_ONCE) {
      const events = Array.from({ length: Math.min(left, LARGE_AT_ONCE) }, () =>
        Object.assign(login(), { context: { text: "x".repeat(LARGE_CHARS) } }),
      );
      for (const { id } of events) this.open.add(id);
      while (!(await this.#post(events))) await sleep(AGAIN_MS);
    }
  }

  /** Waits until so many more events were acknowledged. */
  async progress(count: number, timeoutMs = 120_000): Promise<void> {
    const target = this.acknowledged.size + count;
    await this.until(() => this.acknowledged.size >= target, timeoutMs);
  }

  async until(holds: () => boolean, timeoutMs = 120_000): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    while (!holds()) {
      if (this.#isOver) await this.#work;
      const { acknowledged, refused } = this;
      assert.ok(
        performance.now() < deadline,
        `not within ${timeoutMs} ms: ${holds.toString()}; ${acknowledged.size} acknowledged, refused ${JSON.stringify([...refused])}`,
      );
      await sleep(10);
    }
  }

  /** Ends them; what is on its way may stay unanswered. */
  async end(): Promise<void> {
    this.#isOver = true;
    await this.#work;
  }

  async #write(): Promise<void> {
    while (!this.#isOver) {
      const events = Array.from({ length: this.#options.events }, login);
      for (const { id } of events) this.open.add(id);
      while (!this.#isOver && !(await this.#post(events))) await sleep(AGAIN_MS);
      await sleep(this.#options.pauseMs);
    }
  }

  /** Gives whether they were taken. @throws {AssertionError} an answer that there must not be. */
  async #post(events: readonly { readonly id: string }[]): Promise<boolean> {
    const answer = await this.#ask("/app/v1/events", {
      method: "POST",
      headers: { authorization: `Bearer ${this.#site.made.tokens.writer}`, "content-type": "application/json" },
      body: JSON.stringify(events),
    });
    if (answer === undefined) return false;
    const { status, body, retryAfter } = answer;
    if (status === 200 || status === 201) {
      for (const [at, place] of (JSON.parse(body) as Place[]).entries()) this.#acknowledge(events[at]?.id ?? "", place);
      return true;
    }
    // Of node itself: the head of the request did not come in time.
    if (status === 408 && body === "") return false;
    const { code } = JSON.parse(body) as { code: string };
    assert.ok(AGAIN.has(code), `${status} ${body}; the server said: ${this.#site.said.slice(-2000)}`);
    assert.equal(status, 503);
    assert.ok(retryAfter >= 1, `${code} came without Retry-After`);
    this.refused.set(code, (this.refused.get(code) ?? 0) + 1);
    return false;
  }

  #acknowledge(id: string, { index, leafHash }: Place): void {
    const before = this.acknowledged.get(id);
    if (before !== undefined) assert.deepEqual({ index, leafHash }, before);
    this.acknowledged.set(id, { index, leafHash });
    this.open.delete(id);
  }

  /** Asks how the server is, and reads the newest head, as a load balancer, a monitor and a reader do. */
  async #probe(): Promise<void> {
    while (!this.#isOver) {
      const [ready, metrics, head] = await Promise.all(
        ["/readyz", "/metrics", "/app/checkpoint"].map(async (path) => this.#ask(path)),
      );
      if (ready !== undefined) this.readiness.push(ready.status);
      if (metrics !== undefined) this.metrics.push(metrics.status);
      if (head?.status === 200) this.heads.push(Number(head.body.split("\n")[1]));
      await sleep(PROBE_MS);
    }
  }

  /** `undefined` where nobody answers. */
  async #ask(
    path: string,
    init: RequestInit = {},
  ): Promise<{ readonly status: number; readonly body: string; readonly retryAfter: number } | undefined> {
    try {
      const response = await fetch(this.#site.origin + path, init);
      const { status, headers } = response;
      return { status, body: await response.text(), retryAfter: Number(headers.get("retry-after")) };
    } catch {
      return undefined;
    }
  }

  /**
   * Holds what they were told against the log as it is: each event at its index, none twice, heads that only grew. The
   * clients have ended, and the server runs.
   */
  async check(): Promise<{ readonly size: number }> {
    const { acknowledged, open, heads } = this;
    const { url, made, policy } = this.#site;
    for (const [at, size] of heads.entries()) assert.ok(size >= (heads[at - 1] ?? 0), `a head of ${size} came late`);
    const reader = createHttpLogReader({ url, token: made.tokens.auditor });
    const last = Math.max(-1, ...[...acknowledged.values()].map(({ index }) => index));
    await this.#untilPublished(last);
    const { verdict, findings, size } = await auditLog({ reader, policy });
    const whole = policy.quorum === "none" ? "LOG-ONLY" : "VERIFIED";
    assert.deepEqual({ verdict, findings }, { verdict: whole, findings: [] });
    const hashes: string[] = [];
    let [unsigned, loggedAt] = [0, 0];
    for (let index = 0; index * 256 < size; index += 1) {
      const width = Math.min(256, size - index * 256);
      for (const bytes of decodeEntryBundle(await reader.entryBundle({ index, width }), width)) {
        hashes.push(encodeBase64(hashLeaf(bytes)));
        const leaf = decodeLeaf(bytes);
        if (leaf.sequence === null) unsigned += 1;
        assert.ok(leaf.loggedAt >= loggedAt, `index ${hashes.length - 1} was logged before the one in front of it`);
        loggedAt = leaf.loggedAt;
      }
    }
    const places = [...acknowledged.values()].map(({ index }) => index);
    assert.equal(new Set(places).size, places.length, "two events have one index");
    for (const [id, { index, leafHash }] of acknowledged)
      assert.equal(hashes[index], leafHash, `${id} is not at its index ${index}`);
    assert.ok(unsigned >= acknowledged.size && unsigned <= acknowledged.size + open.size, "an event is there twice");
    return { size };
  }

  async #untilPublished(index: number): Promise<void> {
    const deadline = performance.now() + 60_000;
    while ((await this.#site.metric("tallystick_log_published_size")) <= index) {
      assert.ok(performance.now() < deadline, `nothing published covers index ${index}`);
      await sleep(20);
    }
  }
}

function login(): { readonly id: string } {
  const time = Date.now();
  const id = newEventId(time, new Uint8Array(randomBytes(16)));
  return Object.assign(
    { id },
    { time, type: "auth.login", outcome: "failure", actor: { type: "user", id: `u_${time % 50}` } },
  );
}
