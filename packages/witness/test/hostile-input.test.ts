import { once } from "node:events";
import { readFileSync, readdirSync, statSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import * as fc from "fast-check";
import { describe, expect, onTestFinished, test } from "vitest";
import { type Hash, encodeBase64, equalBytes, isValidSubtree, parseNote, utf8 } from "@tallystick/core";
import { serveWitness } from "../src/index.ts";
import { TestLog, logSigner, requestBody, subtreeBody } from "./test-log.ts";
import { TestWitness, witnessFolder } from "./test-witness.ts";

const runs = { numRuns: Number(process.env["TALLYSTICK_FUZZ_RUNS"] ?? 300) };

/** What a refusal never has. Its words may quote a line of the request, but within a line. */
const SIGNATURE_LINE = /^— /m;

/** A body with bytes changed, cut out, doubled or put in. */
function mangled(body: Uint8Array): fc.Arbitrary<Uint8Array> {
  const place = fc.nat({ max: body.length - 1 });
  const edit = fc.record({ at: place, cut: fc.nat({ max: 40 }), put: fc.uint8Array({ maxLength: 40 }) });
  return fc
    .array(edit, { minLength: 1, maxLength: 3 })
    .map((edits) => {
      let bytes = Buffer.from(body);
      for (const { at, cut, put } of edits)
        bytes = Buffer.concat([bytes.subarray(0, at), put, bytes.subarray(at + cut)]);
      return new Uint8Array(bytes);
    })
    .filter((bytes) => !Buffer.from(bytes).equals(body));
}

/** Text that looks like a request, line by line. */
const lookalike = fc
  .array(
    fc.oneof(
      fc.constantFrom("old 0", "old 5", "old 8", "subtree 0 4", "", "log.example/a", "8", "0", "— log.example/a AAAA"),
      fc.base64String({ maxLength: 60 }),
      fc.string({ maxLength: 30 }),
    ),
    { maxLength: 12 },
  )
  .map((lines) => utf8(`${lines.join("\n")}\n`.toWellFormed()));

type Signing = "log" | "other key" | "other name" | "nobody" | "log and forger";

/** A head of `log`, signed as told; the forger writes a line in the log's name under the log's key ID. */
function signedHead({
  log,
  size,
  rootHash,
  signedBy,
}: {
  readonly log: TestLog;
  readonly size: number;
  readonly rootHash: Hash;
  readonly signedBy: Signing;
}): string {
  const signed = log.sign({ size, rootHash });
  if (signedBy === "log") return signed;
  if (signedBy === "other key") return log.sign({ size, rootHash }, [logSigner(log.origin, "another key")]);
  if (signedBy === "other name") return log.sign({ size, rootHash }, [logSigner("log.example/other")]);
  const { text, signatures } = parseNote(signed);
  if (signedBy === "nobody") return `${text}\n`;
  const forged = new Uint8Array(68).fill(9);
  new DataView(forged.buffer).setUint32(0, signatures[0]?.keyId ?? 0);
  return `${signed}— ${log.origin} ${encodeBase64(forged)}\n`;
}

interface Edit {
  readonly edit: string;
  readonly at: number;
  readonly random: Hash;
}

function edited(proof: readonly Hash[], { edit, at, random }: Edit): Hash[] {
  const index = at % Math.max(1, proof.length);
  const hash = proof[index];
  if (edit === "add") return proof.toSpliced(index, 0, random);
  if (hash === undefined || edit === "none") return [...proof];
  if (edit === "drop") return proof.toSpliced(index, 1);
  if (edit === "double") return proof.toSpliced(index, 0, hash);
  if (edit === "swap") return [...proof.slice(index), ...proof.slice(0, index)];
  return proof.with(
    index,
    hash.map((byte, place) => (place === at % 32 ? byte ^ 1 : byte)),
  );
}

function encodeProof(proof: readonly Hash[]): string {
  return proof.map(encodeBase64).join("\n");
}

/** Every byte that the witness remembers heads by: of all files but evidence and locks. */
function stateOf(dir: string): Record<string, string> {
  const names = readdirSync(dir, { recursive: true, encoding: "utf8" }).filter(
    (name) => !/(^|\/)(lock|evidence)(\/|$)/.test(name) && statSync(join(dir, name)).isFile(),
  );
  return Object.fromEntries(names.map((name) => [name, readFileSync(join(dir, name)).toString("base64")]));
}

/** An `add-checkpoint` request as it goes over a connection. */
function requestOver(body: Uint8Array): Uint8Array {
  const head = `POST /add-checkpoint HTTP/1.1\r\nHost: witness.example\r\nContent-Length: ${body.length}\r\n\r\n`;
  return new Uint8Array(Buffer.concat([utf8(head), body]));
}

/** Sends bytes, and gives what comes back first; after `patienceMs` without an answer the connection is ended. */
async function exchange(url: string, bytes: Uint8Array, patienceMs?: number): Promise<string> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  const closed = once(socket, "close");
  let answer = "";
  socket.on("error", () => undefined);
  socket.on("data", (part: Buffer) => {
    answer += part.toString();
    socket.end();
  });
  socket.write(bytes);
  const silent = patienceMs === undefined ? undefined : setTimeout(() => socket.end(), patienceMs);
  await closed;
  clearTimeout(silent);
  return answer;
}

describe("hostile input", () => {
  test("C-120 to C-142 whatever comes is answered with 4xx, gets no signature and changes no state", async () => {
    const log = new TestLog();
    const witness = await TestWitness.start([log]);
    await witness.add(log.request(0, 5));
    const before = (await witness.latest(log)).body;
    const valid = log.request(5, 13);
    const { text, signatures } = parseNote(before);
    // With one cosignature only: with two, one may be mangled beyond recognition, and the other still hold.
    const reference = `${text}\n${signatures[2]?.line}\n`;
    const subtree = subtreeBody({
      range: "subtree 0 4",
      hash: log.subtreeHash(0, 4),
      proof: log.subtreeProof({ start: 0, end: 4, size: 5 }),
      checkpoint: reference,
    });
    const body = fc.oneof(
      fc.uint8Array({ maxLength: 2000 }),
      lookalike,
      mangled(valid),
      mangled(subtree),
      mangled(requestBody({ old: 5, checkpoint: log.checkpoint(5) })),
    );
    await fc.assert(
      fc.asyncProperty(body, fc.constantFrom("/add-checkpoint", "/sign-subtree"), async (bytes, path) => {
        const reply = await witness.post(path, bytes);
        expect(reply.status).toBeGreaterThanOrEqual(400);
        expect(reply.status).toBeLessThan(500);
        expect(reply.body).not.toMatch(SIGNATURE_LINE);
        expect((await witness.latest(log)).body).toBe(before);
      }),
      runs,
    );
  });

  test("C-125 to C-138 a head that is signed, but not right in every part, is answered with 4xx and changes no state", async () => {
    const log = new TestLog();
    const fork = new TestLog({ salt: "fork" });
    const dir = await witnessFolder([log]);
    const witness = await TestWitness.open(dir);
    await witness.add(log.request(0, 5));
    const before = stateOf(dir);
    const sizes = fc.integer({ min: 0, max: 16 });
    const hash = fc.uint8Array({ minLength: 32, maxLength: 32 });
    const parts = fc.record({
      old: fc.oneof(fc.constant(5), sizes, fc.bigInt({ min: 0n, max: 2n ** 63n - 1n })),
      from: fc.oneof(fc.constant(5), sizes),
      to: fc.oneof(sizes, fc.constant(5)),
      signedBy: fc.constantFrom<Signing[]>("log", "log", "log", "other key", "other name", "nobody", "log and forger"),
      root: fc.constantFrom("log", "log", "fork", "random"),
      random: hash,
      edit: fc.constantFrom("none", "none", "drop", "double", "swap", "add", "flip"),
      at: fc.nat(),
    });
    const wrong = new Set<number>();
    await fc.assert(
      fc.asyncProperty(parts, async ({ old, from, to, signedBy, root, random, edit, at }) => {
        const right = from <= to ? log.proof(from, to) : [];
        const proof = edited(right, { edit, at, random });
        const rootHash = root === "random" ? random : (root === "fork" ? fork : log).rootHash(to);
        const checkpoint = signedHead({ log, size: to, rootHash, signedBy });
        const isRight =
          BigInt(old) === 5n &&
          to >= 5 &&
          signedBy === "log" &&
          equalBytes(rootHash, log.rootHash(to)) &&
          encodeProof(proof) === encodeProof(log.proof(5, to));
        fc.pre(!isRight);
        const reply = await witness.add(requestBody({ old, proof, checkpoint }));
        wrong.add(reply.status);
        expect(reply.status).toBeGreaterThanOrEqual(400);
        expect(reply.status).toBeLessThan(500);
        expect(reply.body).not.toMatch(SIGNATURE_LINE);
        expect(stateOf(dir)).toEqual(before);
      }),
      runs,
    );
    // Every refusal that the specification knows has been met, but for the 404, which no head of this log gets.
    expect([...wrong].toSorted((a, b) => a - b)).toEqual([400, 403, 409, 422]);
    expect((await witness.add(log.request(5, 8))).status).toBe(200);
  });

  test("C-156 to C-161 a subtree that is not right in every part gets 4xx and no signature, and nothing changes a state", async () => {
    const log = new TestLog();
    const fork = new TestLog({ salt: "fork" });
    const dir = await witnessFolder([log]);
    const witness = await TestWitness.open(dir);
    const { body: own } = await witness.add(log.request(0, 14));
    const before = stateOf(dir);
    const reference = `${parseNote(log.checkpoint(14)).text}\n${own}`;
    const forked = `${parseNote(fork.checkpoint(14)).text}\n${own}`;
    const index = fc.integer({ min: 0, max: 16 });
    const parts = fc.record({
      start: index,
      end: index,
      tree: fc.constantFrom("log", "log", "fork"),
      checkpoint: fc.constantFrom(reference, reference, reference, forked, log.checkpoint(14)),
      random: fc.uint8Array({ minLength: 32, maxLength: 32 }),
      edit: fc.constantFrom("none", "none", "drop", "double", "swap", "add", "flip"),
      at: fc.nat(),
    });
    let [signed, refused] = [0, 0];
    await fc.assert(
      fc.asyncProperty(parts, async ({ start, end, tree, checkpoint, random, edit, at }) => {
        const isRange = end <= 14 && isValidSubtree({ start, end });
        const hash = isRange ? (tree === "fork" ? fork : log).subtreeHash(start, end) : random;
        const right = isRange ? log.subtreeProof({ start, end, size: 14 }) : [];
        const proof = edited(right, { edit, at, random });
        const isRight =
          isRange && tree === "log" && checkpoint === reference && encodeProof(proof) === encodeProof(right);
        const reply = await witness.sign(subtreeBody({ range: `subtree ${start} ${end}`, hash, proof, checkpoint }));
        if (isRight) signed += 1;
        else refused += 1;
        expect(reply.status === 200).toBe(isRight);
        expect(reply.status).toBeLessThan(500);
        expect(SIGNATURE_LINE.test(reply.body)).toBe(isRight);
        expect(stateOf(dir)).toEqual(before);
      }),
      runs,
    );
    expect(refused).toBeGreaterThan(signed);
    expect(signed).toBeGreaterThan(0);
  });

  test("C-119 whatever bytes come over a connection are answered with 4xx or not at all, and change no state", async () => {
    const log = new TestLog();
    const dir = await witnessFolder([log]);
    const served = await serveWitness({ dir, bodyTimeoutMs: 300 });
    onTestFinished(() => served.close());
    expect(await exchange(served.url, requestOver(log.request(0, 5)))).toMatch(/^HTTP\/1\.1 200 /);
    const before = stateOf(dir);
    const valid = requestOver(log.request(5, 13));
    const heads = [
      "POST /add-checkpoint HTTP/1.1",
      "PUT /add-checkpoint HTTP/1.1",
      "POST /sign-subtree HTTP/1.1",
      "BREW / HTTP/1.1",
    ];
    const headers = [
      "Host: x",
      "Content-Length: 5",
      "Content-Length: -1",
      "Content-Length: 99999999",
      "Content-Length: x",
      "Transfer-Encoding: chunked",
      "Expect: 100-continue",
      "Content-Encoding: gzip",
      "Content-Type: multipart/form-data; boundary=x",
    ];
    const message = fc.oneof(
      fc
        .tuple(fc.constantFrom(...heads), fc.subarray(headers), fc.uint8Array({ maxLength: 60 }))
        .map(([head, lines, body]) => Buffer.concat([utf8(`${[head, ...lines].join("\r\n")}\r\n\r\n`), body])),
      // Of the head only: a body that survives is a good request, whatever the connection adds to it.
      mangled(valid.subarray(0, 60)).map((head) => Buffer.concat([head, valid.subarray(60, valid.length - 9)])),
      fc.uint8Array({ maxLength: 400 }),
    );
    await fc.assert(
      fc.asyncProperty(message, async (bytes) => {
        // Some of them the server waits for to go on; that there is no answer then is all right.
        const answer = await exchange(served.url, bytes, 50);
        const statuses = [...answer.matchAll(/^HTTP\/1\.1 (\d{3})/gm)].map(([, status]) => Number(status));
        for (const status of statuses) expect(status === 100 || (status >= 400 && status < 500)).toBe(true);
        expect(answer).not.toMatch(SIGNATURE_LINE);
      }),
      { numRuns: Math.ceil(runs.numRuns / 4) },
    );
    const cut = requestOver(utf8("old 5\n"));
    expect(await exchange(served.url, cut)).toMatch(/^HTTP\/1\.1 400 /);
    expect((await fetch(`${served.url}/healthz`)).status).toBe(200);
    // Requests whose connection has ended may still be under way.
    await served.close();
    expect(stateOf(dir)).toEqual(before);
  }, 60_000);

  test("C-115 paths that try to get elsewhere find nothing", async () => {
    const witness = await TestWitness.start([]);
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.webPath(),
          fc.string({ maxLength: 80 }).map((text) => `/${encodeURIComponent(text.toWellFormed())}/checkpoint`),
        ),
        async (path) => {
          const reply = await witness.request(`http://witness.example${path}`);
          expect(
            reply.status === 404 ||
              ["/healthz", "/readyz", "/metrics", "/add-checkpoint", "/sign-subtree"].includes(path),
          ).toBe(true);
        },
      ),
      runs,
    );
  });
});
