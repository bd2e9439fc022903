/** The keys of a log are replaced while it is witnessed: nobody who checks its heads is left without a key, and old receipts hold. */
import { readFile } from "node:fs/promises";
import {
  type Policy,
  formatKeyId,
  hashLeaf,
  parsePolicy,
  parseTlogProof,
  parseVkey,
  verifyTlogProof,
} from "@tallystick/core";
import { addLogKeys, logLayoutOf, readLogKeys, retireLogKey } from "@tallystick/server";
import { addLog } from "@tallystick/witness";
import { afterAll, beforeAll, expect, test } from "vitest";
import { runCommand } from "../support/processes.ts";
import { type SmallLog, createSmallLog } from "../support/small-log.ts";

let log: SmallLog;
beforeAll(async () => {
  log = await createSmallLog(2);
}, 60_000);
afterAll(async () => log.remove(), 60_000);

async function policyOf(path: string = log.made.policyPath): Promise<Policy> {
  return parsePolicy(await readFile(path));
}

/** Reports an event; gives its receipt. */
async function receipt(): Promise<string> {
  const [entry] = await log.report(1);
  const hosted = log.served.logs[0]?.log;
  if (entry === undefined || hosted === undefined) throw new Error("expected an entry of an open log");
  return hosted.receipt(entry.index);
}

async function holds(proof: string, policy: Policy): Promise<boolean> {
  try {
    verifyTlogProof({ proof, policy, leafHash: hashLeaf(parseTlogProof(proof).extra ?? new Uint8Array()) });
    return true;
  } catch {
    return false;
  }
}

async function noted(): Promise<unknown[]> {
  const hosted = log.served.logs[0]?.log;
  const contexts: unknown[] = [];
  for (let index = 0, size = hosted?.size() ?? 0; index < size; index += 1) {
    const read = await hosted?.readEvent({ index, reader: "test" });
    if (read?.event.type === "log.key" && read.event.context?.["key"] === "checkpoint")
      contexts.push(read.event.context);
  }
  return contexts;
}

test("a key is added, witnesses learn it, and the old one is retired: receipts hold under the policies of their time", async () => {
  const before = await policyOf();
  const first = await receipt();

  const added = await addLogKeys({ dir: log.logDir, name: "app" });
  expect(added.changed).toHaveLength(2);
  const both = await policyOf();
  expect(both.logs.map(({ verifier }) => verifier.vkey)).toEqual([...log.made.vkeys, ...added.changed]);
  await expect(addLogKeys({ dir: log.logDir, name: "app" })).rejects.toMatchObject({ code: "rotation-under-way" });
  for (const { dir, served } of log.witnesses) {
    for (const vkey of added.changed) await addLog({ dir, vkey });
    await served.reload();
  }
  await log.stop();
  await log.start();
  const second = await receipt();

  for (const vkey of log.made.vkeys)
    await retireLogKey({ dir: log.logDir, name: "app", keyId: formatKeyId(parseVkey(vkey).keyId) });
  const after = await policyOf();
  expect(after.logs.map(({ verifier }) => verifier.vkey)).toEqual(added.changed);
  await log.stop();
  await log.start();
  const third = await receipt();

  const outcomes = await Promise.all(
    [first, second, third].map(async (proof) =>
      Promise.all([before, both, after].map(async (policy) => holds(proof, policy))),
    ),
  );
  expect(outcomes).toEqual([
    [true, true, false],
    [true, true, true],
    [false, true, true],
  ]);
  expect(await noted()).toEqual(
    expect.arrayContaining([
      ...added.changed.map((vkey) => ({ change: "added", key: "checkpoint", vkey })),
      ...log.made.vkeys.map((vkey) => ({ change: "retired", key: "checkpoint", vkey })),
    ]),
  );
  const { signers, retired = [] } = await readLogKeys(logLayoutOf(log.logDir, "app"));
  expect([signers, retired].map((keys) => keys.map(({ vkey }) => vkey))).toEqual([added.changed, log.made.vkeys]);
  await log.stop();
  const fsck = await runCommand(log.folder, ["fsck", "--dir", log.logDir]);
  expect([fsck.code, fsck.err]).toEqual([0, ""]);
  await log.start();
}, 120_000);

test("an unknown key, and one without a successor, cannot be retired", async () => {
  const [vkey = ""] = (await readLogKeys(logLayoutOf(log.logDir, "app"))).signers.map((signer) => signer.vkey);
  const retire = async (keyId: string): Promise<unknown> => retireLogKey({ dir: log.logDir, name: "app", keyId });
  await expect(retire("00000000")).rejects.toMatchObject({ code: "key-unknown" });
  await expect(retire(formatKeyId(parseVkey(vkey).keyId))).rejects.toMatchObject({ code: "rotation-missing" });
});
