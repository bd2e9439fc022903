import {
  type TlogProof,
  createSigner,
  decodeBase64,
  formatPolicy,
  formatTlogProof,
  hashLeaf,
  parsePolicy,
  parseTlogProof,
  signatureLine,
  utf8,
} from "@tallystick/core";
import {
  decodeLeaf,
  decodeOpening,
  encodeLeaf,
  encodeOpening,
  formatEvidence,
  parseEvidence,
} from "@tallystick/events";
import { describe, expect, test } from "vitest";
import { errorCode } from "../../../test/support/errors.ts";
import {
  ClientError,
  type Expectation,
  RECEIPT_STEPS,
  type ReceiptInput,
  verifyHead,
  verifyReceipt,
} from "../src/verify.ts";
import { createTallystick } from "../src/index.ts";
import { LogDouble, TOKEN } from "./support/log-double.ts";
import { login } from "./support/setup.ts";

interface Example {
  readonly log: LogDouble;
  readonly receipt: string;
  readonly opening: Uint8Array;
  readonly proof: TlogProof;
  readonly input: ReceiptInput;
}

async function createExample(): Promise<Example> {
  const log = new LogDouble();
  const client = createTallystick({
    url: log.url,
    token: TOKEN,
    policy: log.policyText,
    outbox: "none",
    fetch: log.fetch,
  });
  log.autoPublish = false;
  const all = ["a", "b", "c", "d", "e"].map((id) =>
    client.record(login(id, { session: { id: "ab".repeat(32) } }), { until: "witnessed" }),
  );
  await client.flush({ until: "durable" });
  log.publish();
  log.autoPublish = true;
  const { receipt = "", opening } = (await Promise.all(all))[2] ?? expect.fail();
  await client.close();
  const proof = parseTlogProof(receipt);
  return { log, receipt, opening, proof, input: { proof, opening, policy: parsePolicy(log.policyText) } };
}

const example = createExample();
// A test that awaits it sees the failure.
example.catch(() => undefined);

/** The step that fails, by name, and the code behind it. */
function refusalOf(input: ReceiptInput): { step: unknown; code: unknown } {
  try {
    verifyReceipt(input);
  } catch (error) {
    if (!(error instanceof ClientError) || error.code !== "receipt-refuted") throw error;
    return { step: error.details["step"], code: error.details["code"] };
  }
  return { step: undefined, code: undefined };
}

function changed(bytes: Uint8Array): Uint8Array {
  return bytes.map((byte, at) => (at === 0 ? byte ^ 1 : byte));
}

describe("verifyReceipt", () => {
  test("says what a receipt establishes", async () => {
    const { input, log, proof } = await example;
    expect(verifyReceipt(input)).toMatchObject({
      origin: log.origin,
      index: Number(proof.index),
      size: 6n,
      quorumMet: true,
      quorumNone: false,
      event: { type: "auth.login", outcome: "success" },
    });
    expect(verifyReceipt({ ...input, proof: formatTlogProof(proof) }).leafHash).toEqual(
      hashLeaf(proof.extra ?? utf8("")),
    );
  });

  test("has the leaf that was verified, whatever becomes of a proof that was given parsed", async () => {
    const { input, proof } = await example;
    const extra = new Uint8Array(proof.extra ?? []);
    const verified = verifyReceipt({ ...input, proof: { ...proof, extra } });
    const leaf = decodeLeaf(extra);
    extra.fill(0);
    expect(verified.leaf).toEqual(leaf);
    expect(verified.leaf).toBe(verified.leaf);
  });

  test("carries one signature line of the log and of each witness that the quorum needs", async () => {
    const { proof } = await example;
    expect(proof.checkpoint.split("\n").filter((line) => line.startsWith("— "))).toHaveLength(3);
  });

  describe("names the step that fails", () => {
    test("format", async () => {
      const { input, receipt } = await example;
      expect(refusalOf({ ...input, proof: "" })).toMatchObject({ step: "format", code: "proof-malformed" });
      expect(refusalOf({ ...input, proof: receipt.replace("index", "lndex") })).toMatchObject({ step: "format" });
      expect(refusalOf({ ...input, proof: Uint8Array.of(0xff) })).toMatchObject({ step: "format" });
    });

    test("C-210 leaf", async () => {
      const { input, proof } = await example;
      const { extra: _extra, ...without } = proof;
      expect(refusalOf({ ...input, proof: without })).toMatchObject({ step: "leaf", code: "evidence-malformed" });
      expect(refusalOf({ ...input, proof: { ...proof, extra: Uint8Array.of(0x80) } })).toMatchObject({ step: "leaf" });
    });

    test("C-210 commitment", async () => {
      const { input, opening } = await example;
      const { salt, event } = decodeOpening(opening);
      const other = encodeOpening({ salt: changed(salt), event });
      expect(refusalOf({ ...input, opening: other })).toMatchObject({ step: "commitment", code: "evidence-malformed" });
      expect(refusalOf({ ...input, opening: utf8("no opening") })).toMatchObject({ step: "commitment" });
    });

    test.each<[string, (leaf: ReturnType<typeof decodeLeaf>) => Expectation]>([
      ["class", () => ({ class: "other" })],
      ["commitment", () => ({ commitment: new Uint8Array(32) })],
      ["stream", () => ({ stream: new Uint8Array(16) })],
      ["sequence", () => ({ sequence: 99 })],
      ["sequence", () => ({ sequence: null })],
      ["session tag", () => ({ sessionTag: null })],
      ["actor tag", () => ({ actorTag: new Uint8Array(16) })],
      ["subject tag", () => ({ subjectTag: new Uint8Array(16) })],
      ["tenant tag", () => ({ tenantTag: new Uint8Array(16) })],
      ["index", () => ({ index: 99 })],
    ])("as-sent: %s", async (field, expectOf) => {
      const { input, proof } = await example;
      const expectation = expectOf(decodeLeaf(proof.extra ?? utf8("")));
      expect(refusalOf({ ...input, expect: expectation })).toMatchObject({ step: "as-sent", code: "log-misbehaved" });
      expect(() => verifyReceipt({ ...input, expect: expectation })).toThrow(`as-sent: ${field}`);
    });

    test("as-sent: the event says another class or session than the leaf bears", async () => {
      const { input, proof } = await example;
      const leaf = decodeLeaf(proof.extra ?? utf8(""));
      for (const other of [
        { ...leaf, class: "other" },
        { ...leaf, session: null },
      ]) {
        expect(refusalOf({ ...input, proof: { ...proof, extra: encodeLeaf(other) } })).toMatchObject({
          step: "as-sent",
        });
      }
    });

    test("time", async () => {
      const { input, proof } = await example;
      const { loggedAt, ...leaf } = decodeLeaf(proof.extra ?? utf8(""));
      const later = { ...input, expect: { sentAt: loggedAt + 300_001 } };
      expect(refusalOf(later)).toMatchObject({ step: "time" });
      expect(verifyReceipt({ ...input, expect: { sentAt: loggedAt + 300_000 } }).index).toBe(Number(proof.index));
      const extra = encodeLeaf({ ...leaf, loggedAt: loggedAt + 400_000 });
      expect(refusalOf({ ...input, proof: { ...proof, extra } })).toMatchObject({ step: "time" });
    });

    test("C-209 inclusion", async () => {
      const { input, proof } = await example;
      const [first = utf8(""), ...rest] = proof.hashes;
      const wrong = [
        { ...proof, hashes: [changed(first), ...rest] },
        { ...proof, hashes: rest },
        { ...proof, hashes: [...proof.hashes, first] },
        { ...proof, index: proof.index + 1n },
        { ...proof, index: 6n },
      ];
      for (const given of wrong) expect(refusalOf({ ...input, proof: given })).toMatchObject({ step: "inclusion" });
    });

    test("C-209 log-signature", async () => {
      const { input, proof, log } = await example;
      const lines = proof.checkpoint.split("\n");
      const unsigned = lines.filter((line) => !line.startsWith(`— ${log.origin} `)).join("\n");
      expect(refusalOf({ ...input, proof: { ...proof, checkpoint: unsigned } })).toMatchObject({
        step: "log-signature",
        code: "signature-untrusted",
      });
      const stranger = createSigner({ name: "log.example/stranger", type: "ed25519", seed: new Uint8Array(32) });
      const policy = parsePolicy(formatPolicy({ logs: [{ vkey: stranger.vkey }], witnesses: [], quorum: "none" }));
      expect(refusalOf({ ...input, policy })).toMatchObject({ step: "log-signature", code: "origin-unknown" });
    });

    test("C-209 quorum", async () => {
      const { input, proof } = await example;
      const lines = proof.checkpoint.split("\n");
      const one = lines.filter((line) => !line.startsWith("— w2")).join("\n");
      const given = { ...input, proof: { ...proof, checkpoint: one } };
      expect(refusalOf(given)).toMatchObject({ step: "quorum", code: "quorum-not-met" });
      expect(verifyReceipt({ ...given, requireQuorum: false })).toMatchObject({ quorumMet: false });
      // Cosignatures from the future do not count.
      const before = Date.now() - 3_600_000;
      expect(refusalOf({ ...input, now: before })).toMatchObject({ step: "quorum" });
    });

    test("each of the steps above, in their order", () => {
      expect(RECEIPT_STEPS).toEqual([
        "format",
        "leaf",
        "commitment",
        "as-sent",
        "time",
        "inclusion",
        "log-signature",
        "quorum",
      ]);
    });
  });

  test("refuses a head that was verified for another proof", async () => {
    const { input, log } = await example;
    const verifiedHead = verifyHead(input, log.checkpoint(3));
    expect(errorCode(() => verifyReceipt({ ...input, verifiedHead }))).toBe("TypeError");
  });

  test("does not take the log's key for a witness's", async () => {
    const { input, proof, log } = await example;
    const [text = ""] = proof.checkpoint.split("\n\n");
    const line = signatureLine({ signer: log.signer, noteText: `${text}\n` });
    const checkpoint = `${text}\n\n${line}\n${line}\n`;
    expect(refusalOf({ ...input, proof: { ...proof, checkpoint } })).toMatchObject({ step: "quorum" });
  });
});

describe("one flipped bit", () => {
  test("anywhere in a receipt is refused", { timeout: 60_000 }, async () => {
    const { receipt, input } = await example;
    const bytes = utf8(receipt);
    for (let bit = 0; bit < bytes.length * 8; bit += 1) {
      const proof = flipped(bytes, bit);
      if (refusalOf({ ...input, proof }).step === undefined) throw new Error(`bit ${bit} is missed`);
    }
  });

  test("anywhere in an evidence file is refused", { timeout: 60_000 }, async () => {
    const { receipt, opening, input } = await example;
    const bytes = utf8(formatEvidence({ proof: receipt, opening }));
    for (let bit = 0; bit < bytes.length * 8; bit += 1) {
      if (isAccepted(flipped(bytes, bit), input)) throw new Error(`bit ${bit} is missed`);
    }
  });
});

function flipped(bytes: Uint8Array, bit: number): Uint8Array {
  return bytes.map((byte, at) => (at === Math.floor(bit / 8) ? byte ^ (1 << (bit % 8)) : byte));
}

function isAccepted(file: Uint8Array, { policy }: ReceiptInput): boolean {
  try {
    const { proof, opening } = parseEvidence(new TextDecoder("utf-8", { fatal: true }).decode(file));
    verifyReceipt({ proof, policy, ...(opening === undefined ? {} : { opening }) });
    return opening !== undefined;
  } catch {
    return false;
  }
}

test("base64 in a receipt has one form", () => {
  expect(errorCode(() => decodeBase64("AAAAAAB="))).toBe("encoding-malformed");
});
