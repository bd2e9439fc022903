import { Agent, request as httpRequest } from "node:http";
import { connect } from "node:net";
import { once } from "node:events";
import { setTimeout } from "node:timers/promises";
import { describe, expect, onTestFinished, test } from "vitest";
import { rejectionCode } from "../../../test/support/errors.ts";
import { type ServeWitnessOptions, type ServedWitness, addLog, openWitness, serveWitness } from "../src/index.ts";
import { TestLog } from "./test-log.ts";
import { witnessFolder } from "./test-witness.ts";

async function serve(options: ServeWitnessOptions): Promise<ServedWitness> {
  const served = await serveWitness(options);
  onTestFinished(() => served.close());
  return served;
}

function submit(url: string, body: Uint8Array): Promise<Response> {
  return fetch(`${url}/add-checkpoint`, { method: "POST", body: new Uint8Array(body) });
}

describe("serveWitness", () => {
  test("answers over a real connection, with exact types", async () => {
    const log = new TestLog();
    const { url } = await serve({ dir: await witnessFolder([log]) });
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    const cosigned = await submit(url, log.request(0, 5));
    expect([cosigned.status, cosigned.headers.get("content-type")]).toEqual([200, "text/plain; charset=utf-8"]);
    const lines = await cosigned.text();
    const conflict = await submit(url, log.request(0, 5));
    expect([conflict.status, conflict.headers.get("content-type"), await conflict.text()]).toEqual([
      409,
      "text/x.tlog.size",
      "5\n",
    ]);
    const latest = await fetch(`${url}/${log.hash}/checkpoint`);
    expect(await latest.text()).toBe(log.checkpoint(5) + lines);
  });

  test("C-154 serves many requests over one connection", async () => {
    const log = new TestLog();
    const { url } = await serve({ dir: await witnessFolder([log]) });
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const ports = new Set<number | undefined>();
    for (let size = 0; size < 5; size += 1) {
      const request = httpRequest(`${url}/add-checkpoint`, { method: "POST", agent });
      request.end(log.request(size, size + 1));
      const [response] = await once(request, "response");
      ports.add(request.socket?.localPort);
      response.resume();
      await once(response, "end");
      expect(response.statusCode).toBe(200);
    }
    agent.destroy();
    expect(ports.size).toBe(1);
  });

  test("C-153 a client that sends a byte at a time is cut off, and blocks nobody", async () => {
    const log = new TestLog();
    const { url } = await serve({ dir: await witnessFolder([log]), bodyTimeoutMs: 500 });
    const { hostname, port } = new URL(url);
    const slow = connect(Number(port), hostname);
    let reply = "";
    slow.on("data", (bytes: Buffer) => (reply += bytes.toString()));
    slow.on("error", () => undefined);
    slow.write(`POST /add-checkpoint HTTP/1.1\r\nHost: ${hostname}\r\nContent-Length: 1000\r\n\r\n`);
    const drip = setInterval(() => slow.write("o"), 50);
    const closed = once(slow, "close");
    expect((await submit(url, log.request(0, 5))).status).toBe(200);
    await closed;
    clearInterval(drip);
    expect(reply).toMatch(/^HTTP\/1\.1 408 /);
    expect(reply.toLowerCase()).toContain("connection: close");
  });

  test("C-148 a body above the cap gets 413, and the connection is closed", async () => {
    const { url } = await serve({ dir: await witnessFolder([]), bodyBytesMax: 1000 });
    const { hostname, port } = new URL(url);
    const client = connect(Number(port), hostname);
    let reply = "";
    client.on("data", (bytes: Buffer) => (reply += bytes.toString()));
    client.on("error", () => undefined);
    client.write(`POST /add-checkpoint HTTP/1.1\r\nHost: ${hostname}\r\nContent-Length: 100000000\r\n\r\n`);
    await once(client, "close");
    expect(reply).toMatch(/^HTTP\/1\.1 413 /);
  });

  test("takes up a log that is added while it runs, by itself and on reload", async () => {
    const [log, other] = [new TestLog(), new TestLog({ origin: "log.example/b" })];
    const dir = await witnessFolder([]);
    const served = await serve({ dir, configIntervalMs: 50 });
    expect((await submit(served.url, log.request(0, 5))).status).toBe(404);
    await addLog({ dir, vkey: log.vkey });
    for (let tries = 0; (await submit(served.url, log.request(0, 5))).status === 404; tries += 1) {
      expect(tries).toBeLessThan(200);
      await setTimeout(25);
    }
    await addLog({ dir, vkey: other.vkey });
    await served.reload();
    expect((await submit(served.url, other.request(0, 5))).status).toBe(200);
  });

  test("lets requests under way end when it is closed, and then lets the folder go", async () => {
    const log = new TestLog();
    const dir = await witnessFolder([log]);
    const served = await serve({ dir });
    const beganMs = Date.now();
    const [replies] = await Promise.all([
      Promise.all(
        Array.from({ length: 20 }, () =>
          submit(served.url, log.request(0, 5)).then(
            ({ status }) => status,
            () => "refused",
          ),
        ),
      ),
      setTimeout(5).then(() => served.close()),
    ]);
    await served.close();
    expect(Date.now() - beganMs).toBeLessThan(20_000);
    for (const status of replies) expect([200, 409, 503, "refused"]).toContain(status);
    const witness = await openWitness({ dir });
    const { size } = witness.status().logs[0] ?? {};
    expect(replies.includes(200) ? [5n] : [5n, undefined]).toContain(size);
    await witness.close();
  });

  test("closes within the grace time, whoever hangs on", async () => {
    const served = await serve({ dir: await witnessFolder([]), graceMs: 200 });
    const { hostname, port } = new URL(served.url);
    const client = connect(Number(port), hostname);
    client.on("error", () => undefined);
    client.write(`POST /add-checkpoint HTTP/1.1\r\nHost: ${hostname}\r\nContent-Length: 10\r\n\r\nold`);
    await setTimeout(50);
    const beganMs = Date.now();
    await served.close();
    expect(Date.now() - beganMs).toBeLessThan(20_000);
  });

  test("refuses a port that is taken, and lets the folder go", async () => {
    const first = await serve({ dir: await witnessFolder([]) });
    const dir = await witnessFolder([]);
    await expect(serveWitness({ dir, port: Number(new URL(first.url).port) })).rejects.toThrow("EADDRINUSE");
    expect(await rejectionCode(openWitness({ dir }).then((witness) => witness.close()))).toBeUndefined();
  });
});
