/** What can be too much for a server, each for as long as one likes: some seconds in `npm test`, minutes by name. */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { Crowd, type CrowdOrder } from "./crowd.ts";
import { GoodClients, type GoodClientsOptions } from "./good-clients.ts";
import { OverloadSite, type Readiness, type SiteOptions } from "./site.ts";
import { BAD_KINDS, Witnesses } from "./witnesses.ts";

/** What a server may take beyond what it takes without any load, in MiB, where the limits of a scenario are small. */
const MEMORY_MIB = 300;

export interface Result {
  readonly acknowledged: number;
  readonly size: number;
  readonly refused: Readonly<Record<string, number>>;
  /** In MiB, of the server's process. */
  readonly memory: { readonly atRest: number; readonly peak: number };
}

interface RunOptions extends SiteOptions {
  readonly clients?: GoodClientsOptions;
  readonly memoryMib?: number;
  readonly witnessed?: Witnesses;
}

/** Runs a server and good clients, and whatever is done to them; then ends both, starts again and checks. */
async function run(
  options: RunOptions,
  act: (site: OverloadSite, clients: GoodClients) => Promise<void>,
): Promise<Result> {
  const site = await OverloadSite.create(options);
  try {
    await options.witnessed?.know(site.made);
    await site.start();
    const atRest = site.memory().now;
    const clients = new GoodClients(site, options.clients);
    await clients.progress(20);
    await act(site, clients);
    const { peak } = site.memory();
    await clients.end();
    // Something was seen all the time.
    for (const seen of [clients.readiness, clients.metrics, clients.heads]) assert.ok(seen.length > 0);
    for (const status of clients.metrics) assert.equal(status, 200);
    const { memoryMib = MEMORY_MIB } = options;
    assert.ok(peak - atRest < memoryMib, `from ${Math.round(atRest)} to ${Math.round(peak)} MiB`);
    assert.equal(await site.stop(), 0, site.said);
    await site.start();
    const { size } = await clients.check();
    const memory = { atRest: Math.round(atRest), peak: Math.round(peak) };
    return { acknowledged: clients.acknowledged.size, size, refused: Object.fromEntries(clients.refused), memory };
  } finally {
    await site.close();
  }
}

/** A crowd for as long as something takes. */
async function withCrowd<T>(order: CrowdOrder, act: (crowd: Crowd) => Promise<T>): Promise<T> {
  const crowd = new Crowd(order);
  try {
    return await act(crowd);
  } finally {
    await crowd.end();
  }
}

/** Goes on for so long, and until the good clients have come forward since. */
async function lasts(seconds: number, clients: GoodClients, count = 50): Promise<void> {
  const target = clients.acknowledged.size + count;
  await sleep(seconds * 1000);
  await clients.until(() => clients.acknowledged.size >= target);
}

export interface Lasting {
  readonly seconds: number;
}

/**
 * Ten thousand connections: most ask once and stay, the others say nothing, or begin a request and never end it. Those are
 * cut after ten seconds, and come again.
 */
export async function manyConnections({ seconds, count }: Lasting & { readonly count: number }): Promise<Result> {
  // Ten thousand times what a connection takes: some 20 kB.
  return run({ memoryMib: MEMORY_MIB + 400 }, async (site, clients) => {
    const { port } = site;
    await withCrowd({ port, count: Math.ceil(count * 0.9), kind: "kept" }, async () => {
      await site.untilOpen(count * 0.9);
      await withCrowd({ port, count: Math.ceil(count * 0.1), kind: "idle" }, async () =>
        withCrowd({ port, count: Math.ceil(count * 0.1), kind: "half-open" }, async () => {
          await site.untilOpen(count);
          await lasts(seconds, clients);
        }),
      );
    });
    for (const status of clients.readiness) assert.equal(status, 200);
  });
}

/** More connections than are allowed: some ask once and keep theirs, some say nothing. */
export async function tooManyConnections({ seconds }: Lasting): Promise<Result> {
  return run({ server: { connectionsMax: 60, bodyTimeoutMs: 1500 } }, async (site, clients) => {
    const { port } = site;
    await withCrowd({ port, count: 200, kind: "kept" }, async (kept) =>
      withCrowd({ port, count: 20, kind: "idle" }, async (idle) => {
        // Idle ones gave way, and silent ones were cut at their time: others came in their place, the good ones too.
        await kept.until(({ closed }) => closed > 60);
        await idle.until(({ closed }) => closed > 20);
        await lasts(seconds, clients);
        assert.ok(site.openFiles() < 60 + 60, `the server has ${site.openFiles()} files open`);
        assert.match(site.said, /turned away/);
      }),
    );
  });
}

const TAILS = 4;

/** Answers that nobody reads: heads, tiles, pages of heads, tails, one after the other on one connection. */
export async function slowReaders({ seconds }: Lasting): Promise<Result> {
  const server = { answersBytesMax: 8_388_608, stallTimeoutMs: 1500 };
  const log = { publishIntervalMs: 20 };
  return run({ server, log, memoryMib: MEMORY_MIB + 150 }, async (site, clients) => {
    const { port } = site;
    const token = site.made.tokens.auditor;
    // Pages of heads are the largest answers that anybody may ask for: they have to be there first.
    await site.untilMetric("tallystick_log_heads_total", (heads) => heads > 80);
    const page = { port, count: 10, kind: "unread", path: "/app/v1/checkpoints?limit=1000", ahead: 12 } as const;
    const tiles = { port, count: 100, kind: "unread", path: "/app/tile/0/000", ahead: 4 } as const;
    const tails = { port, count: TAILS, kind: "unread", path: "/app/v1/tail?from=0", token } as const;
    // More than the system takes of a tail that nobody reads: the rest stays on the disk until it is asked for.
    await clients.reportLarge(500);
    await withCrowd(page, async () =>
      withCrowd(tiles, async () =>
        withCrowd(tails, async () => {
          await lasts(seconds, clients);
          // By what waits for them, or by what they asked for beyond it.
          await site.untilSaid(/do not take their answers|too many requests ahead/);
        }),
      ),
    );
    // None of them counts as a tail any more.
    await site.untilTail(token);
  });
}

/** Bodies that come a byte a second. */
export async function slowWriters({ seconds }: Lasting): Promise<Result> {
  return run({ server: { bodyTimeoutMs: 1000, rateLimit: { burst: 100_000 } } }, async (site, clients) => {
    const { port } = site;
    const token = site.made.tokens.writer;
    await withCrowd({ port, count: 500, kind: "slow-body", path: "/app/v1/events", token }, async (slow) => {
      await slow.until(({ open }) => open === 500);
      // Each was told so, and cut.
      await slow.until(({ closed, bytes }) => closed > 500 && bytes > 500 * 100);
      await lasts(seconds, clients);
    });
    for (const status of clients.readiness) assert.equal(status, 200);
  });
}

/** A disk so slow that the queue is full all the time. */
export async function fullQueue({ seconds }: Lasting): Promise<Result> {
  const options = { log: { queueEntriesMax: 64 }, clients: { writers: 40, events: 8, pauseMs: 0 } };
  return run(options, async (site, clients) => {
    site.change({ diskMs: 150 });
    await clients.until(() => (clients.refused.get("log-overloaded") ?? 0) > 20);
    await lasts(seconds, clients);
    assert.ok((await site.metric("tallystick_log_queued_entries")) <= 64);
    assert.ok((await site.metric("tallystick_log_overloaded_total")) > 20);
    for (const status of clients.readiness) assert.equal(status, 200);
  });
}

/** SIGTERM while the disk is slow, the queue is full, and tails, waits and bodies are under way. */
export async function stopUnderLoad({ seconds }: Lasting): Promise<Result> {
  const options = {
    server: { graceMs: 2000 },
    log: { queueEntriesMax: 500 },
    clients: { writers: 60, events: 4, pauseMs: 0 },
  };
  return run(options, async (site, clients) => {
    const { port } = site;
    const { auditor, writer } = site.made.tokens;
    await withCrowd({ port, count: 10, kind: "unread", path: "/app/v1/tail?from=0", token: auditor }, async () =>
      withCrowd({ port, count: 50, kind: "slow-body", path: "/app/v1/events", token: writer }, async (slow) => {
        await slow.until(({ open }) => open === 50);
        for (const endsAt = performance.now() + seconds * 1000; ;) {
          site.change({ diskMs: 100 });
          await clients.progress(50);
          const began = performance.now();
          assert.equal(await site.stop(), 0, site.said);
          // The grace time, a commit, and what a busy machine takes.
          assert.ok(performance.now() - began < 2000 + 15_000, "it did not end in its time");
          site.change({});
          await site.start();
          await clients.progress(50);
          if (performance.now() > endsAt) break;
        }
      }),
    );
  });
}

/** Witnesses that never answer, drip, never end, talk nonsense, or hang up; the others are enough. */
export async function badWitnesses({ seconds }: Lasting): Promise<Result> {
  // As many as the bad ones could not outvote: at its start a log waits for one of each quorum that there may be.
  const good = BAD_KINDS.length + 1;
  // What a good one takes on a busy machine.
  const log = { witnessTimeoutMs: 1500 };
  return withWitnesses({ good, bad: BAD_KINDS }, { quorum: good, log }, async (site, clients) => {
    const published = await site.metric("tallystick_log_published_size");
    await lasts(seconds, clients);
    await clients.until(() => (clients.heads.at(-1) ?? 0) > published + 50);
    await site.untilStatus(({ witnesses }) =>
      witnesses.every(
        ({ name, state, lastError }) => !name.startsWith("bad-") || (state !== "ok" && lastError !== undefined),
      ),
    );
    for (const status of clients.readiness) assert.equal(status, 200);
  });
}

/** A clock that jumps ahead by ten minutes, and is put back by an hour, under load. */
export async function jumpingClock({ seconds }: Lasting): Promise<Result> {
  return withWitnesses({ good: 3 }, { log: { headIntervalMs: 200 } }, async (site, clients) => {
    for (const endsAt = performance.now() + seconds * 1000; ;) {
      site.change({ clockMs: 600_000 });
      const { logs } = await site.untilReadiness(({ ready }) => !ready);
      assert.deepEqual(codesOf(logs), ["clock-jumped"]);
      const refused = clients.refused.get("clock-jumped") ?? 0;
      await clients.until(() => (clients.refused.get("clock-jumped") ?? 0) > refused);
      site.change({});
      await site.untilReadiness(({ ready }) => ready);
      await clients.progress(50);
      site.change({ clockMs: -3_600_000 });
      const behind = await site.untilReadiness(({ logs: [log] }) => log?.state === "degraded");
      assert.deepEqual(codesOf(behind.logs), ["clock-behind"]);
      // It goes on: logged-at waits for the clock.
      await clients.progress(50);
      site.change({});
      await site.untilReadiness(({ logs: [log] }) => log?.state === "ok");
      await clients.progress(50);
      if (performance.now() > endsAt) return;
    }
  });
}

const codesOf = (logs: Readiness["logs"]): readonly string[] =>
  logs.flatMap(({ reasons }) => reasons.map(({ code }) => code));

async function withWitnesses(
  kinds: Parameters<typeof Witnesses.start>[0],
  options: RunOptions,
  act: Parameters<typeof run>[1],
): Promise<Result> {
  const witnessed = await Witnesses.start(kinds);
  try {
    return await run({ ...options, witnessed, witnesses: witnessed.configured }, act);
  } finally {
    await witnessed.close();
  }
}
