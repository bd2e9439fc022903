/** The load generator of the benchmarks: what it sends is new and valid, and it counts what was answered. */
import { type IncomingMessage, type ServerResponse, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { randomBytes } from "node:crypto";
import { type TallyEvent, parseEvent, parseJson, verifyBatch } from "@tallystick/events";
import { describe, expect, onTestFinished, test } from "vitest";
import { AnswerScanner } from "../../bench/load/answer-scanner.ts";
import { JsonBody } from "../../bench/load/json-events.ts";
import { Latencies, median } from "../../bench/load/latencies.ts";
import { Load, type LoadPlan } from "../../bench/load/load.ts";
import { BatchStream } from "../../bench/load/signed-batches.ts";
import type { Target } from "../../bench/load/target.ts";

describe("latencies", () => {
  test("gives the smallest value that the share does not exceed, whatever the order", () => {
    const latencies = new Latencies();
    for (let value = 100; value >= 1; value -= 1) latencies.add(value);
    expect(latencies.summary()).toEqual({ count: 100, p50: 50, p90: 90, p99: 99, max: 100 });
    for (const [share, value] of [
      [0, 1],
      [0.01, 1],
      [0.011, 2],
      [0.07, 7],
      [0.29, 29],
      [0.57, 57],
      [1, 100],
    ] as const)
      expect(latencies.percentile(share)).toBe(value);
  });

  test("gives the only value for every share, and 0 for none", () => {
    const latencies = new Latencies();
    expect(latencies.summary()).toEqual({ count: 0, p50: 0, p90: 0, p99: 0, max: 0 });
    latencies.add(3);
    expect(latencies.summary()).toEqual({ count: 1, p50: 3, p90: 3, p99: 3, max: 3 });
  });

  test("keeps all of more values than it has room for at first, also after it was asked", () => {
    const latencies = new Latencies();
    for (let value = 0; value < 200_000; value += 1) latencies.add((value * 7919) % 200_000);
    expect(latencies.percentile(0.5)).toBe(99_999);
    latencies.add(-1);
    expect(latencies.percentile(0)).toBe(-1);
    expect(latencies.summary()).toMatchObject({ count: 200_001, max: 199_999 });
  });

  test("refuses a share above 1", () => {
    expect(() => new Latencies().percentile(99)).toThrow(RangeError);
  });

  test("gives the middle of a few figures", () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 2, 3])).toBe(2.5);
    expect(() => median([])).toThrow(RangeError);
  });
});

describe("the answer scanner", () => {
  const ANSWERS = [
    "HTTP/1.1 201 Created\r\nDate: now\r\nContent-Length: 12\r\nx-content-length: 99\r\n\r\nab\r\n\r\ncdefgh",
    "HTTP/1.1 204 No Content\r\ncontent-length:0\r\n\r\n",
    "HTTP/1.1 503 Busy\r\nCONTENT-LENGTH: 1\r\n\r\nx",
  ].map((text) => Buffer.from(text, "latin1"));

  test("finds the end of each answer, wherever its bytes are parted", () => {
    for (const answer of ANSWERS) {
      for (let cut = 0; cut <= answer.length; cut += 1) {
        const scanner = new AnswerScanner();
        const ends = [
          scanner.take(answer, 0, cut),
          cut < answer.length ? scanner.take(answer, cut, answer.length) : -1,
        ];
        expect(ends).toEqual(cut < answer.length ? [-1, answer.length] : [answer.length, -1]);
        expect(scanner.status).toBe(Number(answer.toString("latin1", 9, 12)));
      }
    }
  });

  test("reads one answer after the other, byte by byte", () => {
    const scanner = new AnswerScanner();
    const all = Buffer.concat([...ANSWERS, ...ANSWERS]);
    const statuses: number[] = [];
    for (let at = 0; at < all.length; at += 1) {
      if (scanner.take(all, at, at + 1) === at + 1) statuses.push(scanner.status);
    }
    expect(statuses).toEqual([201, 204, 503, 201, 204, 503]);
  });

  test("says where the first of two answers ends", () => {
    const [first = Buffer.alloc(0), second = Buffer.alloc(0)] = ANSWERS;
    const both = Buffer.concat([first, second]);
    expect(new AnswerScanner().take(both, 0, both.length)).toBe(first.length);
  });

  test("refuses an answer that does not say how long it is", () => {
    const chunked = Buffer.from("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", "latin1");
    expect(() => new AnswerScanner().take(chunked, 0, chunked.length)).toThrow("how long it is");
  });
});

describe("the events that are sent", () => {
  test("are valid, and no two have one id", () => {
    const ids = new Set<string>();
    for (const eventsPerRequest of [1, 100]) {
      const body = new JsonBody(eventsPerRequest);
      const request = Buffer.concat([Buffer.alloc(7), body.bytes]);
      for (let round = 0; round < 20; round += 1) {
        body.renew(request, 7);
        for (const event of eventsIn(request.toString("utf8", 7))) {
          expect(Math.abs(event.time - Date.now())).toBeLessThan(60_000);
          expect(Number.parseInt(event.id.replaceAll("-", "").slice(0, 12), 16)).toBe(event.time);
          ids.add(event.id);
        }
      }
    }
    expect(ids.size).toBe(20 + 2000);
  });

  test("are batches of one stream without a gap, signed", () => {
    const origin = "bench.example/app";
    const stream = new BatchStream({ origin, seed: new Uint8Array(randomBytes(32)) });
    const batches = [3, 1, 100].map((count) => verifyBatch({ origin, batch: stream.next(count) }));
    expect(batches.map(({ batch }) => [batch.first, batch.entries.length])).toEqual([
      [1, 3],
      [4, 1],
      [5, 100],
    ]);
    expect(new Set(batches.map(({ stream }) => Buffer.from(stream).toString("hex"))).size).toBe(1);
    const events = batches.flatMap(({ events }) => events);
    expect(new Set(events.map(({ id }) => id)).size).toBe(104);
    for (const { id } of events)
      expect(Math.abs(Number.parseInt(id.replaceAll("-", "").slice(0, 12), 16) - Date.now())).toBeLessThan(60_000);
    expect(new Set(events.slice(1).map(({ type }) => type))).toEqual(new Set(["auth.login"]));
  });
});

function eventsIn(text: string): TallyEvent[] {
  const value = parseJson(text);
  return (Array.isArray(value) ? value : [value]).map(parseEvent);
}

describe("a load", () => {
  test("counts what a server took, and no more than it was to send", async () => {
    const server = await startServer((_, response) => accept(response));
    const report = await run(server, { connections: 3, requestsMax: 50, events: 4 });
    expect(report).toMatchObject({ requests: 50, events: 200, acknowledged: 200, statuses: { 201: 50 } });
    expect(report.latencyMs.count).toBe(50);
    expect(server.bodies.flatMap(eventsIn)).toHaveLength(200);
  });

  test("ends with the clock, and counts every answer as acknowledged", async () => {
    const server = await startServer((_, response) => accept(response));
    const report = await run(server, { connections: 2, seconds: 0.3 });
    expect(report.acknowledged).toBe(server.bodies.length);
    expect(report.requests).toBeLessThanOrEqual(report.acknowledged);
  });

  test("of a rate sends what is due, also while a server answers nothing, and takes that time into its latencies", async () => {
    const held: ServerResponse[] = [];
    let isStalled = true;
    const goOn = (): void => {
      isStalled = false;
      held.forEach(accept);
    };
    const server = await startServer((_, response) => {
      if (!isStalled) return accept(response);
      if (held.push(response) === 1) setTimeout(goOn, 400);
    });
    const report = await run(server, { connections: 2, seconds: 0.5, ratePerSecond: 200 });
    // The clock may end between two of them.
    expect([99, 100, 101]).toContain(report.requests);
    expect(server.bodies).toHaveLength(report.acknowledged);
    // Two were under way; what was due meanwhile waited for them, on average for half of the stall.
    expect(report.latencyMs.p50).toBeGreaterThan(100);
  });

  test("fails with the server's words where it refuses", async () => {
    const server = await startServer((_, response) => answer(response, 503, "come again"));
    await expect(run(server, { connections: 2, requestsMax: 5 })).rejects.toThrow(/answered 503: [^]*come again/);
  });

  test("fails where the server ends a connection", async () => {
    const server = await startServer((request) => request.socket.destroy());
    await expect(run(server, { connections: 1, requestsMax: 5 })).rejects.toThrow(/ended a connection|ECONNRESET/);
  });
});

interface SmallServer {
  readonly target: Target;
  readonly bodies: string[];
}

function accept(response: ServerResponse): void {
  answer(response, 201, "{}");
}

/** With a Content-Length, which writeHead() would leave out. */
function answer(response: ServerResponse, status: number, body: string): void {
  response.statusCode = status;
  response.end(body);
}

async function startServer(handle: (request: IncomingMessage, response: ServerResponse) => void): Promise<SmallServer> {
  const bodies: string[] = [];
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (part: Buffer) => (body += part.toString()));
    request.on("end", () => {
      bodies.push(body);
      handle(request, response);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { bodies, target: { host: "127.0.0.1", port, method: "POST", path: "/", headers: {} } };
}

async function run(
  { target }: SmallServer,
  plan: Partial<LoadPlan> & { readonly events?: number },
): Promise<Awaited<ReturnType<Load["run"]>>> {
  const load = await Load.prepare({
    requests: { kind: "json", target, eventsPerRequest: plan.events ?? 1 },
    connections: 1,
    seconds: 10,
    warmupSeconds: 0,
    expectedStatuses: [201],
    ...plan,
  });
  return load.run();
}
