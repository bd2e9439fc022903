import { describe, expect, test } from "vitest";
import { parseNote, sha256, utf8 } from "@tallystick/core";
import { createFaultyFileSystem } from "../../storage/test/faulty-file-system.ts";
import { TestLog, requestBody } from "./test-log.ts";
import { TestWitness } from "./test-witness.ts";

describe("the monitoring prefix", () => {
  test("C-166 serves the checkpoint under the hash of its origin", async () => {
    const log = new TestLog({ origin: "example.com/behind-the-sofa" });
    const witness = await TestWitness.start([log]);
    await witness.add(log.request(0, 5));
    const reply = await witness.request("/5fd2dc0beb4ce54da5050cf6d5c75248b023abad441c3cecde3976fbe9da4fe4/checkpoint");
    expect(reply).toMatchObject({ status: 200, type: "text/plain; charset=utf-8" });
    expect(reply.headers.get("cache-control")).toBe("no-cache");
    expect(reply.headers.get("access-control-allow-origin")).toBe("*");
  });

  test("C-167 it holds the log's verified lines and the very cosignatures that were returned", async () => {
    const log = new TestLog();
    const witness = await TestWitness.start([log]);
    const { body: lines } = await witness.add(log.request(0, 5));
    expect((await witness.latest(log)).body).toBe(log.checkpoint(5) + lines);
    const { body: newer } = await witness.add(log.request(5, 9));
    expect((await witness.latest(log)).body).toBe(log.checkpoint(9) + newer);
  });

  test("C-168 answers 404 where nothing was cosigned, and to what is no hash", async () => {
    const log = new TestLog();
    const witness = await TestWitness.start([log]);
    expect((await witness.latest(log)).status).toBe(404);
    await witness.add(log.request(0, 5));
    const { hash } = log;
    for (const path of [hash.toUpperCase(), hash.slice(1), `${hash}0`, `%${hash}`, "..", "%2e%2e", "", `x/${hash}`]) {
      const { status } = await witness.request(`/${path}/checkpoint`);
      expect({ path, status }).toEqual({ path, status: 404 });
    }
    expect((await witness.latest(log)).status).toBe(200);
  });

  test("C-169 never serves an older checkpoint than before, also when a write fails", async () => {
    const log = new TestLog();
    const fileSystem = createFaultyFileSystem();
    const witness = await TestWitness.start([log], { fileSystem });
    let served = 0n;
    for (const call of ["open", "write", "sync", "rename"] as const) {
      for (const when of ["before", "after"] as const) {
        const size = Number(witness.sizeOf(log) ?? 0n);
        fileSystem.fault = { call, when };
        await witness.add(log.request(size, size + 1));
        fileSystem.fault = undefined;
        await witness.add(requestBody({ old: 0, checkpoint: log.checkpoint(1) }));
        const reply = await witness.latest(log);
        const now = reply.status === 404 ? 0n : BigInt(parseNote(reply.body).text.split("\n")[1] ?? "");
        expect(now).toBeGreaterThanOrEqual(served);
        served = now;
      }
    }
    expect(served).toBeGreaterThan(0n);
  });

  test("answers HEAD without a body, and other methods with 405", async () => {
    const log = new TestLog();
    const witness = await TestWitness.start([log]);
    await witness.add(log.request(0, 5));
    const head = await witness.request(`/${log.hash}/checkpoint`, { method: "HEAD" });
    expect(head).toMatchObject({ status: 200, body: "" });
    const reply = await witness.post(`/${log.hash}/checkpoint`, "");
    expect(reply.status).toBe(405);
    expect(reply.headers.get("allow")).toBe("GET, HEAD");
  });
});

describe("health, readiness and metrics", () => {
  test("say how the witness and its logs stand", async () => {
    const log = new TestLog({ origin: 'log.example/"a"\\b' });
    const witness = await TestWitness.start([log]);
    await witness.add(log.request(0, 5));
    await witness.add(log.request(0, 5));
    expect(await witness.request("/healthz")).toMatchObject({ status: 200, body: "ok\n" });
    const ready = await witness.request("/readyz");
    expect(ready).toMatchObject({ status: 200, type: "application/json" });
    expect(JSON.parse(ready.body)).toEqual({
      name: witness.witness.name,
      state: "ready",
      reasons: [],
      logs: 1,
      evidence: 0,
    });
    const { body } = await witness.request("/metrics");
    expect(body).toContain('tallystick_witness_requests_total{endpoint="add-checkpoint",status="200"} 1\n');
    expect(body).toContain('tallystick_witness_requests_total{endpoint="add-checkpoint",status="409"} 1\n');
    expect(body).toContain('tallystick_witness_log_size{origin="log.example/\\"a\\"\\\\b"} 5\n');
    expect(body).toContain("tallystick_witness_ready 1\n");
  });

  test("other paths get a problem with a code and an instance of its own", async () => {
    const witness = await TestWitness.start([]);
    const random = { random: (size: number) => sha256(utf8("fixed")).slice(0, size) };
    const fixed = await TestWitness.start([], random);
    const reply = await fixed.request("/nothing");
    expect(reply).toMatchObject({ status: 404, type: "application/problem+json" });
    expect(JSON.parse(reply.body)).toMatchObject({ type: "/problems/not-found", status: 404, code: "not-found" });
    expect(JSON.parse(reply.body).instance).toMatch(
      /^urn:uuid:[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/,
    );
    const instances = [await witness.request("/a"), await witness.request("/a")].map(
      ({ body }) => JSON.parse(body).instance as string,
    );
    expect(new Set(instances).size).toBe(2);
  });
});
