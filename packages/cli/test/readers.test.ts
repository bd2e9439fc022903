/** The commands in the hands of a reader, and on a log whose rules ask what contents are read for. */
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createToken, layoutOf } from "@tallystick/server";
import { type SmallLog, createSmallLog } from "../../../test/support/small-log.ts";
import { expectFailure } from "./support/clean.ts";
import { type Ran, runHere } from "./support/run-here.ts";

let log: SmallLog;
let reader: string;
/** Of the events about u_0 and u_1, in turn. */
let indexes: readonly number[];

beforeAll(async () => {
  log = await createSmallLog(1);
  indexes = (await log.report(2)).map(({ index }) => index);
  reader = (await createToken(layoutOf(log.logDir).tokens, { log: "app", role: "reader", subject: "u_0" })).token;
  await log.stop();
  await log.start();
  indexes = [...indexes, ...(await log.report(2)).map(({ index }) => index)];
});
afterAll(async () => {
  await log.remove();
});

const to = (token: string): readonly string[] => ["--log", log.url(), "--token", token];

/** What a tail prints until it has printed this. */
async function tailUntil(wanted: string, ...args: readonly string[]): Promise<Ran> {
  const stop = new AbortController();
  const onOut = (text: string): void => {
    if (text.includes(wanted)) stop.abort();
  };
  return runHere(["tail", "--json", ...args], { signal: stop.signal, onOut });
}

test("a reader's tail shows what is about them, from the newest head on where no index is given", async () => {
  const all = await tailUntil(`"index":${indexes[2]}`, ...to(reader), "--from", "0");
  expect(all.code).toBe(0);
  const shown = all.out
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as { kind: string; index: number })
    .filter(({ kind }) => kind === "entry");
  expect(shown.map(({ index }) => index)).toEqual([indexes[0], indexes[2]]);
  const newestTail = { isOver: false };
  const newest = tailUntil(`"kind":"entry"`, ...to(reader)).finally(() => (newestTail.isOver = true));
  // What is reported before the tail begins is not in it.
  while (!newestTail.isOver) await log.report(1);
  expect((await newest).out).not.toContain(`"index":${indexes[2]},`);
});

test("contents are read with --purpose where the rules ask for one, and it is in the log", async () => {
  const response = await fetch(`${log.url()}/v1/rules`, {
    method: "POST",
    headers: { authorization: `Bearer ${log.made.tokens.officer}`, "content-type": "application/json" },
    body: JSON.stringify({ text: "version: 1\nreads: { purpose: required }\n" }),
  });
  expect(response.status).toBe(201);
  const { auditor } = log.made.tokens;
  const evidence = (...more: readonly string[]): readonly string[] => [
    "receipt",
    String(indexes[0]),
    "--evidence",
    "--policy",
    log.made.policyPath,
    "--out",
    join(log.folder, "evidence.json"),
    ...to(auditor),
    ...more,
  ];
  const refused = await runHere(evidence());
  expectFailure(refused, 2, "receipt");
  expect(refused.err).toContain("purpose-required");
  expect(await runHere(evidence("--purpose", "complaint 7 & more"))).toMatchObject({ code: 0 });
  const audit = ["audit", "--contents", "--policy", log.made.policyPath, ...to(auditor)];
  expect((await runHere(audit)).code).toBe(2);
  expect(await runHere([...audit, "--purpose", "a yearly audit"])).toMatchObject({ code: 0 });
  expect((await tailUntil("nothing", "--from", "0", ...to(auditor))).code).toBe(2);
  const tail = await tailUntil("a yearly audit", "--from", "0", "--purpose", "to look", ...to(auditor));
  expect([tail.code, tail.out.includes("complaint 7 & more")]).toEqual([0, true]);
});
