import { describe, expect, test } from "vitest";
import {
  decodeTimestamped,
  mldsa44CosignatureMessage,
  parseNote,
  parseSignatureLine,
  sha256,
  signNote,
  utf8,
  createSigner,
} from "@tallystick/core";
import { mldsa44Verify } from "../../core/src/crypto-node.ts";
import { TestLog, subtreeBody } from "./test-log.ts";
import { NAME, TestWitness } from "./test-witness.ts";

interface Cosigned {
  readonly witness: TestWitness;
  readonly log: TestLog;
  /** The checkpoint of size 14 with our cosignatures. */
  readonly checkpoint: string;
}

async function cosigned(): Promise<Cosigned> {
  const log = new TestLog({ origin: "example.com/behind-the-sofa", size: 20 });
  const witness = await TestWitness.start([log]);
  const { body } = await witness.add(log.request(0, 14));
  return { witness, log, checkpoint: `${parseNote(log.checkpoint(14)).text}\n${body}` };
}

function bodyOf(
  { log, checkpoint }: Cosigned,
  { start, end }: { readonly start: number; readonly end: number },
): Uint8Array {
  const proof = log.subtreeProof({ start, end, size: 14 });
  return subtreeBody({ range: `subtree ${start} ${end}`, hash: log.subtreeHash(start, end), proof, checkpoint });
}

describe("sign-subtree", () => {
  test("C-160 C-73 answers with the ML-DSA-44 line over the subtree, with time 0", async () => {
    const setting = await cosigned();
    const { witness, log } = setting;
    for (const [start, end] of [
      [8, 13],
      [0, 13],
      [4, 8],
      [6, 8],
      [0, 14],
      [13, 14],
    ] as const) {
      const reply = await witness.sign(bodyOf(setting, { start, end }));
      expect(reply).toMatchObject({ status: 200, type: "text/plain; charset=utf-8" });
      const { signature: blob } = parseSignatureLine(reply.body.slice(0, -1));
      const { timestamp, signature } = decodeTimestamped(blob, 2420);
      expect(timestamp).toBe(0n);
      const message = mldsa44CosignatureMessage({
        name: NAME,
        timestamp,
        origin: log.origin,
        start,
        end,
        hash: log.subtreeHash(start, end),
      });
      expect(mldsa44Verify(witness.verifiers[1]?.publicKey ?? new Uint8Array(), message, signature)).toBe(true);
    }
  });

  test("C-160 answers 422 when the proof does not hold", async () => {
    const setting = await cosigned();
    const { witness, log, checkpoint } = setting;
    const proof = log.subtreeProof({ start: 8, end: 13, size: 14 });
    const hash = log.subtreeHash(8, 13);
    const range = "subtree 8 13";
    for (const wrong of [proof.slice(1), [...proof, hash], proof.toReversed(), []]) {
      expect((await witness.sign(subtreeBody({ range, hash, proof: wrong, checkpoint }))).status).toBe(422);
    }
    expect((await witness.sign(subtreeBody({ range, hash: sha256(hash), proof, checkpoint }))).status).toBe(422);
  });

  test("C-159 answers 404 for an unknown origin", async () => {
    const { witness } = await cosigned();
    const stranger = new TestLog({ origin: "log.example/b", size: 14 });
    expect(
      (
        await witness.sign(
          bodyOf({ witness, log: stranger, checkpoint: stranger.checkpoint(14) }, { start: 8, end: 13 }),
        )
      ).status,
    ).toBe(404);
  });

  test("C-159 answers 403 without a valid cosignature of our own: the log's is not enough", async () => {
    const setting = await cosigned();
    const { witness, log, checkpoint } = setting;
    const { text, signatures } = parseNote(checkpoint);
    const range = { start: 8, end: 13 };
    expect((await witness.sign(bodyOf({ ...setting, checkpoint: log.checkpoint(14) }, range))).status).toBe(403);
    const other = await witness.add(log.request(14, 16));
    const wrong = `${text}\n${other.body}`;
    expect((await witness.sign(bodyOf({ ...setting, checkpoint: wrong }, range))).status).toBe(403);
    const mixed = `${text}\n${signatures[0]?.line}\n${other.body}`;
    expect((await witness.sign(bodyOf({ ...setting, checkpoint: mixed }, range))).status).toBe(403);
  });

  test("C-161 takes a reference that is older than the latest, and either of our cosignatures on it", async () => {
    const setting = await cosigned();
    const { witness, log, checkpoint } = setting;
    await witness.add(log.request(14, 20));
    const { text, signatures } = parseNote(checkpoint);
    for (const { line } of signatures) {
      expect(
        (await witness.sign(bodyOf({ ...setting, checkpoint: `${text}\n${line}\n` }, { start: 8, end: 13 }))).status,
      ).toBe(200);
    }
  });

  test("C-161 C-162 answers 403 to the cosignature of another witness, or of a mirror", async () => {
    const setting = await cosigned();
    const { text } = parseNote(setting.checkpoint);
    for (const name of ["other.example/w", "witness.example/mirror", NAME]) {
      const signer = createSigner({ name, type: "mldsa44", seed: sha256(utf8(name)) });
      const checkpoint = signNote({ text, signers: [signer], timestamp: 1 });
      expect((await setting.witness.sign(bodyOf({ ...setting, checkpoint }, { start: 8, end: 13 }))).status).toBe(403);
    }
  });

  test("C-163 the signature over [8, 13) passes for no checkpoint, that over [0, 14) for one without a time", async () => {
    const setting = await cosigned();
    const { text } = parseNote(setting.checkpoint);
    const [, verifier] = setting.witness.verifiers;
    const claims: unknown[] = [];
    for (const range of [
      { start: 8, end: 13 },
      { start: 0, end: 14 },
    ]) {
      const reply = await setting.witness.sign(bodyOf(setting, range));
      const note = parseNote(`${text}\n${reply.body}`);
      claims.push(verifier?.verify(note, note.signatures[0]?.signature ?? new Uint8Array()));
    }
    expect(claims).toEqual([undefined, { timestamp: 0n }]);
  });

  test("C-165 is supported: other methods get 405, bodies that do not parse 400", async () => {
    const { witness } = await cosigned();
    expect((await witness.request("/sign-subtree")).status).toBe(405);
    expect((await witness.sign("")).status).toBe(400);
  });

  test("changes no state", async () => {
    const setting = await cosigned();
    const before = await setting.witness.latest(setting.log);
    await setting.witness.sign(bodyOf(setting, { start: 8, end: 13 }));
    expect((await setting.witness.latest(setting.log)).body).toBe(before.body);
  });
});
