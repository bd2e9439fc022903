/** Our log, cosigned by the witness of transparency-dev as it would be in the public witness network. */
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { cp, readFile, rm } from "node:fs/promises";
import { createInterface } from "node:readline";
import { type Signer, createSigner, formatSignerKey, parsePolicy, verifyCheckpoint } from "@tallystick/core";
import { logLayoutOf } from "@tallystick/server";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { exitOf } from "../support/processes.ts";
import { GO_BUILD_TIMEOUT_MS, WITNESS, buildGo, describeWithGo } from "./go.ts";
import { type SizedLog, createSizedLog } from "./sized-log.ts";

const NAME = "witness.example/go";
const SIGNERS: readonly Signer[] = (["ed25519-cosigner", "mldsa44"] as const).map((type) =>
  createSigner({ name: NAME, type, seed: new Uint8Array(randomBytes(32)) }),
);

describeWithGo("our log with a witness written in Go", () => {
  let witness: ChildProcess;
  let log: SizedLog;

  beforeAll(async () => {
    const binary = await buildGo(WITNESS);
    const env = { ...process.env, WITNESS_KEYS: SIGNERS.map(formatSignerKey).join(" ") };
    witness = spawn(binary, { env, stdio: ["pipe", "pipe", "inherit"] });
    const [url] = (await once(createInterface({ input: witness.stdout ?? process.stdin }), "line")) as [string];
    log = await createSizedLog({ witnesses: [{ name: "go", vkeys: SIGNERS.map(({ vkey }) => vkey), url }] });
    witness.stdin?.write(`${log.vkeys[0]}\n`);
  }, GO_BUILD_TIMEOUT_MS);

  afterAll(async () => {
    await log?.remove();
    witness?.stdin?.end();
    await exitOf(witness);
  });

  async function head(): Promise<string> {
    return (await fetch(`${log.url}/checkpoint`)).text();
  }

  test.each([1, 255, 256, 257, 3000])("is cosigned at size %i, by Ed25519 and by ML-DSA-44", async (size) => {
    await log.growTo(size);
    const policy = parsePolicy(await readFile(log.policyPath));
    const verified = verifyCheckpoint({ note: await head(), policy });
    expect(verified).toMatchObject({ quorumMet: true, checkpoint: { size: BigInt(size) } });
    const cosigners = new Set(verified.cosignatures.map(({ verifier }) => verifier.vkey));
    expect(cosigners).toEqual(new Set(SIGNERS.map(({ vkey }) => vkey)));
  });

  test("goes on after a restart, though this witness shows nobody what it cosigned", async () => {
    const { witnesses } = log.status();
    expect(witnesses).toMatchObject([{ name: "go", state: "ok", size: 3000 }]);
    await log.stop();
    await cp(data(), `${data()}-older`, { recursive: true });
    await log.start();
    await log.growTo(3100);
    expect(log.status()).toMatchObject({ state: "ok", witnesses: [{ state: "ok", size: 3100 }] });
  });

  test("waits at its start once it was put back to an older copy, since this witness says that it cosigned more", async () => {
    await putBack();
    await log.start();
    const message = "go says that it cosigned size 3100, our newest head is of size 3000";
    await vi.waitUntil(() => log.status().reasons.some((reason) => reason.message.startsWith(message)), {
      timeout: 20_000,
    });
    expect(log.status()).toMatchObject({ state: "starting", publishedSize: 3000 });
  });

  test("publishes nothing and takes nothing, where it is made to start all the same", async () => {
    await putBack();
    await log.start({ startWithoutWitnesses: true });
    await vi.waitUntil(() => log.status().reasons.some(({ code }) => code === "log-rolled-back"), { timeout: 20_000 });
    await expect(log.appendTo(3050)).rejects.toMatchObject({ code: "log-rolled-back" });
    expect(log.status()).toMatchObject({ publishedSize: 3000, witnesses: [{ state: "faulty" }] });
  });

  async function putBack(): Promise<void> {
    await log.stop();
    await rm(data(), { recursive: true });
    await cp(`${data()}-older`, data(), { recursive: true });
  }

  function data(): string {
    return logLayoutOf(log.dir, "app").data;
  }
});
