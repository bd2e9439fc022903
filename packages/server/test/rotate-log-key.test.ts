/** Replacing a log's keys, interrupted at each step: the log can be started all the same, and a second call completes it. */
import { cpSync, existsSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { formatKeyId, parsePolicy, parseVkey } from "@tallystick/core";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";
import {
  addLogKeys,
  initServer,
  logLayoutOf,
  readLogKeys,
  readLogPolicy,
  retireLogKey,
  serveLogs,
} from "../src/index.ts";

async function setUp(): Promise<{ dir: string; vkeys: readonly string[] }> {
  const dir = temporaryFolder();
  const { vkeys } = await initServer({ dir, name: "app", origin: "log.example/app", port: 0 });
  return { dir, vkeys };
}

const keyIdOf = (vkey: string | undefined): string => formatKeyId(parseVkey(vkey ?? "").keyId);

/** The folder as it is before, with the first so many changes made that lead to the one after. */
function between(before: string, after: string, changes: readonly string[]): string {
  const dir = temporaryFolder();
  cpSync(before, dir, { recursive: true });
  for (const path of changes) {
    if (existsSync(join(after, path))) cpSync(join(after, path), join(dir, path));
    else rmSync(join(dir, path), { force: true });
  }
  return dir;
}

/** What readers and the next start see. */
async function stateOf(dir: string): Promise<{ signers: string[]; retired: string[]; policy: string[] }> {
  const layout = logLayoutOf(dir, "app");
  const keys = await readLogKeys(layout);
  const policy = parsePolicy(await readLogPolicy(layout, keys));
  return {
    signers: keys.signers.map(({ vkey }) => vkey),
    retired: (keys.retired ?? []).map(({ vkey }) => vkey),
    policy: policy.logs.map(({ verifier }) => verifier.vkey),
  };
}

async function expectStarts(dir: string): Promise<void> {
  const served = await serveLogs({ dir });
  onTestFinished(async () => served.close());
  await vi.waitFor(async () => expect((await fetch(`${served.url}/readyz`)).status).toBe(200), { timeout: 20_000 });
  await served.close();
}

describe("addLogKeys", () => {
  test("called twice at the same time makes one key of each type, which the policy names, and refuses the other call", async () => {
    const { dir, vkeys } = await setUp();
    const calls = await Promise.allSettled([addLogKeys({ dir, name: "app" }), addLogKeys({ dir, name: "app" })]);
    const refused = calls.flatMap((call) => (call.status === "rejected" ? [call.reason as unknown] : []));
    expect(refused).toMatchObject([{ code: "rotation-under-way" }]);
    const { signers, policy } = await stateOf(dir);
    expect(signers).toHaveLength(2 * vkeys.length);
    expect(policy.toSorted()).toEqual(signers.toSorted());
  });

  test("interrupted at any step can be started, and is completed by a second call with the same keys", async () => {
    const { dir, vkeys } = await setUp();
    const before = temporaryFolder();
    cpSync(dir, before, { recursive: true });
    const { changed } = await addLogKeys({ dir, name: "app" });
    expect(await stateOf(dir)).toEqual({
      signers: [...vkeys, ...changed],
      retired: [],
      policy: [...vkeys, ...changed],
    });
    const steps = ["keys/app.next.ed25519.key", "keys/app.next.mldsa44.key"];
    for (let made = 1; made <= steps.length; made += 1) {
      const partial = between(before, dir, steps.slice(0, made));
      expect((await stateOf(partial)).policy).toEqual(vkeys);
      await expectStarts(partial);
      const again = await addLogKeys({ dir: partial, name: "app" });
      expect(again.changed.slice(0, made)).toEqual(changed.slice(0, made));
      expect((await stateOf(partial)).policy).toEqual([...vkeys, ...again.changed]);
    }
  });

  test("keeps what somebody wrote in the policy, and the policy of before", async () => {
    const { dir } = await setUp();
    const { policy } = logLayoutOf(dir, "app");
    const text = readFileSync(policy, "utf8");
    const { policyBeforePath, changed } = await addLogKeys({ dir, name: "app", types: ["ed25519"] });
    expect(changed).toHaveLength(1);
    expect(readFileSync(policyBeforePath, "utf8")).toBe(text);
    const lines = text.split("\n").filter((line) => !line.startsWith("# sha256"));
    const now = readFileSync(policy, "utf8").split("\n");
    expect(now.filter((line) => lines.includes(line))).toEqual(lines);
  });
});

describe("retireLogKey", () => {
  test("interrupted at any step can be started, and is completed by a second call", async () => {
    const { dir, vkeys } = await setUp();
    const { changed } = await addLogKeys({ dir, name: "app", types: ["ed25519"] });
    // The overlap: heads under both keys.
    await expectStarts(dir);
    const before = temporaryFolder();
    cpSync(dir, before, { recursive: true });
    const secret = readFileSync(join(dir, "keys/app.ed25519.key"));
    const keyId = keyIdOf(vkeys[0]);
    await retireLogKey({ dir, name: "app", keyId });
    const done = { signers: [changed[0], vkeys[1]], retired: [vkeys[0]], policy: [vkeys[1], changed[0]] };
    expect(await stateOf(dir)).toEqual(done);
    const steps = ["keys/app.retired.txt", "keys/app.ed25519.key", "keys/app.next.ed25519.key"];
    for (const made of [1, 3]) {
      const partial = between(before, dir, steps.slice(0, made));
      await expectStarts(partial);
      await retireLogKey({ dir: partial, name: "app", keyId });
      expect(await stateOf(partial)).toEqual(done);
    }
    await retireLogKey({ dir, name: "app", keyId });
    expect(await stateOf(dir)).toEqual(done);
    for (const name of readdirSync(join(dir, "keys")))
      expect([name, readFileSync(join(dir, "keys", name)).equals(secret)]).toEqual([name, false]);
  });

  test("of a key that never signed together with its successor is no damage", async () => {
    const { dir, vkeys } = await setUp();
    await expectStarts(dir);
    await addLogKeys({ dir, name: "app" });
    for (const vkey of vkeys) await retireLogKey({ dir, name: "app", keyId: keyIdOf(vkey) });
    await expectStarts(dir);
  });
});
