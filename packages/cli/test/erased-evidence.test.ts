/** What `verify` says of a receipt whose contents were erased, and of a certificate by itself. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Certificate, formatEvidence } from "@tallystick/events";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { DAY, DAY_MS, ErasedLog, START, doneOf, orderOf, requestOf } from "../../client/test/support/erased-log.ts";
import { expectClean, expectFailure } from "./support/clean.ts";
import { type Ran, runHere } from "./support/run-here.ts";

let folder: string;
let log: ErasedLog;
let order: Certificate;
let ordered: number;
let done: number;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tallystick-cli-"));
  log = new ErasedLog();
  for (const id of ["anna", "bob", "anna"]) await log.login(id);
  order = orderOf(log, { tags: [log.chainOf(log.tagOf("anna"))] }, { by: "officer-1", approvedBy: "officer-2" });
  ordered = await log.certify(order);
  done = await log.certify(doneOf(order, ordered));
  await writeFile(join(folder, "policy.txt"), log.log.policyText);
});
afterEach(async () => rm(folder, { recursive: true, force: true }));

async function verify(...words: readonly string[]): Promise<Ran> {
  const ran = await runHere(["verify", ...words, "--policy", join(folder, "policy.txt")]);
  expectClean(ran, ["anna"]);
  return ran;
}

/** Writes the receipt of an entry, and gives its path. */
async function receipt(index: number): Promise<string> {
  const path = join(folder, `${index}.tlog-proof`);
  await writeFile(path, log.receiptOf(index));
  return path;
}

async function evidence(index: number): Promise<string> {
  const path = join(folder, `${index}.evidence.json`);
  await writeFile(path, formatEvidence(log.evidenceOf(index)));
  return path;
}

describe("verify --certificate", () => {
  test("begins with ERASED, and names the certificate's index, its request and its ground", async () => {
    const ran = await verify(await receipt(0), "--certificate", await evidence(done));
    expect(ran).toMatchObject({ code: 0, err: "" });
    expect(ran.out).toMatch(new RegExp(`^ERASED {2}the contents of index 0, under the certificate of index ${done}\n`));
    expect(ran.out).toContain(`request ${order.request}, by officer-1 and officer-2: "GDPR Art. 17"\n`);
    expect(ran.out).toContain("covers   what is about one person: 1 tag, 2 entries that bear it");
    expect(ran.out).toContain(`keys     1 destroyed; in no backup of the key store from ${order.finalOn} on\n`);
    expect(ran.out).toContain("not shown: that nobody kept a copy");
  });

  test("gives the same as JSON", async () => {
    const ran = await verify(await receipt(0), "--certificate", await evidence(done), "--json");
    expect(JSON.parse(ran.out)).toMatchObject({
      verdict: "ERASED",
      index: 0,
      quorumMet: true,
      certificate: { index: done, covering: done, request: order.request, ground: "GDPR Art. 17", state: "done" },
    });
  });

  test("cannot tell, with 2, from the order alone", async () => {
    const ran = await verify(await receipt(0), "--certificate", await evidence(ordered));
    expect(ran).toMatchObject({ code: 2, out: expect.stringMatching(/^CANNOT TELL {2}/) });
    expect(ran.out).toContain("unknown  it was ordered; give the evidence of the entry that says it is done");
    const both = ["--certificate", await evidence(ordered), "--certificate", await evidence(done)];
    expect(await verify(await receipt(0), ...both)).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^ERASED {2}/),
    });
  });

  test("cannot tell, with 2, where some entries of its class were kept", async () => {
    log.now = START + DAY_MS;
    const scope = { classDay: { class: "auth", day: DAY, first: 0, last: 2, count: 3 } };
    const more = { request: requestOf(2), keys: ["0".repeat(64)], ground: "retention", kept: [["auth", 1] as const] };
    const expiry = orderOf(log, scope, more);
    const end = await log.certify(doneOf(expiry, await log.certify(expiry)));
    const ran = await verify(await receipt(1), "--certificate", await evidence(end));
    expect(ran).toMatchObject({ code: 2, out: expect.stringMatching(/^CANNOT TELL {2}/) });
    expect(ran.out).toContain("covers   class auth of 2025-10-10: 3 entries, index 0 to 2; nothing from index 5 on\n");
    expect(ran.out).toContain("kept     1 of class auth: a hold or a duty to keep them goes on\n");
    expect(ran.out).toContain("unknown  some entries of class auth were kept");
  });

  test("refutes, with 1, a certificate that covers another entry, and an entry that is none", async () => {
    const ran = await verify(await receipt(1), "--certificate", await evidence(done));
    expect(ran).toMatchObject({ code: 1, out: expect.stringMatching(/^REFUTED {2}certificate: that of index 4 /) });
    const none = await verify(await receipt(0), "--certificate", await evidence(1));
    expect(none).toMatchObject({
      code: 1,
      out: expect.stringMatching(/^REFUTED {2}certificate: index 1 is an entry of/),
    });
  });

  test("is LOG-ONLY, with 2, where entry or certificate has no quorum", async () => {
    const proof = await receipt(0);
    log.log.cosigning = 1;
    const ran = await verify(proof, "--certificate", await evidence(done));
    expect(ran).toMatchObject({ code: 2, out: expect.stringMatching(/^LOG-ONLY {2}/) });
    expect(ran.out).toContain(`that the policy asks for (index ${done})\n`);
  });

  test("takes no receipt with its contents, no opening, and no other file for a certificate", async () => {
    const certificate = await evidence(done);
    expectFailure(await verify(await evidence(0), "--certificate", certificate), 3, "verify");
    await writeFile(join(folder, "opening"), "AAAA");
    const opening = ["--opening", join(folder, "opening")];
    expectFailure(await verify(await receipt(0), "--certificate", certificate, ...opening), 3, "verify");
    for (const path of [join(folder, "policy.txt"), join(folder, "nothing"), await receipt(done)])
      expectFailure(await verify(await receipt(0), "--certificate", path), 2, "verify");
  });
});

describe("verify of a certificate", () => {
  test("says what it certifies", async () => {
    const ran = await verify(await evidence(ordered));
    expect(ran).toMatchObject({ code: 0, out: expect.stringMatching(/^VERIFIED {2}log\.erasure success\n/) });
    expect(ran.out).toContain(
      `erasure  ordered, request ${order.request}, by officer-1 and officer-2: "GDPR Art. 17"\n`,
    );
    expect(ran.out).toContain("nothing from index 3 on\n");
    expect(ran.out).toContain("keys     1 ordered to be destroyed; ");
    expect((await verify(await evidence(done))).out).toContain("erasure  done, request ");
  });

  test("refutes, with 1, one that is malformed, whatever else it proves", async () => {
    const malformed = await log.say({ type: "log.erasure", context: { ground: "none" } });
    const ran = await verify(await evidence(malformed));
    expect(ran).toMatchObject({
      code: 1,
      out: expect.stringMatching(/^REFUTED {2}certificate: state: expected one of/),
    });
  });
});
