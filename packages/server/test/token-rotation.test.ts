/** A token is replaced by another of the same rights, both are good for a while, and the log notes every change. */
import { join } from "node:path";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { rejectionCode } from "../../../test/support/errors.ts";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";
import {
  type ServedLogs,
  Tokens,
  createToken,
  initServer,
  layoutOf,
  listTokens,
  revokeToken,
  rotateToken,
  serveLogs,
} from "../src/index.ts";
import { TokenReport } from "../src/token-report.ts";

const HOUR_MS = 3_600_000;
const NOW = Date.UTC(2026, 0, 5);

describe("rotateToken", () => {
  test("gives a token of the same log, role and scope; the old one is good until the overlap is over", async () => {
    const path = join(temporaryFolder(), "tokens.json");
    const old = await createToken(path, { log: "app", role: "reader", subject: "user:u_81", now: NOW });
    await createToken(path, { log: "app", role: "writer", now: NOW });
    const made = await rotateToken(path, { id: old.id, overlapMs: 24 * HOUR_MS, now: NOW + HOUR_MS });
    expect(made).toMatchObject({ replaces: old.id, expiresAt: "2026-01-06T01:00:00.000Z" });
    expect(made.id).toMatch(/^reader-[0-9a-f]{8}$/);
    let now = NOW + 25 * HOUR_MS - 1;
    const tokens = await Tokens.read(path, () => now);
    for (const { id, token } of [old, made]) {
      const found = tokens.find(token);
      expect(found).toMatchObject({ id, role: "reader", log: "app" });
      expect([found?.scope?.subject?.is("user:u_81"), found?.scope?.subject?.is("user:u_82")]).toEqual([true, false]);
    }
    expect(tokens.valid("app")).toHaveLength(3);
    now += 1;
    expect([tokens.find(old.token), tokens.find(made.token)?.id]).toEqual([undefined, made.id]);
    expect(tokens.valid("app").map(({ id }) => id)).not.toContain(old.id);
    expect((await listTokens(path)).map(({ id, expiresAt }) => [id === old.id, expiresAt])).toEqual([
      [true, "2026-01-06T01:00:00.000Z"],
      [false, undefined],
      [false, undefined],
    ]);
  });

  test("does not put off an end that is there, and can end the old one at once", async () => {
    const path = join(temporaryFolder(), "tokens.json");
    const first = await createToken(path, { log: "app", role: "writer", now: NOW });
    await rotateToken(path, { id: first.id, overlapMs: HOUR_MS, now: NOW });
    const { expiresAt } = await rotateToken(path, { id: first.id, overlapMs: 5 * HOUR_MS, now: NOW });
    expect(expiresAt).toBe("2026-01-05T01:00:00.000Z");
    const second = await createToken(path, { log: "app", role: "writer", now: NOW });
    const third = await rotateToken(path, { id: second.id, overlapMs: 0, now: NOW });
    const tokens = await Tokens.read(path, () => NOW);
    expect([tokens.find(second.token), tokens.find(third.token)?.id]).toEqual([undefined, third.id]);
  });

  test("refuses an id that is not there, and overlaps that are none", async () => {
    const path = join(temporaryFolder(), "tokens.json");
    const { id } = await createToken(path, { log: "app", role: "writer" });
    expect(await rejectionCode(rotateToken(path, { id: "writer-00000000", overlapMs: 0 }))).toBe("token-unknown");
    for (const overlapMs of [-1, 0.5, Number.NaN, 91 * 24 * HOUR_MS])
      await expect(rotateToken(path, { id, overlapMs })).rejects.toThrow(RangeError);
  });
});

interface Read {
  readonly event: { readonly type: string; readonly context?: Readonly<Record<string, unknown>> };
}

describe("a server", () => {
  /** What its log notes of keys. */
  async function noted(served: ServedLogs): Promise<unknown[]> {
    const log = served.logs[0]?.log;
    if (log === undefined) throw new Error("expected a log that is open");
    const size = log.size();
    const contexts: unknown[] = [];
    for (let index = 0; index < size; index += 1) {
      const { event } = (await log.readEvent({ index, reader: "test" })) as Read;
      if (event.type === "log.key") contexts.push(event.context);
    }
    return contexts;
  }

  async function serve(dir: string): Promise<ServedLogs> {
    const served = await serveLogs({ dir });
    onTestFinished(async () => served.close());
    await vi.waitFor(async () => expect((await fetch(`${served.url}/readyz`)).status).toBe(200), { timeout: 20_000 });
    return served;
  }

  test("notes tokens that are made, replaced and revoked, while it runs and while it does not", async () => {
    const dir = temporaryFolder();
    await initServer({ dir, name: "app", origin: "log.example/app", port: 0 });
    const { tokens } = layoutOf(dir);
    const first = await serve(dir);
    await vi.waitFor(async () => expect(first.logs[0]?.log?.size()).toBe(0));
    const made = await createToken(tokens, { log: "app", role: "auditor" });
    const created = { change: "token-created", credential: made.id, role: "auditor" };
    await vi.waitFor(async () => expect(await noted(first)).toEqual([created]), { timeout: 20_000 });
    await first.close();
    const { id, expiresAt } = await rotateToken(tokens, { id: made.id, overlapMs: HOUR_MS });
    const second = await serve(dir);
    const rotated = [
      created,
      { change: "token-changed", credential: made.id, role: "auditor", expiresAt },
      { change: "token-created", credential: id, role: "auditor" },
    ];
    await vi.waitFor(async () => expect(await noted(second)).toEqual(rotated), { timeout: 20_000 });
    await revokeToken(tokens, made.id);
    const revoked = { change: "token-revoked", credential: made.id, role: "auditor", expiresAt };
    await vi.waitFor(async () => expect(await noted(second)).toEqual([...rotated, revoked]), { timeout: 20_000 });
  });

  test("notes that a token has ended by itself", async () => {
    const dir = temporaryFolder();
    await initServer({ dir, name: "app", origin: "log.example/app", port: 0 });
    const served = await serve(dir);
    const { tokens: path } = layoutOf(dir);
    const made = await createToken(path, { log: "app", role: "writer", now: NOW });
    await rotateToken(path, { id: made.id, overlapMs: HOUR_MS, now: NOW });
    let now = NOW;
    const report = new TokenReport({
      tokens: await Tokens.read(path, () => now),
      logs: served.logs,
      intervalMs: 5,
      onTrouble: (error) => {
        throw error;
      },
    });
    onTestFinished(async () => report.close());
    now += HOUR_MS;
    const ended = { change: "token-revoked", credential: made.id };
    await vi.waitFor(async () => expect((await noted(served)).at(-1)).toMatchObject(ended), { timeout: 20_000 });
  });

  test("is not told of a storage that was closed before its log, when it ends itself", async () => {
    const dir = temporaryFolder();
    await initServer({ dir, name: "app", origin: "log.example/app", port: 0 });
    const served = await serve(dir);
    await served.close();
    const codes: unknown[] = [];
    const tokens = await Tokens.read(layoutOf(dir).tokens);
    const report = (): TokenReport =>
      new TokenReport({
        tokens,
        logs: served.logs,
        onTrouble: (error) => codes.push((error as { code?: unknown }).code),
      });
    const ending = report();
    await ending.close();
    expect(codes).toEqual([]);
    const goingOn = report();
    onTestFinished(async () => goingOn.close());
    await vi.waitFor(() => expect(codes).toEqual(["storage-unavailable"]), { timeout: 20_000 });
  });
});
