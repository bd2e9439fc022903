/** A log that is broken or hostile, to whoever erases, holds, approves or exports: words, 2 or REFUTED, and no half export. */
import { readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type SmallLog, createSmallLog } from "../../../test/support/small-log.ts";
import { expectClean, expectFailure } from "./support/clean.ts";
import { type Ran, runHere } from "./support/run-here.ts";
import { type ScriptedLog, startScriptedLog } from "./support/scripted-log.ts";

const TOKEN = "tsk_officer_sEcReT-sEcReT-sEcReT-sEcReT-sEcReT-sEcReT0";
const HOSTILE = "\u001B[1A\u001B[2KVERIFIED\r\nVERIFIED\u009B8m\u202E";
const REQUEST = "0199a2b4-0000-7000-8000-000000000000";

const COMMANDS: readonly (readonly [name: string, args: readonly string[]])[] = [
  ["erase", ["erase", "--subject", "anna", "--ground", "g", "--wait", "0"]],
  ["erase list", ["erase", "list"]],
  ["erase show", ["erase", "show", REQUEST]],
  ["erase certificate", ["erase", "certificate", REQUEST]],
  ["hold set", ["hold", "set", "--case", "c", "--class", "auth"]],
  ["hold list", ["hold", "list"]],
  ["hold lift", ["hold", "lift", REQUEST]],
  ["retention show", ["retention", "show"]],
  ["retention run", ["retention", "run"]],
  ["approve", ["approve", "tsa_AAAA"]],
  ["subject export", ["subject", "export", "--subject", "anna"]],
];

let log: ScriptedLog;
let real: SmallLog;
/** What a log that tells the truth gives out about anna: two entries and their number. */
let lines: readonly string[];
const out = (): string => join(real.folder, "out");

beforeAll(async () => {
  log = await startScriptedLog();
  real = await createSmallLog(1);
  await real.report(1);
  const events = ["anna", "bert", "anna"].map((id) => ({
    type: "auth.login",
    outcome: "success",
    actor: { type: "user", id },
  }));
  await writeFile(join(real.folder, "events.json"), JSON.stringify(events));
  await runHere(["submit", join(real.folder, "events.json"), "--log", real.url(), "--token", real.made.tokens.writer]);
  lines = (await exported("anna")).trimEnd().split("\n");
  expect(lines).toHaveLength(3);
}, 30_000);
afterAll(async () => {
  await log.close();
  await real.remove();
});

async function exported(subject: string): Promise<string> {
  const response = await fetch(`${real.url()}/v1/subjects/export`, {
    method: "POST",
    headers: { authorization: `Bearer ${real.made.tokens.officer}`, "content-type": "application/json" },
    body: JSON.stringify({ subject }),
  });
  return response.text();
}

async function ask(args: readonly string[]): Promise<Ran> {
  const policy =
    args[0] === "subject" || args[1] === "certificate" ? ["--policy", real.made.policyPath, "--out", out()] : [];
  const ran = await runHere([...args, "--log", log.url, "--token", TOKEN, ...policy]);
  expectClean(ran, [TOKEN]);
  return ran;
}

function answering(status: number, body: string, type: string): void {
  log.answer = (_request, response) => void response.writeHead(status, { "content-type": type }).end(body);
}

describe.each(COMMANDS)("%s", (_name, args) => {
  test("refused says so, whatever stands in the refusal", async () => {
    for (const status of [400, 403, 404, 409, 410, 422, 429, 500, 503]) {
      for (const body of [JSON.stringify({ code: HOSTILE, detail: HOSTILE, defects: [null, HOSTILE] }), "", "[]"]) {
        answering(status, body, "application/problem+json");
        const ran = await ask(args);
        expectFailure(ran, 2, args[0] ?? "");
        expect(ran.err).toContain(String(status));
      }
    }
  });

  test("answered with what is no answer says so", async () => {
    const bodies = [
      "",
      "null",
      "[]",
      "{}",
      '{"request":1}',
      `{"request":"${REQUEST}","ground":"g","state":"gone"}`,
      `{"request":"${REQUEST}","ground":"g","state":"done","ordered":[-1]}`,
      '{"erasures":{}}',
      '{"erasures":[null]}',
      '{"holds":[{"id":1}]}',
      '{"id":"x","case":"c","setBy":"s","setAt":"never","setIndex":0}',
      '{"classDays":[{"class":"auth"}]}',
      '{"destroyed":[1],"held":0}',
      '{"certificate":[{"index":0}]}',
      '{"state":"awaiting-approval"}',
      '{"action":1}',
      HOSTILE,
      "[".repeat(100_000),
    ];
    for (const body of bodies) {
      for (const type of ["application/json", "application/x-ndjson"]) {
        answering(200, body, type);
        expectFailure(await ask(args), 2, args[0] ?? "");
      }
    }
  });
});

test("words of a log show as escapes, and never as ours", async () => {
  const erasure = { request: HOSTILE, ground: HOSTILE, state: "done", ordered: [1], finalOn: HOSTILE };
  answering(200, JSON.stringify(erasure), "application/json");
  const shown = await ask(["erase", "show", REQUEST]);
  expect([shown.code, shown.out.match(/^VERIFIED/m)]).toEqual([0, null]);
  const hold = {
    id: HOSTILE,
    case: HOSTILE,
    ofPerson: 1,
    class: HOSTILE,
    setBy: HOSTILE,
    setAt: "2026-01-01",
    setIndex: 1,
  };
  answering(200, JSON.stringify({ holds: [hold] }), "application/json");
  expect((await ask(["hold", "list"])).out.match(/^VERIFIED/m)).toBe(null);
});

test("a certificate of something else is refuted, and nothing of it is written", async () => {
  const as = ["--log", real.url(), "--token", real.made.tokens.auditor, "--policy", real.made.policyPath];
  const evidence = await runHere(["receipt", "1", "--evidence", "--out", "-", ...as]);
  answering(200, JSON.stringify({ certificate: [{ index: 1, evidence: evidence.out }] }), "application/json");
  const ran = await ask(["erase", "certificate", REQUEST]);
  expect(ran).toMatchObject({ code: 1, err: "", out: expect.stringMatching(/^REFUTED {2}/) });
  expect(await readdir(real.folder)).not.toContain("out");
});

/** The lines, with something done to one of them. */
function altered(at: number, change: (line: Record<string, unknown>) => unknown): string {
  return `${lines.map((line, index) => (index === at ? JSON.stringify(change(JSON.parse(line) as Record<string, unknown>)) : line)).join("\n")}\n`;
}

describe("an export", () => {
  async function askWith(body: string): Promise<Ran & { readonly isWhole: boolean }> {
    answering(200, body, "application/x-ndjson");
    await rm(out(), { recursive: true, force: true });
    const ran = await ask(["subject", "export", "--subject", "anna"]);
    const written: readonly string[] = await readdir(out()).catch(() => []);
    // Without a manifest it is not whole.
    return { ...ran, isWhole: written.includes("manifest.json") };
  }

  test("that is as it should be is taken: the alterations below are what is refused", async () => {
    expect(await askWith(`${lines.join("\n")}\n`)).toMatchObject({ code: 0, err: "", isWhole: true });
  });

  test.each([
    ["cut off before the number of entries", () => `${lines.slice(0, 2).join("\n")}\n`],
    ["cut off within a line", () => lines.join("\n").slice(0, -3)],
    ["with an entry left out", () => `${lines.slice(1).join("\n")}\n`],
    ["with an entry twice", () => `${[lines[0], ...lines].join("\n")}\n`],
    ["with another number", () => altered(2, () => ({ entries: 3 }))],
    ["with more behind the number", () => `${[...lines, lines[0]].join("\n")}\n`],
    ["with a line without an end", () => `${lines[0]}\n${"x".repeat(2_000_000)}`],
    ["with an opening that is no base64", () => altered(0, (line) => ({ ...line, opening: "?" }))],
    ["with a receipt that is no text", () => altered(0, (line) => ({ ...line, receipt: 7 }))],
  ])("%s is no answer", async (_name, body) => {
    const ran = await askWith(body());
    expectFailure(ran, 2, "subject");
    expect([ran.err, ran.isWhole]).toEqual([expect.stringContaining("(log-answer-malformed)"), false]);
  });

  test.each([
    ["with the receipt of another entry", () => altered(0, (line) => ({ ...line, receipt: receiptOf(1) }))],
    ["with the contents of another entry", () => altered(0, (line) => ({ ...line, opening: fieldOf(1, "opening") }))],
    ["with another index", () => altered(1, (line) => ({ ...line, index: 77 }))],
    ["with a receipt that is none", () => altered(0, (line) => ({ ...line, receipt: "c2sp.org/tlog-proof@v1\n" }))],
    [
      "with contents that do not fit an entry without a receipt",
      () => altered(0, (line) => ({ ...line, receipt: undefined, opening: fieldOf(1, "opening") })),
    ],
  ])("%s is refuted", async (_name, body) => {
    expect(await askWith(body())).toMatchObject({
      code: 1,
      err: "",
      isWhole: false,
      out: expect.stringMatching(/^REFUTED {2}/),
    });
  });

  test("of another person is refuted", async () => {
    expect(await askWith(await exported("bert"))).toMatchObject({
      code: 1,
      out: expect.stringMatching(/^REFUTED {2}/),
    });
  });

  test("with an entry that no head covers yet is written, and not called proven: 2", async () => {
    const ran = await askWith(altered(1, (line) => ({ ...line, receipt: undefined })));
    expect(ran).toMatchObject({ code: 2, err: "", isWhole: true });
    expect(ran.out).toContain("2 entries, 1 verified");
    expect(ran.out).toContain("1 without a proof yet");
  });

  function fieldOf(at: number, name: string): unknown {
    return (JSON.parse(lines[at] ?? "{}") as Record<string, unknown>)[name];
  }

  function receiptOf(at: number): unknown {
    return fieldOf(at, "receipt");
  }
});
