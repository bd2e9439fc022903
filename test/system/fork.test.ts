/** A log that shows two histories, and one that was put back to yesterday: both are found out, with evidence. */
import { cp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createHttpLogReader, auditLog, parseForkEvidence, verifyForkEvidence } from "@tallystick/client";
import {
  formatCheckpoint,
  hashLeaf,
  originHash,
  parseCheckpoint,
  parseNote,
  signNote,
  treeHash,
  utf8,
} from "@tallystick/core";
import { logLayoutOf, readLogKeys } from "@tallystick/server";
import { listEvidence } from "@tallystick/witness";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runCommand } from "../support/processes.ts";
import { type SmallLog, createSmallLog } from "../support/small-log.ts";

let log: SmallLog;

beforeAll(async () => {
  log = await createSmallLog();
  await log.report(5);
}, 60_000);

afterAll(async () => log.remove());

async function published(): Promise<{ size: number; text: string }> {
  const note = await (await fetch(`${log.url()}/checkpoint`)).text();
  const { text } = parseNote(note);
  return { size: Number(parseCheckpoint(text).size), text };
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 100; tries += 1) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error("it did not become so");
}

describe("a second history under the same key", () => {
  test("is refused by a witness, which keeps both heads; verify and audit tell an auditor so", async () => {
    const { size } = await published();
    const { signers } = await readLogKeys(logLayoutOf(log.logDir, "app"));
    const leafHashes = Array.from({ length: size }, (_, index) => hashLeaf(utf8(`another history ${index}`)));
    const text = formatCheckpoint({ origin: "test.localhost/app", size, rootHash: treeHash(leafHashes) });
    const forged = signNote({ text, signers: signers.slice(0, 1) });
    const [witness] = log.witnesses;
    const response = await fetch(`${witness?.served.url}/add-checkpoint`, {
      method: "POST",
      body: `old ${size}\n\n${forged}`,
    });
    expect(response.status).toBe(422);
    const [kept] = await listEvidence({ dir: witness?.dir ?? "" });
    if (kept === undefined) throw new Error("no evidence was kept");
    const evidence = parseForkEvidence(await readFile(kept.path, "utf8"));
    expect(verifyForkEvidence({ evidence, policy: log.policy })).toMatchObject({ proven: true });
    const verified = await runCommand(log.folder, ["verify", kept.path, "--policy", log.made.policyPath]);
    expect(verified).toMatchObject({ code: 1 });
    expect(verified.out).toMatch(/^REFUTED {2}the log forked: test\.localhost\/app signed two trees of size \d+/);
    const audited = await runCommand(log.folder, [
      "audit",
      log.url(),
      "--token",
      log.made.tokens.auditor,
      "--policy",
      log.made.policyPath,
      "--head",
      kept.path,
    ]);
    expect(audited).toMatchObject({ code: 1 });
    expect(audited.out).toContain("head-not-in-history");
    const shown = await (await fetch(`${witness?.served.url}/${originHash("test.localhost/app")}/checkpoint`)).text();
    expect(parseNote(shown).text).toBe((await published()).text);
  });
});

describe("a data folder put back to an older copy", () => {
  test("is noticed by what the witnesses hold: nothing is taken and nothing signed", async () => {
    await log.stop();
    const { data } = logLayoutOf(log.logDir, "app");
    const copy = join(log.folder, "yesterday");
    await cp(data, copy, { recursive: true });
    await log.start();
    await log.report(3);
    const { size } = await published();
    await log.stop();
    const today = join(log.folder, "today");
    await cp(data, today, { recursive: true });
    await rm(data, { recursive: true });
    await cp(copy, data, { recursive: true });
    await log.start();
    await until(() => log.served.logs[0]?.log?.status().state === "stopped");
    const reasons = log.served.logs[0]?.log?.status().reasons;
    expect(reasons?.[0]).toMatchObject({ code: "log-rolled-back" });
    expect(reasons?.[0]?.message).toContain(`size ${size}`);
    const refused = await fetch(`${log.url()}/v1/events`, {
      method: "POST",
      headers: { authorization: `Bearer ${log.made.tokens.writer}`, "content-type": "application/json" },
      body: JSON.stringify({
        id: "0198c5d2-7c3a-7f4e-9d1b-2f6a8e0c4b7d",
        time: Date.now(),
        type: "auth.logout",
        actor: { type: "user", id: "u" },
      }),
    });
    expect(refused.status).toBe(503);
    await log.stop();
    await rm(data, { recursive: true });
    await cp(today, data, { recursive: true });
    await log.start();
    expect(await log.report(1)).toMatchObject([{ state: "witnessed" }]);
    const reader = createHttpLogReader({ url: log.url(), token: log.made.tokens.auditor });
    expect(await auditLog({ reader, policy: log.policy })).toMatchObject({ verdict: "VERIFIED", findingsTotal: 0 });
  }, 60_000);
});

describe("a stopped log's disk", () => {
  test("is found whole by fsck, and damaged once a byte of it was changed", async () => {
    await log.stop();
    const whole = await runCommand(log.folder, ["fsck", "--dir", log.logDir]);
    expect(whole).toMatchObject({ code: 0, err: "" });
    expect(whole.out).toMatch(/^WHOLE {2}test\.localhost\/app/);
    const { keyStore } = logLayoutOf(log.logDir, "app");
    const kept = join(log.folder, "keystore");
    await cp(keyStore, kept, { recursive: true });
    const [file] = (await readdir(keyStore)).filter((name) => name.startsWith("keys."));
    const path = join(keyStore, file ?? "");
    const bytes = await readFile(path);
    bytes.writeUInt8(bytes.readUInt8(Math.floor(bytes.length / 2)) ^ 1, Math.floor(bytes.length / 2));
    await writeFile(path, bytes);
    const damaged = await runCommand(log.folder, ["fsck", "--dir", log.logDir]);
    expect(damaged.code).not.toBe(0);
    expect(`${damaged.out}${damaged.err}`).toMatch(/key-store-corrupt|sealed-damaged/);
    await rm(keyStore, { recursive: true });
    await cp(kept, keyStore, { recursive: true });
    expect((await runCommand(log.folder, ["fsck", "--dir", log.logDir])).code).toBe(0);
  }, 60_000);
});
