import { once } from "node:events";
import { cpSync, rmSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { describe, expect, test, vi } from "vitest";
import { type LogConfig, type OpenWitnessOptions, type WitnessLogger, addLog } from "../src/index.ts";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";
import { TestLog, requestBody } from "./test-log.ts";
import { TestWitness, witnessFolder } from "./test-witness.ts";

interface RolledBack {
  readonly log: TestLog;
  /** An older copy of the whole folder, which knows of size 5. */
  readonly older: string;
  /** The folder itself, which knows of size 8. */
  readonly newest: string;
  /** What was answered for size 8. */
  readonly lines: string;
}

/** A witness that was put back to an older copy. */
async function rolledBack(config: Partial<LogConfig> = {}): Promise<RolledBack> {
  const log = new TestLog({ size: 20 });
  const newest = await witnessFolder([{ origin: log.origin, vkeys: [log.vkey], ...config }]);
  const first = await TestWitness.open(newest);
  await first.add(log.request(0, 5));
  await first.witness.close();
  const older = temporaryFolder();
  cpSync(newest, older, { recursive: true });
  const second = await TestWitness.open(newest);
  second.clock.nowMs += 1000;
  const { body: lines } = await second.add(log.request(5, 8));
  await second.witness.close();
  return { log, older, newest, lines };
}

/** A fetch that answers every URL with `body`, and keeps what was asked. */
function publishing(body: string, status = 200): { asked: string[]; fetch: NonNullable<OpenWitnessOptions["fetch"]> } {
  const asked: string[] = [];
  return {
    asked,
    fetch: async (url) => {
      asked.push(url as string);
      return new Response(body, { status });
    },
  };
}

describe("an older copy of the whole folder", () => {
  test("cannot be noticed where the log is not reached, and then it is said why it was not", async () => {
    const log = new TestLog({ size: 20 });
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    server.close();
    const url = `https://127.0.0.1:${port}/app`;
    const dir = await witnessFolder([{ origin: log.origin, vkeys: [log.vkey], url }]);
    const told: unknown[] = [];
    const logger: WitnessLogger = { info: () => {}, warn: (...words) => told.push(words), error: () => {} };
    const witness = await TestWitness.open(dir, { logger, fetch });
    await vi.waitFor(() => expect(told).toHaveLength(1));
    const error = expect.stringMatching(/^fetch failed \(connect ECONNREFUSED /);
    expect(told[0]).toEqual(["could not compare with what the log has published", { origin: log.origin, error }]);
    await witness.witness.close();
  });

  test("is noticed by a request that bears our own cosignature for a larger size, and then nothing is signed", async () => {
    const { log, older, lines } = await rolledBack();
    const errors: string[] = [];
    const logger: WitnessLogger = { info: () => {}, warn: () => {}, error: (message) => errors.push(message) };
    const witness = await TestWitness.open(older, { logger });
    const reply = await witness.add(requestBody({ old: 8, checkpoint: log.checkpoint(8) + lines }));
    expect(reply.status).toBe(503);
    expect(reply.body).toContain("state-rolled-back");
    expect((await witness.add(log.request(5, 9))).status).toBe(503);
    expect(witness.sizeOf(log)).toBe(5n);
    expect(witness.witness.status()).toMatchObject({
      state: "stopped",
      reasons: [{ code: "state-rolled-back", origin: log.origin }],
    });
    expect((await witness.request("/readyz")).status).toBe(503);
    expect(errors).toContain("stopped signing for a log: the state is an older copy");
  });

  test("stays noticed over restarts, and other logs are served", async () => {
    const { log, older, lines } = await rolledBack();
    const other = new TestLog({ origin: "log.example/b" });
    await addLog({ dir: older, vkey: other.vkey });
    const first = await TestWitness.open(older);
    await first.add(requestBody({ old: 8, checkpoint: log.checkpoint(8) + lines }));
    await first.witness.close();
    const second = await TestWitness.open(older);
    expect((await second.add(log.request(5, 9))).status).toBe(503);
    expect((await second.add(other.request(0, 3))).status).toBe(200);
    expect(second.witness.status().state).toBe("degraded");
    expect((await second.request("/readyz")).status).toBe(200);
  });

  test("is over when the newest copy is put back, whatever else was written", async () => {
    const { log, older, newest, lines } = await rolledBack();
    const first = await TestWitness.open(older);
    await first.add(requestBody({ old: 8, checkpoint: log.checkpoint(8) + lines }));
    await first.witness.close();
    for (const part of ["state", "high-water"]) {
      rmSync(`${older}/${part}`, { recursive: true });
      cpSync(`${newest}/${part}`, `${older}/${part}`, { recursive: true });
    }
    const second = await TestWitness.open(older);
    expect(second.witness.status().state).toBe("ready");
    second.clock.nowMs += 2000;
    expect((await second.add(log.request(8, 9))).status).toBe(200);
  });

  test("is noticed by a later time on the same size", async () => {
    const log = new TestLog();
    const newest = await witnessFolder([log]);
    const first = await TestWitness.open(newest);
    await first.add(log.request(0, 5));
    await first.witness.close();
    const older = temporaryFolder();
    cpSync(newest, older, { recursive: true });
    const second = await TestWitness.open(newest);
    second.clock.nowMs += 1000;
    const { body: lines } = await second.add(log.request(5, 5));
    const third = await TestWitness.open(older);
    third.clock.nowMs += 2000;
    expect((await third.add(requestBody({ old: 5, checkpoint: log.checkpoint(5) + lines }))).status).toBe(503);
  });

  test("is noticed by our cosignature of another root for the same size, and where nothing is remembered", async () => {
    const { log, older, lines } = await rolledBack();
    const fork = new TestLog({ salt: "fork", size: 20 });
    const witness = await TestWitness.open(older);
    await witness.add(requestBody({ old: 5, proof: log.proof(5, 9), checkpoint: log.checkpoint(9) }));
    expect(witness.sizeOf(log)).toBe(9n);
    // At size 9 we remember more than the cosignature of size 8 says, but for its time.
    expect((await witness.add(requestBody({ old: 9, checkpoint: log.checkpoint(8) + lines }))).status).toBe(400);
    expect((await witness.add(requestBody({ old: 5, checkpoint: fork.checkpoint(9) }))).status).toBe(409);
    expect((await witness.add(requestBody({ old: 8, checkpoint: log.checkpoint(8) + lines }))).status).toBe(503);
  });

  test("is not taken from a cosignature that does not verify, or of another witness with our name", async () => {
    const { log, older, lines } = await rolledBack();
    const witness = await TestWitness.open(older);
    const stranger = await TestWitness.start([log]);
    const { body: theirs } = await stranger.add(log.request(0, 12));
    for (const checkpoint of [log.checkpoint(9) + lines, log.checkpoint(12) + theirs]) {
      expect((await witness.add(requestBody({ old: 0, checkpoint }))).status).toBe(409);
    }
    expect((await witness.add(log.request(5, 9))).status).toBe(200);
  });

  test("is noticed by sign-subtree too", async () => {
    const { log, older, lines } = await rolledBack();
    const witness = await TestWitness.open(older);
    const hash = Buffer.from(log.subtreeHash(0, 4)).toString("base64");
    const proof = log
      .subtreeProof({ start: 0, end: 4, size: 8 })
      .map((each) => `${Buffer.from(each).toString("base64")}\n`);
    const body = `subtree 0 4\n${hash}\n${proof.join("")}\n${log.checkpoint(8)}${lines}`;
    expect((await witness.sign(body)).status).toBe(503);
    expect((await witness.add(log.request(5, 9))).status).toBe(503);
  });
});

describe("at start, what the log has published", () => {
  const url = "https://log.example/a/";

  test("stops the witness where it bears our cosignature for a larger size", async () => {
    const { log, older, lines } = await rolledBack({ url });
    const { asked, fetch } = publishing(log.checkpoint(8) + lines);
    const witness = await TestWitness.open(older, { fetch });
    expect((await witness.add(log.request(5, 9))).status).toBe(503);
    expect(asked).toEqual(["https://log.example/a/checkpoint"]);
  });

  test("does not matter where it bears no valid cosignature of ours, does not answer, or answers something else", async () => {
    const { log, newest, lines } = await rolledBack({ url });
    let size = 8;
    const answers = [
      log.checkpoint(12),
      log.checkpoint(12) + lines,
      "no note",
      "",
      "x".repeat(200_000),
      new TestLog({ origin: "log.example/b" }).checkpoint(12),
    ];
    const fetches = [
      ...answers.map((answer) => publishing(answer).fetch),
      publishing(log.checkpoint(8), 500).fetch,
      () => Promise.reject(new Error("refused")),
    ];
    for (const fetch of fetches) {
      const witness = await TestWitness.open(newest, { fetch });
      witness.clock.nowMs += 10_000;
      expect((await witness.add(log.request(size, size + 1))).status).toBe(200);
      size += 1;
      await witness.witness.close();
    }
  });

  test("holds back only this log while it hangs, and not for ever", async () => {
    const { log, newest } = await rolledBack({ url });
    const other = new TestLog({ origin: "log.example/b" });
    await addLog({ dir: newest, vkey: other.vkey });
    const hanging = (_: unknown, init?: RequestInit): Promise<Response> =>
      new Promise((_resolve, reject) => init?.signal?.addEventListener("abort", () => reject(new Error("aborted"))));
    const witness = await TestWitness.open(newest, { fetch: hanging, fetchTimeoutMs: 300 });
    witness.clock.nowMs += 10_000;
    const held = witness.add(log.request(8, 9));
    expect((await witness.add(other.request(0, 3))).status).toBe(200);
    expect((await witness.request("/readyz")).body).toContain('"starting"');
    expect((await held).status).toBe(200);
    expect(witness.witness.status().state).toBe("ready");
  });

  test("is not waited for when the witness is closed", async () => {
    const { newest } = await rolledBack({ url });
    const hanging = (_: unknown, init?: RequestInit): Promise<Response> =>
      new Promise((_resolve, reject) => init?.signal?.addEventListener("abort", () => reject(new Error("aborted"))));
    const witness = await TestWitness.open(newest, { fetch: hanging, fetchTimeoutMs: 60_000 });
    await witness.witness.close();
  });
});
