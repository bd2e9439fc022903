import { describe, expect, test } from "vitest";
import { concatBytes, createSigner, emptyRootHash, encodeBase64, parseNote, sha256, utf8 } from "@tallystick/core";
import { describeWithVectors, readVectorJson } from "../../../test/support/vectors.ts";
import { TestLog, logSigner, requestBody } from "./test-log.ts";
import { type Reply, START_MS, TestWitness } from "./test-witness.ts";

const otherHash = sha256(utf8("no node of any tree"));

/** A problem without its `instance`, which is random. */
function problemOf({ body }: Reply): object {
  const { instance: _, ...problem } = JSON.parse(body) as Readonly<Record<string, unknown>>;
  return problem;
}

describeWithVectors("vectors", () => {
  interface Sequence {
    readonly log: { readonly origin: string; readonly vkey: string };
    readonly requests: readonly {
      readonly name: string;
      readonly request: string;
      readonly status: number;
      readonly body?: string;
      readonly content_type?: string;
    }[];
  }
  interface Updates {
    readonly log: { readonly origin: string; readonly vkey: string };
    readonly cases: readonly {
      readonly name: string;
      readonly cosigned_before: string;
      readonly request: string;
      readonly status: number | number[];
      readonly body?: string;
    }[];
  }

  test("C-120 to C-136 a sequence of requests gets the statuses, bodies and types of another witness", async () => {
    const { log, requests } = readVectorJson<Sequence>("witness/add-checkpoint-sequence.json");
    const witness = await TestWitness.start([{ origin: log.origin, vkeys: [log.vkey] }]);
    for (const { name, request, status, body, content_type: type } of requests) {
      const reply = await witness.add(request);
      const expected = { name, status, body: body ?? reply.body, type: type ?? reply.type };
      expect({ name, status: reply.status, body: reply.body, type: reply.type }).toEqual(expected);
    }
  });

  test("C-129 to C-138 single updates end as in another witness", async () => {
    const { log, cases } = readVectorJson<Updates>("witness/update-cases.json");
    expect(cases.length).toBeGreaterThan(0);
    for (const { name, cosigned_before: before, request, status, body } of cases) {
      const witness = await TestWitness.start([{ origin: log.origin, vkeys: [log.vkey] }]);
      const first = await witness.add(`old 0\n\n${before}`);
      const reply = await witness.add(request);
      const allowed = [status].flat().includes(reply.status);
      const expected = { name, first: 200, allowed: true, body: body ?? reply.body };
      expect({ name, first: first.status, allowed, body: reply.body }).toEqual(expected);
    }
  });
});

describe("add-checkpoint", () => {
  test("C-132 cosigns the first checkpoint of any size, and what extends it", async () => {
    const log = new TestLog();
    const witness = await TestWitness.start([log]);
    const first = await witness.add(log.request(0, 5));
    expect(first).toMatchObject({ status: 200, type: "text/plain; charset=utf-8" });
    expect((await witness.add(log.request(5, 13))).status).toBe(200);
    expect(witness.sizeOf(log)).toBe(13n);
  });

  test("C-141 C-142 answers with nothing but signature lines of both keys, for the whole tree and with a time", async () => {
    const log = new TestLog();
    const witness = await TestWitness.start([log]);
    const reply = await witness.add(log.request(0, 5));
    expect(reply.body).toMatch(/^(— witness\.example\/w1 [A-Za-z0-9+/]+=*\n){2}$/);
    const now = BigInt(START_MS / 1000);
    // Ed25519 and ML-DSA-44; the latter verifies only with start 0 and end = size.
    expect(witness.timesOf(reply, log.checkpoint(5))).toEqual([now, now]);
  });

  test.each(["GET", "PUT", "DELETE"])("C-119 answers 405 with Allow to %s", async (method) => {
    const witness = await TestWitness.start([]);
    const reply = await witness.request("/add-checkpoint", { method });
    expect(reply.status).toBe(405);
    expect(reply.headers.get("allow")).toBe("POST");
  });

  test("C-125 answers 404 for an unknown origin, also with the key of another log", async () => {
    const log = new TestLog();
    const stranger = new TestLog({ origin: "log.example/b", signers: log.signers });
    const witness = await TestWitness.start([log]);
    expect((await witness.add(stranger.request(0, 3))).status).toBe(404);
  });

  test("C-126 answers 403 without a signature of a trusted key", async () => {
    const log = new TestLog();
    const witness = await TestWitness.start([log]);
    const checkpoint = log.checkpoint(3, [logSigner("log.example/other")]);
    expect((await witness.add(requestBody({ old: 0, checkpoint }))).status).toBe(403);
  });

  test("C-127 answers 403 when a trusted key's signature is bad, also beside a good one", async () => {
    const signers = [logSigner("log.example/a", "one"), logSigner("log.example/a", "two")];
    const log = new TestLog({ signers });
    const witness = await TestWitness.start([log]);
    const { text, signatures } = parseNote(log.checkpoint(3));
    const [, second] = parseNote(log.checkpoint(4)).signatures;
    for (const lines of [
      [second?.line],
      [signatures[0]?.line, second?.line],
      [second?.line, signatures[1]?.line, signatures[0]?.line],
    ]) {
      const checkpoint = `${text}\n${lines.join("\n")}\n`;
      expect((await witness.add(requestBody({ old: 0, checkpoint }))).status).toBe(403);
    }
  });

  test("C-30 C-127 answers 403 when one line of a key is good and another of the same key is bad", async () => {
    const log = new TestLog();
    const witness = await TestWitness.start([log]);
    const { text, signatures } = parseNote(log.checkpoint(3));
    const [bad] = parseNote(log.checkpoint(4)).signatures;
    const checkpoint = `${text}\n${signatures[0]?.line}\n${bad?.line}\n`;
    expect((await witness.add(requestBody({ old: 0, checkpoint }))).status).toBe(403);
    const twice = `${text}\n${signatures[0]?.line}\n${signatures[0]?.line}\n`;
    expect((await witness.add(requestBody({ old: 0, checkpoint: twice }))).status).toBe(200);
    expect(parseNote((await witness.latest(log)).body).signatures).toHaveLength(3);
  });

  test("C-128 ignores signatures of unknown keys, and does not store them", async () => {
    const log = new TestLog();
    const witness = await TestWitness.start([log]);
    const stranger = logSigner("stranger.example");
    const checkpoint = log.checkpoint(3, [stranger, ...log.signers]);
    expect((await witness.add(requestBody({ old: 0, checkpoint }))).status).toBe(200);
    expect((await witness.latest(log)).body).not.toContain("stranger");
  });

  test("C-129 answers 400 when the old size is above the checkpoint's", async () => {
    const log = new TestLog();
    const witness = await TestWitness.start([log]);
    expect((await witness.add(requestBody({ old: 4, checkpoint: log.checkpoint(3) }))).status).toBe(400);
  });

  test("C-130 C-138 answers 409 with the size cosigned last to an old size below or above it", async () => {
    const log = new TestLog();
    const witness = await TestWitness.start([log]);
    await witness.add(log.request(0, 8));
    for (const [from, to] of [
      [5, 9],
      [9, 12],
      [5, 5],
      [0, 8],
    ] as const) {
      const reply = await witness.add(log.request(from, to));
      expect(reply).toMatchObject({ status: 409, body: "8\n", type: "text/x.tlog.size" });
    }
    expect(witness.sizeOf(log)).toBe(8n);
  });

  test("C-131 answers 409 with 0 when nothing was cosigned and the old size is another", async () => {
    const log = new TestLog();
    const witness = await TestWitness.start([log]);
    expect(await witness.add(log.request(5, 8))).toMatchObject({ status: 409, body: "0\n", type: "text/x.tlog.size" });
  });

  test("C-133 answers 422 to a proof from size 0", async () => {
    const log = new TestLog();
    const witness = await TestWitness.start([log]);
    const body = requestBody({ old: 0, proof: [otherHash], checkpoint: log.checkpoint(3) });
    expect((await witness.add(body)).status).toBe(422);
    expect(witness.sizeOf(log)).toBeUndefined();
  });

  test("C-134 answers 422 to a checkpoint of size 0 whose root is not that of the empty tree, 409 where the old size is stale", async () => {
    const log = new TestLog();
    const witness = await TestWitness.start([log]);
    const body = requestBody({ old: 0, checkpoint: log.sign({ size: 0, rootHash: otherHash }) });
    expect((await witness.add(body)).status).toBe(422);
    expect(
      (await witness.add(requestBody({ old: 0, checkpoint: log.sign({ size: 0, rootHash: emptyRootHash() }) }))).status,
    ).toBe(200);
    expect((await witness.add(body)).status).toBe(422);
    await witness.add(log.request(0, 3));
    expect((await witness.add(body)).status).toBe(409);
  });

  test("C-135 answers 422 to a proof that is flipped, cut, prolonged, swapped, or for other sizes", async () => {
    const log = new TestLog();
    const witness = await TestWitness.start([log]);
    await witness.add(log.request(0, 5));
    const proof = log.proof(5, 13);
    const flipped = proof.map((hash, index) =>
      index === 1 ? Uint8Array.from(hash, (byte, at) => (at === 31 ? byte + 1 : byte)) : hash,
    );
    const wrong = [
      flipped,
      proof.slice(1),
      proof.slice(0, -1),
      [],
      [...proof, otherHash],
      proof.toReversed(),
      log.proof(5, 12),
      log.proof(6, 13),
    ];
    for (const each of wrong) {
      expect((await witness.add(requestBody({ old: 5, proof: each, checkpoint: log.checkpoint(13) }))).status).toBe(
        422,
      );
    }
    expect(witness.sizeOf(log)).toBe(5n);
    expect((await witness.add(log.request(5, 13))).status).toBe(200);
  });

  test("C-136 cosigns the same checkpoint again, with a new time and without a proof only", async () => {
    const log = new TestLog();
    const witness = await TestWitness.start([log]);
    await witness.add(log.request(0, 5));
    witness.clock.nowMs += 60_000;
    const again = await witness.add(log.request(5, 5));
    expect(again.status).toBe(200);
    expect(witness.timesOf(again, log.checkpoint(5))[0]).toBe(BigInt(START_MS / 1000 + 60));
    expect((await witness.add(requestBody({ old: 5, proof: [otherHash], checkpoint: log.checkpoint(5) }))).status).toBe(
      422,
    );
  });

  test("C-137 answers 422 to another root for the same size", async () => {
    const log = new TestLog();
    const fork = new TestLog({ salt: "fork" });
    const witness = await TestWitness.start([log]);
    await witness.add(log.request(0, 5));
    expect((await witness.add(fork.request(5, 5))).status).toBe(422);
    expect((await witness.latest(log)).body).toContain(encodeBase64(log.rootHash(5)));
  });

  test("C-139 gives the first of several faults: 400, 404, 403, 400, 409, 422", async () => {
    const log = new TestLog();
    const stranger = new TestLog({ origin: "log.example/b" });
    const witness = await TestWitness.start([log]);
    await witness.add(log.request(0, 5));
    const unsigned = log.checkpoint(3, [logSigner("log.example/other")]);
    const statuses = [
      requestBody({ old: "09", checkpoint: stranger.checkpoint(3) }),
      requestBody({ old: 9, checkpoint: stranger.checkpoint(3) }),
      requestBody({ old: 9, proof: [otherHash], checkpoint: unsigned }),
      requestBody({ old: 9, proof: [otherHash], checkpoint: log.checkpoint(3) }),
      requestBody({ old: 0, proof: [otherHash], checkpoint: log.sign({ size: 0, rootHash: otherHash }) }),
      requestBody({ old: 5, proof: [otherHash], checkpoint: log.checkpoint(9) }),
    ].map(async (body) => (await witness.add(body)).status);
    expect(await Promise.all(statuses)).toEqual([400, 404, 403, 400, 409, 422]);
  });

  test("C-140 does not tell the size to somebody without the log's signature", async () => {
    const log = new TestLog();
    const witness = await TestWitness.start([log]);
    const forged = requestBody({ old: 0, checkpoint: log.checkpoint(12, [logSigner("log.example/other")]) });
    const before = problemOf(await witness.add(forged));
    await witness.add(log.request(0, 11));
    const after = problemOf(await witness.add(forged));
    expect(after).toMatchObject({ status: 403, code: "signature-refused" });
    expect(after).toEqual(before);
    expect(JSON.stringify(after)).not.toContain("11");
  });

  test("C-54 accepts extension lines, stores them and serves them", async () => {
    const log = new TestLog({ extensions: ["first extension", "zweite Zeile, ä"] });
    const witness = await TestWitness.start([log]);
    const reply = await witness.add(log.request(0, 5));
    expect(reply.status).toBe(200);
    expect(witness.timesOf(reply, log.checkpoint(5))).toHaveLength(2);
    expect((await witness.latest(log)).body).toContain("\nfirst extension\nzweite Zeile, ä\n\n");
  });

  test("C-54 the Ed25519 cosignature covers extension lines, that of ML-DSA-44 does not", async () => {
    const log = new TestLog({ extensions: ["as signed"] });
    const witness = await TestWitness.start([log]);
    const reply = await witness.add(log.request(0, 5));
    const { text } = parseNote(log.checkpoint(5));
    const altered = parseNote(`${text.replace("as signed", "altered")}\n${reply.body}`);
    const held = witness.verifiers.map(
      (verifier, index) =>
        verifier.verify(altered, altered.signatures[index]?.signature ?? new Uint8Array()) !== undefined,
    );
    expect(held).toEqual([false, true]);
  });

  test("C-149 C-32 never stores a forged line in our name, and goes on", async () => {
    const log = new TestLog();
    const witness = await TestWitness.start([log]);
    const [{ name, keyId } = { name: "", keyId: 0 }] = witness.verifiers;
    const id = Buffer.alloc(4);
    id.writeUInt32BE(keyId);
    const forged = `— ${name} ${encodeBase64(concatBytes(id, new Uint8Array(72).fill(7)))}\n`;
    const checkpoint = log.checkpoint(5) + forged;
    expect((await witness.add(requestBody({ old: 0, checkpoint }))).status).toBe(200);
    const { body } = await witness.latest(log);
    expect(body).not.toContain(forged);
    expect(parseNote(body).signatures).toHaveLength(3);
    expect((await witness.add(log.request(5, 8))).status).toBe(200);
  });

  test("C-149 takes a checkpoint that bears our own cosignature from before", async () => {
    const log = new TestLog();
    const witness = await TestWitness.start([log]);
    const { body: lines } = await witness.add(log.request(0, 5));
    witness.clock.nowMs += 1000;
    expect((await witness.add(requestBody({ old: 5, checkpoint: log.checkpoint(5) + lines }))).status).toBe(200);
    expect(parseNote((await witness.latest(log)).body).signatures).toHaveLength(3);
  });

  test("C-150 C-262 when the clock steps back the time stays, and more than two days behind nothing is signed", async () => {
    const log = new TestLog();
    const witness = await TestWitness.start([log]);
    const start = BigInt(START_MS / 1000);
    await witness.add(log.request(0, 3));
    witness.clock.nowMs = START_MS - 86_400_000;
    const dayBack = await witness.add(log.request(3, 5));
    expect(witness.timesOf(dayBack, log.checkpoint(5))).toEqual([start, start]);
    witness.clock.nowMs = START_MS - 172_801_000;
    const reply = await witness.add(log.request(5, 8));
    expect(reply.status).toBe(503);
    expect(reply.body).toContain("clock-behind");
    expect(witness.witness.status()).toMatchObject({ state: "stopped", reasons: [{ code: "clock-behind" }] });
    witness.clock.nowMs = START_MS + 1000;
    expect((await witness.add(log.request(5, 8))).status).toBe(200);
    expect(witness.witness.status().state).toBe("ready");
  });

  test("answers 503 when it is closed", async () => {
    const log = new TestLog();
    const witness = await TestWitness.start([log]);
    await witness.witness.close();
    expect(await witness.add(log.request(0, 5))).toMatchObject({ status: 503 });
    expect((await witness.request("/readyz")).status).toBe(503);
  });

  test("C-152 takes either of two keys of one origin, and stores the lines of both", async () => {
    const [older, newer] = [logSigner("log.example/a", "older"), logSigner("log.example/a", "newer")];
    const log = new TestLog({ signers: [older, newer] });
    const witness = await TestWitness.start([log]);
    const requestOf = (to: number, from: number, signers: readonly (typeof older)[]): Uint8Array =>
      requestBody({ old: from, proof: log.proof(from, to), checkpoint: log.checkpoint(to, signers) });
    expect((await witness.add(requestOf(3, 0, [older]))).status).toBe(200);
    expect((await witness.add(requestOf(5, 3, [newer]))).status).toBe(200);
    expect((await witness.add(requestOf(8, 5, [newer, older]))).status).toBe(200);
    expect(parseNote((await witness.latest(log)).body).signatures).toHaveLength(4);
  });

  test("takes the ML-DSA-44 signature of a log", async () => {
    const name = "log.example/pq";
    const signer = createSigner({ name, type: "mldsa44", seed: sha256(utf8(name)) });
    const log = new TestLog({ origin: name, signers: [signer] });
    const witness = await TestWitness.start([log]);
    expect((await witness.add(log.request(0, 3))).status).toBe(200);
    expect(parseNote((await witness.latest(log)).body).signatures.map(({ name }) => name)).toEqual([
      name,
      witness.witness.name,
      witness.witness.name,
    ]);
  });

  test("C-47 cosigns sizes that no number holds", async () => {
    const log = new TestLog();
    const witness = await TestWitness.start([log]);
    const size = 9_007_199_254_740_993n;
    const checkpoint = log.sign({ size, rootHash: otherHash });
    expect((await witness.add(requestBody({ old: 0, checkpoint }))).status).toBe(200);
    expect(await witness.add(requestBody({ old: size - 1n, checkpoint }))).toMatchObject({
      status: 409,
      body: `${size}\n`,
    });
    expect((await witness.add(requestBody({ old: size, checkpoint }))).status).toBe(200);
  });

  test("keeps logs apart", async () => {
    const [a, b] = [new TestLog(), new TestLog({ origin: "log.example/b", salt: "b" })];
    const witness = await TestWitness.start([a, b]);
    await witness.add(a.request(0, 5));
    expect(await witness.add(b.request(5, 8))).toMatchObject({ status: 409, body: "0\n" });
    expect((await witness.add(b.request(0, 3))).status).toBe(200);
    expect([witness.sizeOf(a), witness.sizeOf(b)]).toEqual([5n, 3n]);
  });
});
