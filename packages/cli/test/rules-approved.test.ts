/** Rules that were approved once, as an audit asks a served log for them. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { rulesDigest, ruleOf } from "@tallystick/log";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type SmallLog, createSmallLog } from "../../../test/support/small-log.ts";
import { rulesApproved } from "../src/rules-in-force.ts";
import type { Target } from "../src/target.ts";
import { runHere } from "./support/run-here.ts";

const FIRST = "version: 1\nclasses:\n  auth: { keep: 1y, atLeast: 90d }\n";
const SECOND = "version: 1\n";

let log: SmallLog;

beforeAll(async () => {
  log = await createSmallLog(0);
  for (const text of [FIRST, SECOND]) {
    const file = join(log.folder, "rules.yaml");
    await writeFile(file, text);
    const ran = await runHere(["rules", "apply", file, "--log", log.url(), "--token", log.made.tokens.officer]);
    expect(ran.code).toBe(0);
  }
}, 30_000);
afterAll(async () => log.remove());

async function promisedBy(text: string, shown?: string): Promise<number> {
  const fetched: typeof globalThis.fetch = async (...request) => {
    const answer = await fetch(...request);
    return shown === undefined ? answer : Response.json({ ...((await answer.json()) as object), text: shown });
  };
  const target: Target = { url: log.url(), token: log.made.tokens.auditor, fetch: fetched };
  const { rules } = await rulesApproved(target, rulesDigest(Buffer.from(text)), new AbortController().signal);
  return ruleOf(rules, "auth").atLeastDays;
}

test("an auditor is given what was promised once, though other rules hold by now", async () => {
  expect(await promisedBy(FIRST)).toBe(90);
  expect(await promisedBy(SECOND)).toBe(0);
  await expect(promisedBy("version: 1 # never approved\n")).rejects.toMatchObject({ details: { status: 404 } });
});

test("a text that is not that of the digest is not believed", async () => {
  await expect(promisedBy(FIRST, SECOND)).rejects.toMatchObject({ code: "log-answer-malformed" });
});
