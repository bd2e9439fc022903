import { describe, expect, test } from "vitest";
import { TestLog, requestBody } from "./test-log.ts";
import { TestWitness } from "./test-witness.ts";

const COUNT = 100;

describe("concurrent requests", () => {
  test("C-144 of 100 from one old size to different sizes one succeeds, and the others learn its size", async () => {
    const log = new TestLog({ size: COUNT + 10 });
    const witness = await TestWitness.start([log]);
    await witness.add(log.request(0, 5));
    const sizes = Array.from({ length: COUNT }, (_, index) => 6 + ((index * 37) % COUNT));
    const replies = await Promise.all(sizes.map((size) => witness.add(log.request(5, size))));
    const won = replies.flatMap(({ status }, index) => (status === 200 ? [sizes[index]] : []));
    expect(won).toHaveLength(1);
    expect(witness.sizeOf(log)).toBe(BigInt(won[0] ?? 0));
    const lost = replies.filter(({ status }) => status !== 200).map(({ status, body }) => ({ status, body }));
    expect(lost).toEqual(
      Array.from({ length: COUNT - 1 }, () => ({
        status: 409,
        body: `${won[0]}
`,
      })),
    );
  });

  test("C-144 requests that go on from what they learn succeed in one line, and the size never goes down", async () => {
    const log = new TestLog({ size: 60 });
    const witness = await TestWitness.start([log]);
    const cosigned: number[] = [];
    const client = async (step: number): Promise<void> => {
      for (let from = 0, size = step; size <= 60;) {
        const reply = await witness.add(log.request(from, Math.max(size, from)));
        if (reply.status === 200) {
          cosigned.push(Math.max(size, from));
          from = Math.max(size, from);
          size = from + step;
        } else from = Number(reply.body);
      }
    };
    await Promise.all([1, 2, 3, 5, 7].map(client));
    expect(cosigned).toEqual(cosigned.toSorted((a, b) => a - b));
    expect(witness.sizeOf(log)).toBe(BigInt(cosigned.at(-1) ?? 0));
  });

  test("C-144 the race of the specification: N and N+K are both checked before either is stored", async () => {
    const log = new TestLog({ size: 20 });
    for (const [a, b] of [
      [10, 15],
      [15, 10],
    ] as const) {
      const witness = await TestWitness.start([log]);
      await witness.add(log.request(0, 5));
      const [first, second] = await Promise.all([witness.add(log.request(5, a)), witness.add(log.request(5, b))]);
      expect(new Set([first.status, second.status])).toEqual(new Set([200, 409]));
      const kept = first.status === 200 ? a : b;
      expect(witness.sizeOf(log)).toBe(BigInt(kept));
      expect((await witness.latest(log)).body).toContain(log.checkpoint(kept));
    }
  });

  test("C-145 the same request twice ends in one 200 and a 409, and two forks in one root", async () => {
    const log = new TestLog();
    const fork = new TestLog({ salt: "fork" });
    const witness = await TestWitness.start([log]);
    const twice = await Promise.all([witness.add(log.request(0, 5)), witness.add(log.request(0, 5))]);
    expect(new Set(twice.map(({ status }) => status))).toEqual(new Set([200, 409]));
    const same = await Promise.all([witness.add(log.request(5, 5)), witness.add(log.request(5, 5))]);
    expect(same.map(({ status }) => status)).toEqual([200, 200]);

    const fresh = await TestWitness.start([log]);
    const forked = await Promise.all([fresh.add(fork.request(0, 5)), fresh.add(log.request(0, 5))]);
    expect(new Set(forked.map(({ status }) => status))).toEqual(new Set([200, 409]));
  });
});

describe("overload", () => {
  test("C-148 turns away with 429 and Retry-After what waits behind too many requests of its log, and serves the others", async () => {
    const [log, other] = [new TestLog(), new TestLog({ origin: "log.example/b" })];
    const witness = await TestWitness.start([log, other], { waitingPerLogMax: 3 });
    const replies = await Promise.all(
      Array.from({ length: 10 }, () => witness.add(log.request(0, 5))).concat(witness.add(other.request(0, 5))),
    );
    const last = replies.pop();
    expect(last?.status).toBe(200);
    const refused = replies.filter(({ status }) => status === 429);
    expect(refused).toHaveLength(7);
    for (const { headers } of refused) expect(headers.get("retry-after")).toMatch(/^[1-4]$/);
    expect((await witness.add(log.request(5, 8))).status).toBe(200);
  });

  test("C-148 turns away with 503 and Retry-After when too many requests are under way", async () => {
    const log = new TestLog();
    const witness = await TestWitness.start([log], { requestsMax: 4 });
    const replies = await Promise.all(Array.from({ length: 10 }, () => witness.add(log.request(0, 5))));
    const refused = replies.filter(({ status }) => status === 503);
    expect(refused).toHaveLength(6);
    for (const { headers } of refused) expect(headers.get("retry-after")).toMatch(/^[1-4]$/);
    expect((await witness.add(log.request(5, 8))).status).toBe(200);
  });

  test("C-148 answers 413 to a body above the cap, announced or not, without reading the rest", async () => {
    const log = new TestLog();
    const witness = await TestWitness.start([log]);
    expect((await witness.add(new Uint8Array(131_073))).status).toBe(413);
    let pulled = 0;
    const body = new ReadableStream({
      pull(controller) {
        pulled += 1;
        controller.enqueue(new Uint8Array(16_384));
      },
    });
    const reply = await witness.request("/add-checkpoint", { method: "POST", body, duplex: "half" });
    expect(reply.status).toBe(413);
    expect(pulled).toBeLessThan(12);
  });

  test("C-148 C-29 takes a checkpoint with 16 post-quantum signature lines", async () => {
    const log = new TestLog();
    const witness = await TestWitness.start([log]);
    const line = (name: string): string => `— ${name} ${Buffer.alloc(2432, 7).toString("base64")}\n`;
    const lines = Array.from({ length: 16 }, (_, index) => line(`witness-${index}.example`)).join("");
    expect((await witness.add(requestBody({ old: 0, checkpoint: log.checkpoint(5) + lines }))).status).toBe(200);
  });
});
