/** What `audit` says of a log that shows less than it has, and of streams and their keys. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createTallystick } from "@tallystick/client";
import { ed25519PublicKey, encodeBase64, encodeHex } from "@tallystick/core";
import { type VerifiedBatch, encodeOpening } from "@tallystick/events";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ErasedLog, doneOf, orderOf } from "../../client/test/support/erased-log.ts";
import { LogDouble, TOKEN } from "../../client/test/support/log-double.ts";
import { expectClean, expectFailure } from "./support/clean.ts";
import { type Ran, runHere } from "./support/run-here.ts";
import { type ScriptedLog, startScriptedLog } from "./support/scripted-log.ts";

const SEED = new Uint8Array(32).fill(7);
const SENDER_KEY = encodeHex(ed25519PublicKey(SEED));
const HOUR = 3_600_000;

type Contents = (index: number) => { readonly status: number; readonly body: string };

let folder: string;
let double: LogDouble;
let log: ScriptedLog;
let contents: Contents;
/** Of ranges. */
let ranges: (range: { readonly from: number; readonly limit: number }) => ReturnType<Contents>;
/** Of every entry. */
let openings: Uint8Array[];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tallystick-cli-"));
  double = new LogDouble();
  openings = [];
  double.hooks.batch = ({ batch }: VerifiedBatch) => void openings.push(...batch.entries.map(encodeOpening));
  contents = (index) => ({ status: 200, body: JSON.stringify({ opening: encodeBase64(openings[index] ?? SEED) }) });
  ranges = () => ({ status: 404, body: '{"code":"not-found"}' });
  log = await startScriptedLog();
  log.answer = (request, response) => {
    const path = (request.url ?? "").replace("/app/", "");
    const [, from, limit] = /^v1\/openings\?from=(\d+)&limit=(\d+)/.exec(path) ?? [];
    if (from !== undefined) {
      const { status, body } = ranges({ from: Number(from), limit: Number(limit) });
      response.writeHead(status, { "content-type": "application/json" }).end(body);
      return;
    }
    const entry = /^v1\/events\/(\d+)$/.exec(path)?.[1];
    if (entry !== undefined) {
      const { status, body } = contents(Number(entry));
      response.writeHead(status, { "content-type": "application/json" }).end(body);
      return;
    }
    void double.fetch(`${double.url}/${path}`).then(async (answer) => {
      response.writeHead(answer.status).end(new Uint8Array(await answer.arrayBuffer()));
    });
  };
  await writeFile(join(folder, "policy.txt"), double.policyText);
});
afterEach(async () => {
  await log.close();
  await rm(folder, { recursive: true, force: true });
});

/** An application that reports two logins, and says or does not say that it is over. */
async function report(end: boolean): Promise<void> {
  const options = { url: double.url, token: TOKEN, policy: double.policyText, fetch: double.fetch, senderKey: SEED };
  const outbox = join(folder, `outbox-${double.leaves.length}`);
  const client = createTallystick({ ...options, outbox, now: double.now });
  for (const id of ["a", "b"])
    await client.record({ type: "auth.login", outcome: "success", actor: { type: "user", id } });
  await client.flush();
  await client.close({ end });
}

async function audit(...options: readonly string[]): Promise<Ran> {
  const ran = await runHere(["audit", log.url, "--policy", join(folder, "policy.txt"), ...options]);
  expectClean(ran);
  return ran;
}

async function auditJson(...options: readonly string[]): Promise<Record<string, unknown>> {
  return JSON.parse((await audit(...options, "--json")).out) as Record<string, unknown>;
}

describe("audit --contents", () => {
  test("is VERIFIED, with 0, where each is shown", async () => {
    await report(false);
    const ran = await audit("--contents");
    expect(ran).toMatchObject({ code: 0, out: expect.stringMatching(/^VERIFIED {2}/) });
    expect(ran.out).toContain("contents 3 opened, each matches its leaf\n");
  });

  test("is REFUTED, with 1, where the log has no contents and no certificate covers the entry", async () => {
    await report(false);
    const honest = contents;
    for (const answer of [
      { status: 410, body: '{"code":"erased"}' },
      { status: 410, body: '{"code":"erased","certificate":0}' },
      { status: 410, body: '{"code":"erased","certificate":"3"}' },
      { status: 410, body: '{"code":"erased","certificate":3}' },
      { status: 410, body: "" },
      { status: 404, body: '{"code":"index-unknown"}' },
      { status: 500, body: '{"code":"log-corrupt"}' },
    ]) {
      contents = (index) => (index === 1 ? answer : honest(index));
      const ran = await audit("--contents");
      expect(ran).toMatchObject({ code: 1, err: "", out: expect.stringMatching(/^REFUTED {2}/) });
      expect(ran.out).toContain("index 1: it does not open, and ");
      expect(ran.out).toContain("(contents-destroyed)");
    }
  });

  test("cannot tell, with 2, where the log does not answer", async () => {
    await report(false);
    contents = () => ({ status: 503, body: '{"code":"log-overloaded"}' });
    expectFailure(await audit("--contents"), 2, "audit");
  });

  test("is CONTENTS-WITHHELD, with 2, where the log shows a certificate beyond the audited head", async () => {
    const erased = new ErasedLog();
    for (const id of ["anna", "bob", "anna"]) await erased.login(id);
    const tag = erased.tagOf("anna");
    const ordered = await erased.certify(orderOf(erased, { tags: [erased.chainOf(tag)] }));
    double = erased.log;
    double.publish(3);
    openings = erased.openings;
    const opened = contents;
    const gone = { status: 410, body: JSON.stringify({ code: "erased", certificate: ordered }) };
    contents = (index) => (index % 2 === 0 ? gone : opened(index));
    const ran = await audit("--contents");
    expect(ran).toMatchObject({ code: 2, err: "", out: expect.stringMatching(/^CONTENTS-WITHHELD {2}/) });
    expect(ran.out).toContain(
      "contents 1 opened, each matches its leaf; 2 erased meanwhile, from index 0 on: nothing is known of them, audit again",
    );
    expect(ran.out).toContain("last sequence 3, ");
    expect(ran.out).toContain("ended, open or cut");
    expect(await auditJson("--contents")).toMatchObject({
      verdict: "CONTENTS-WITHHELD",
      counts: { opened: 1, withheld: 2 },
      withheld: [0, 2],
    });
  });

  test("is VERIFIED where certificates cover all that was erased, and --certificates opens these alone", async () => {
    const erased = new ErasedLog();
    for (const id of ["anna", "bob", "anna"]) await erased.login(id);
    const tag = erased.tagOf("anna");
    const order = orderOf(erased, { tags: [erased.chainOf(tag)] });
    const ordered = await erased.certify(order);
    erased.erase(erased.about(tag), ordered);
    await erased.certify(doneOf(order, ordered));
    double = erased.log;
    openings = erased.openings;
    const opened = contents;
    contents = (index) =>
      erased.gone.has(index)
        ? { status: 410, body: JSON.stringify({ code: "erased", certificate: ordered }) }
        : opened(index);
    const ran = await audit("--contents");
    expect(ran).toMatchObject({ code: 0, out: expect.stringMatching(/^VERIFIED {2}/) });
    expect(ran.out).toContain("contents 3 opened, each matches its leaf; 2 erased, as certificates say\n");
    expect(ran.out).toContain("erasures 1 ordered, 1 of them done\n");
    const own = await audit("--certificates");
    expect(own).toMatchObject({ code: 0, out: expect.stringMatching(/^VERIFIED {2}/) });
    expect(own.out).toContain("contents 2 opened, each matches its leaf; the log's own only\n");
    expectFailure(await audit("--certificates", "--contents"), 3, "audit");
  });

  test.each(["<html>", "null", "[]", "{}", '{"opening":7}', '{"opening":"!!!"}', "\u0000", "[".repeat(100_000)])(
    "says in words that %j is no answer, with 2",
    async (body) => {
      await report(false);
      contents = () => ({ status: 200, body });
      const ran = await audit("--contents");
      expectFailure(ran, 2, "audit");
      expect(ran.err).toMatch(/^tallystick audit: the log's answer: [^\n]+ \(log-answer-malformed\)\n$/);
      expect(ran.err).not.toMatch(/SyntaxError|destructure|Unexpected token/);
    },
  );

  test("asks for ranges, and one by one where the log gives none", async () => {
    await report(false);
    await audit("--contents");
    const asked = (): string[] => log.requests.filter((line) => /v1\/(events|openings)/.test(line));
    const [range, ...single] = asked();
    expect(range).toContain("/app/v1/openings?from=0&limit=3 ");
    expect(single).toHaveLength(3);
    ranges = ({ from, limit }) => ({
      status: 200,
      body: JSON.stringify({
        openings: openings.slice(from, from + limit).map((opening, at) => ({
          index: from + at,
          opening: encodeBase64(opening),
        })),
      }),
    });
    const before = asked().length;
    const ran = await audit("--contents", "--purpose", "review 7");
    expect(ran).toMatchObject({ code: 0, out: expect.stringContaining("contents 3 opened, each matches its leaf\n") });
    expect(asked().slice(before)).toEqual([expect.stringContaining("/v1/openings?from=0&limit=3&purpose=review%207 ")]);
  });

  test.each([
    ['{"index":1,"code":"erased"}', 1, "contents-destroyed"],
    ['{"index":1,"code":"erased","certificate":0}', 1, "contents-destroyed"],
    ['{"index":1,"code":"key-lost"}', 1, "contents-destroyed"],
    ['{"index":1,"code":"log-corrupt"}', 1, "contents-destroyed"],
    ['{"index":1,"code":"something-new"}', 0, "VERIFIED"],
    ['{"index":1}', 0, "VERIFIED"],
    ['{"index":2,"code":"erased"}', 2, "log-answer-malformed"],
    ['{"index":1,"opening":7}', 2, "log-answer-malformed"],
    ['{"index":1,"opening":"!!!"}', 2, "log-answer-malformed"],
    ["null", 2, "log-answer-malformed"],
  ])("takes %s for one of a range as it should, with %i and %s", async (second, code, word) => {
    await report(false);
    const [first, , third] = openings.map((opening, index) =>
      JSON.stringify({ index, opening: encodeBase64(opening) }),
    );
    ranges = () => ({ status: 200, body: `{"openings":[${first},${second},${third}]}` });
    const ran = await audit("--contents");
    expect(ran.code).toBe(code);
    expect(`${ran.out}${ran.err}`).toContain(word);
  });

  test.each(["<html>", "null", "[]", "{}", '{"openings":7}', '{"openings":[]}', '{"openings":[{},{},{},{}]}'])(
    "says in words that %j is no range, with 2",
    async (body) => {
      await report(false);
      ranges = () => ({ status: 200, body });
      const ran = await audit("--contents");
      expectFailure(ran, 2, "audit");
      expect(ran.err).toMatch(/^tallystick audit: the log's answer: [^\n]+ \(log-answer-malformed\)\n$/);
    },
  );

  test("cannot tell, with 2, where the log refuses ranges for another reason", async () => {
    await report(false);
    for (const [status, code] of [
      [403, "forbidden"],
      [503, "log-overloaded"],
    ] as const) {
      ranges = () => ({ status, body: JSON.stringify({ code }) });
      expectFailure(await audit("--contents"), 2, "audit");
    }
  });

  test("refutes contents that are another entry's", async () => {
    await report(false);
    const honest = contents;
    contents = (index) => honest(index === 2 ? 1 : index);
    const ran = await audit("--contents");
    expect(ran).toMatchObject({ code: 1, out: expect.stringContaining("index 2: ") });
    expect(ran.out).toContain("(contents-mismatch)");
  });
});

describe("audit of streams", () => {
  test("says whose key, how far, and that an open one may have been cut", async () => {
    await report(false);
    const { out } = await audit("--contents");
    expect(out).toMatch(
      new RegExp(
        `^ {2}stream {3}[0-9a-f]{8}… of sender key ${SENDER_KEY}: last sequence 3, logged .*, open or cut$`,
        "m",
      ),
    );
    expect((await auditJson())["streams"]).toMatchObject([
      { senderKey: SENDER_KEY, lastSequence: 3, lastIndex: 2, tail: "unknown" },
    ]);
  });

  test("says of one that its sender ended it; of one whose end the log left out, that it may have been cut", async () => {
    await report(true);
    expect((await audit("--contents")).out).toContain("last sequence 4, ");
    expect((await audit("--contents")).out).toMatch(/, ended$/m);
    double.replaceLeaves(double.leaves.slice(0, 3));
    const cut = await audit("--contents");
    expect(cut.out).toMatch(/last sequence 3, .*, open or cut$/m);
  });

  test("--sender-key says which are expected: others refute, and none is taken that is no key", async () => {
    await report(false);
    expect(await audit("--sender-key", SENDER_KEY)).toMatchObject({ code: 0 });
    expect(await audit("--sender-key", "00".repeat(32), "--sender-key", SENDER_KEY)).toMatchObject({ code: 0 });
    const ran = await audit("--sender-key", "00".repeat(32));
    expect(ran).toMatchObject({ code: 1, out: expect.stringMatching(/^REFUTED {2}/) });
    expect(ran.out).toContain("(sender-key-unexpected)");
    for (const text of ["", "00", SENDER_KEY.toUpperCase(), `${SENDER_KEY}0`])
      expectFailure(await audit(`--sender-key=${text}`), 3, "audit");
  });
});

describe("audit of the head", () => {
  test("warns where the newest cosignature is over an hour old", async () => {
    const start = Date.now() - 3 * HOUR;
    double.now = () => start;
    await report(false);
    const ran = await audit();
    expect(ran).toMatchObject({ code: 0 });
    expect(ran.out).toContain("warning  the newest cosignature is 3 hours old");
    expect(await auditJson()).toMatchObject({ stale: true });
  });

  test("does not where it is newer", async () => {
    await report(false);
    expect((await audit()).out).not.toContain("warning");
    expect(await auditJson()).toMatchObject({ stale: false });
  });

  test("says which witness's clock was not counted", async () => {
    double.witnessOffsets = [-3600, 0, 0];
    await report(false);
    const ran = await audit();
    expect(ran.code).toBe(0);
    expect(ran.out).toMatch(/^ {2}clocks {3}too early to count: cosigned by w1 /m);
  });
});
