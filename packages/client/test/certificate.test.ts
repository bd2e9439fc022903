/** That contents were erased, offline: a receipt, and the evidence of a certificate that covers it. */
import {
  createSigner,
  formatCheckpoint,
  formatPolicy,
  formatTlogProof,
  parseCheckpoint,
  parseNote,
  parsePolicy,
  parseTlogProof,
  signatureLine,
} from "@tallystick/core";
import type { Certificate } from "@tallystick/events";
import { beforeEach, describe, expect, test } from "vitest";
import { ClientError, type VerifiedErasure, verifyCertificate, verifyErasure } from "../src/verify.ts";
import { DAY, DAY_MS, ErasedLog, START, doneOf, orderOf, requestOf } from "./support/erased-log.ts";

let log: ErasedLog;
let order: Certificate;
let ordered: number;
let done: number;

beforeEach(async () => {
  log = new ErasedLog();
  for (const id of ["anna", "bob", "anna"]) await log.login(id);
  order = orderOf(log, { tags: [log.chainOf(log.tagOf("anna"))] });
  ordered = await log.certify(order);
  done = await log.certify(doneOf(order, ordered));
});

/** Verifies that an entry was erased, by the certificates at these indexes. */
function verify(index: number, certificates: readonly number[]): VerifiedErasure {
  return verifyErasure({
    proof: log.receiptOf(index),
    policy: parsePolicy(log.log.policyText),
    certificates: certificates.map((at) => log.evidenceOf(at)),
  });
}

function refusal(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof ClientError && error.code === "receipt-refuted")
      return `${String(error.details["step"])}: ${error.message}`;
    throw error;
  }
  return "taken";
}

describe("verifyErasure", () => {
  test("names the certificate that covers an entry, and the one that says that it is done", () => {
    expect(verify(0, [done])).toMatchObject({
      receipt: { index: 0 },
      covering: { receipt: { index: done }, certificate: { state: "done", request: order.request } },
      done: { receipt: { index: done } },
      mayBeKept: false,
    });
    expect(verify(2, [ordered, done])).toMatchObject({ done: { receipt: { index: done } } });
    expect(verify(2, [done, ordered])).toMatchObject({ done: { receipt: { index: done } } });
  });

  test("says of an order alone that it is not shown to be done", () => {
    expect(verify(0, [ordered])).toMatchObject({ covering: { receipt: { index: ordered } }, done: undefined });
  });

  test("takes the end of an order in parts from whichever entry has the tag", async () => {
    const tag = log.chainOf(log.tagOf("bob"));
    const other = { request: requestOf(2), keys: ["0".repeat(64)], parts: 2, before: log.size };
    const first = await log.certify(orderOf(log, { tags: [] }, { ...other, part: 1 }));
    const second = await log.certify(orderOf(log, { tags: [tag] }, { ...other, part: 2 }));
    const end = await log.certify(doneOf(orderOf(log, { tags: [] }, other), first));
    expect(verify(1, [second, end])).toMatchObject({
      covering: { receipt: { index: second } },
      done: { receipt: { index: end } },
    });
    expect(refusal(() => verify(1, [first, end]))).toContain("does not cover index 1");
  });

  test("covers a class-day, and says where some of the class were kept", async () => {
    log.now = START + DAY_MS;
    const classDay = { class: "auth", day: DAY, first: 0, last: 2, count: 3 };
    const scope = { classDay };
    const all = orderOf(log, scope, { request: requestOf(3), keys: ["0".repeat(64)] });
    const kept = { ...all, kept: [["auth", 1] as const] };
    const at = await log.certify(kept);
    const end = await log.certify(doneOf(kept, at));
    expect(verify(1, [end])).toMatchObject({ mayBeKept: true, done: { receipt: { index: end } } });
    // What the other one destroyed, nobody kept.
    expect(verify(0, [end, done])).toMatchObject({ mayBeKept: false, done: { receipt: { index: done } } });
    expect(verify(0, [ordered, end])).toMatchObject({ mayBeKept: true, done: { receipt: { index: end } } });
  });

  test("is content where the hold that kept the entry was lifted, and certainly kept it", async () => {
    log.now = START + DAY_MS;
    const held = { class: "hold-0123abcd", day: DAY, first: 0, last: 2, count: 2 };
    const scope = { classDay: { class: "auth", day: DAY, first: 0, last: 2, count: 3 } };
    const all = {
      ...orderOf(log, scope, { request: requestOf(3), keys: ["0".repeat(64)] }),
      kept: [["auth", 2] as const],
    };
    const end = await log.certify(doneOf(all, await log.certify(all)));
    let key = 0;
    async function lifted(classDay: typeof held, more: Partial<Certificate> = {}): Promise<readonly [number, number]> {
      key += 1;
      const keys = [String(key).repeat(64)];
      const lift = { ...orderOf(log, { classDay }, { request: requestOf(3 + key), keys }), ...more };
      const at = await log.certify(lift);
      return [at, await log.certify(doneOf(lift, at))];
    }
    const [orderedOnly, both] = await lifted(held);
    for (const index of [0, 2])
      expect(verify(index, [end, both])).toMatchObject({
        mayBeKept: false,
        covering: { receipt: { index: end } },
        lifted: { receipt: { index: both } },
      });
    // One of two between the first and the last, another day, an order alone, one that keeps some of it for another hold.
    expect(verify(1, [end, both])).toMatchObject({ mayBeKept: true, lifted: undefined });
    expect(verify(0, [end, orderedOnly])).toMatchObject({ mayBeKept: true });
    const [, otherDay] = await lifted({ ...held, day: DAY + 1 });
    expect(verify(0, [end, otherDay])).toMatchObject({ mayBeKept: true });
    const [, keeping] = await lifted(held, { kept: [["auth", 1]] });
    expect(verify(0, [end, keeping])).toMatchObject({ mayBeKept: true });
    const [, whole] = await lifted({ ...held, count: 3 });
    expect(verify(1, [end, whole])).toMatchObject({ mayBeKept: false });
    // It covers nothing by itself.
    expect(refusal(() => verify(0, [both]))).toContain("does not cover index 0");
  });

  test("does not say that an entry was not kept, where more classes were than a certificate names", async () => {
    log.now = START + DAY_MS;
    const names = Array.from({ length: 63 }, (_, at) => [`class${String(at)}`, 1] as const);
    const tags = [log.chainOf(log.tagOf("bob"))];
    const more = { request: requestOf(3), keys: ["0".repeat(64)] };
    const all = { ...orderOf(log, { tags }, more), kept: [...names, ["other", 2] as const] };
    const end = await log.certify(doneOf(all, await log.certify(all)));
    expect(verify(1, [end])).toMatchObject({ mayBeKept: true });
  });

  test("refuses a certificate that does not cover the entry: another person's, or one from before it", async () => {
    expect(refusal(() => verify(1, [done]))).toContain(`certificate: that of index ${done} does not cover index 1`);
    const late = await log.login("anna");
    expect(refusal(() => verify(late, [ordered, done]))).toContain(`does not cover index ${late}`);
  });

  test("does not take the end of another erasure for that of this one", async () => {
    const others: Partial<Certificate>[] = [
      { request: requestOf(9) },
      { before: order.before + 1 },
      { keys: ["f".repeat(64)] },
      { ordered: ordered + 1 },
    ];
    for (const other of others) {
      const end = await log.certify({ ...doneOf(order, ordered), scope: { tags: [] }, ...other });
      expect(verify(0, [ordered, end]).done).toBeUndefined();
    }
  });

  test("refuses a certificate of another log, though the policy trusts that one too", () => {
    const other = createSigner({ name: "log.example/other", type: "ed25519", seed: new Uint8Array(32).fill(9) });
    const witnesses = log.log.witnesses;
    const policy = formatPolicy({
      logs: [{ vkey: log.log.signer.vkey }, { vkey: other.vkey }],
      witnesses: witnesses.map(({ vkey }, at) => ({ name: `w${at}`, vkeys: [vkey] })),
      quorum: 2,
    });
    const evidence = log.evidenceOf(done);
    const proof = parseTlogProof(evidence.proof);
    const { size, rootHash } = parseCheckpoint(parseNote(proof.checkpoint).text);
    const noteText = formatCheckpoint({ origin: "log.example/other", size, rootHash });
    const timestamp = Math.floor(log.now / 1000);
    const lines = [other, ...witnesses].map((signer) => signatureLine({ signer, noteText, timestamp }));
    const checkpoint = `${noteText}\n${lines.map((line) => `${line}\n`).join("")}`;
    const foreign = { ...evidence, proof: formatTlogProof({ ...proof, checkpoint }) };
    const under = { proof: log.receiptOf(0), policy: parsePolicy(policy) };
    expect(verifyErasure({ ...under, certificates: [evidence] }).done).toBeDefined();
    const work = (): unknown => verifyErasure({ ...under, certificates: [foreign] });
    expect(refusal(work)).toContain("certificate: it is of log log.example/other, the entry of log.example/double");
  });

  test("refuses what is no certificate, or is not the log's own word", async () => {
    expect(refusal(() => verify(0, [1]))).toContain("certificate: index 1 is an entry of type auth.login");
    const malformed = await log.say({ type: "log.erasure", context: { ground: "none" } });
    expect(refusal(() => verify(0, [malformed]))).toMatch(/^certificate: certificate: /);
    const elsewhere = await log.certify(order, { retention: "auth" });
    expect(refusal(() => verify(0, [elsewhere]))).toContain("is not of class log in a signed stream");
  });

  test("refuses a certificate of which a bit is flipped, as any receipt", () => {
    const evidence = log.evidenceOf(done);
    for (let at = 40; at < evidence.opening.length; at += 37) {
      const opening = evidence.opening.slice();
      opening[at] = (opening[at] ?? 0) ^ 1;
      const work = (): unknown =>
        verifyCertificate({ evidence: { ...evidence, opening }, policy: parsePolicy(log.log.policyText) });
      expect(refusal(work)).toMatch(/^commitment: /);
    }
  });

  test("needs the quorum for entry and certificate, unless it is told otherwise", () => {
    log.log.cosigning = 1;
    expect(refusal(() => verify(0, [done]))).toMatch(/^quorum: /);
    const [proof, evidence] = [log.receiptOf(0), log.evidenceOf(done)];
    const policy = parsePolicy(log.log.policyText);
    const erasure = verifyErasure({ proof, certificates: [evidence], policy, requireQuorum: false });
    expect(erasure.covering.receipt.quorumMet).toBe(false);
  });
});
