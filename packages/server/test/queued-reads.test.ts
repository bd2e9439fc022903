import { expect, test } from "vitest";
import { rejectionCode } from "../../../test/support/errors.ts";
import { QueuedReads } from "../src/queued-reads.ts";
import { LOG, TestServer, login } from "./test-server.ts";

test("a few are done at a time, the others in their order, whether those before them fail or not", async () => {
  const reads = new QueuedReads();
  const [begun, ended]: [number[], PromiseWithResolvers<void>[]] = [[], []];
  const all = Array.from({ length: 10 }, async (_, at) => {
    const end = Promise.withResolvers<void>();
    ended.push(end);
    return reads.with(async () => {
      begun.push(at);
      await end.promise;
    });
  });
  const outcomes = Promise.allSettled(all);
  await new Promise((resolve) => setImmediate(resolve));
  const atOnce = begun.length;
  expect(atOnce).toBeGreaterThan(0);
  expect(atOnce).toBeLessThan(10);
  for (const [at, end] of ended.entries()) {
    if (at % 2 === 0) end.resolve();
    else end.reject(new Error("gone"));
    for (let turns = 0; turns < 2; turns += 1) await new Promise((resolve) => setImmediate(resolve));
    expect(begun.length).toBe(Math.min(10, atOnce + at + 1));
  }
  expect(begun).toEqual(ended.map((_, at) => at));
  expect((await outcomes).filter(({ status }) => status === "rejected").length).toBe(5);
});

test("C-148 when too many wait the next is refused with 503 and Retry-After, and writers notice nothing", async () => {
  const server = await TestServer.start({ witnesses: 0 });
  await server.fill(1);
  const { promise: held, resolve: release } = Promise.withResolvers<void>();
  Object.assign(server.log, {
    checkpoints: async () => {
      await held;
      return [];
    },
  });
  const waiting = Array.from({ length: 2100 }, async () => server.ask(`/${LOG}/v1/checkpoints`));
  const refused = await Promise.race(waiting);
  expect([refused.status, refused.json()["code"]]).toEqual([503, "log-overloaded"]);
  expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
  expect((await server.post(login())).status).toBe(201);
  expect((await server.ask("/readyz")).status).toBe(200);
  release();
  const statuses = (await Promise.all(waiting)).map(({ status }) => status);
  expect(statuses.filter((status) => status === 200).length).toBeGreaterThan(2000);
  expect(new Set(statuses)).toEqual(new Set([200, 503]));
});

test("what is refused leaves no place taken", async () => {
  const reads = new QueuedReads();
  for (let count = 0; count < 100; count += 1)
    expect(await rejectionCode(reads.with(async () => Promise.reject(new TypeError("no"))))).toBe("TypeError");
  expect(await reads.with(async () => 7)).toBe(7);
});

test("those that wait do not keep out what is not a read, though all that they read is in memory", async () => {
  const reads = new QueuedReads();
  const all = Promise.all(Array.from({ length: 400 }, async () => reads.with(async () => undefined)));
  let turns = 0;
  const count = (): void => {
    turns += 1;
    turn = setImmediate(count);
  };
  let turn = setImmediate(count);
  await all;
  clearImmediate(turn);
  expect(turns).toBeGreaterThan(50);
});
