/** A log that Tessera writes: read, proven and audited by us, cosigned by our witness, and the same log as ours to the bit. */
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { cp, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import {
  TileProver,
  auditLog,
  createHttpLogReader,
  parseForkEvidence,
  verifyForkEvidence,
  verifyHead,
  verifyReceipt,
} from "@tallystick/client";
import {
  CompactRange,
  type Hash,
  type Policy,
  decodeBase64,
  decodeEntryBundle,
  formatPolicy,
  formatSignerKey,
  hashLeaf,
  parseCheckpoint,
  parseNote,
  parsePolicy,
  planConsistency,
  planInclusion,
  tilesForSize,
  verifyConsistency,
  verifyInclusion,
} from "@tallystick/core";
import { formatEvidence } from "@tallystick/events";
import { logLayoutOf, readLogKeys } from "@tallystick/server";
import { listEvidence } from "@tallystick/witness";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { exitOf, runCommand, startCommand } from "../support/processes.ts";
import { GO_BUILD_TIMEOUT_MS, TESSERA, TLOG, buildGo, describeWithGo, runGo } from "./go.ts";
import { type SizedLog, createSizedLog } from "./sized-log.ts";
import { type TesseraLog, startTesseraLog } from "./tessera-log.ts";

const ENTRIES = 1500;

vi.setConfig({ testTimeout: 120_000 });

interface Witness {
  readonly name: string;
  readonly dir: string;
  readonly url: string;
  readonly vkeys: readonly string[];
  readonly child: ChildProcess;
}

describeWithGo("a log that Tessera keeps", () => {
  let ours: SizedLog;
  /** The entries of our log; Tessera gets the same ones. */
  const entries: Uint8Array[] = [];
  /** The root hash by size, as our core computes it. */
  const roots: Hash[] = [];
  const witnesses: Witness[] = [];
  let appender: string;
  let receipt: string;
  let privateKey: string;
  let tessera: TesseraLog;
  let policy: Policy;
  let policyPath: string;

  beforeAll(async () => {
    appender = await buildGo(TESSERA, "./appender");
    receipt = await buildGo(TLOG, "./receipt");
    ours = await createSizedLog();
    await ours.growTo(ENTRIES);
    const { signers } = await readLogKeys(logLayoutOf(ours.dir, "app"));
    privateKey = signers[0] === undefined ? "" : formatSignerKey(signers[0]);
    const reader = createHttpLogReader({ url: ours.url });
    for (const bundle of bundles(ENTRIES))
      entries.push(...decodeEntryBundle(await reader.entryBundle(bundle), bundle.width));
    const range = CompactRange.empty();
    roots.push(range.rootHash());
    for (const entry of entries) {
      range.append(hashLeaf(entry));
      roots.push(range.rootHash());
    }
  }, GO_BUILD_TIMEOUT_MS);

  afterAll(async () => {
    await tessera?.stop();
    for (const { child } of witnesses) {
      child.kill("SIGINT");
      await exitOf(child);
    }
    await ours?.remove();
  });

  /** A witness of ours, as a process of its own, that takes the log. */
  async function startWitness(name: string): Promise<Witness> {
    const dir = join(ours.folder, name);
    const { out } = await runCommand(ours.folder, [
      "witness",
      "init",
      "--json",
      "--dir",
      dir,
      "--name",
      `witness.example/${name}`,
    ]);
    const { vkeys } = JSON.parse(out) as { vkeys: readonly string[] };
    await runCommand(ours.folder, ["witness", "add-log", "--dir", dir, ours.vkeys[0] ?? ""]);
    const child = startCommand(ours.folder, ["witness", "serve", "--json", "--dir", dir, "--listen", "127.0.0.1:0"]);
    const [line] = (await once(createInterface({ input: child.stdout ?? process.stdin }), "line")) as [string];
    const { url } = JSON.parse(line) as { url: string };
    return { name, dir, url, vkeys, child };
  }

  /** Log and witnesses in one file, for Tessera as for us: all of them have to cosign. Tessera knows Ed25519 keys alone. */
  async function writePolicy(): Promise<string> {
    const asked = witnesses.map(({ name, url, vkeys }) => ({ name, url, vkeys: vkeys.slice(0, 1) }));
    const text = formatPolicy({
      logs: [{ vkey: ours.vkeys[0] ?? "" }],
      witnesses: asked,
      quorum: asked.length,
    });
    policy = parsePolicy(text);
    policyPath = join(ours.folder, `policy-${asked.length}.txt`);
    await writeFile(policyPath, text);
    return policyPath;
  }

  async function start(folder: string): Promise<TesseraLog> {
    return startTesseraLog({
      binary: appender,
      folder: join(ours.folder, folder),
      privateKey,
      policyPath: await writePolicy(),
    });
  }

  test("C-142 is cosigned by our witness, which Tessera asks itself", async () => {
    witnesses.push(await startWitness("w1"));
    tessera = await start("tessera");
    for (const [from, to] of pairs([0, 1, 255, 256, 257, 701])) {
      const published = await tessera.publish(entries.slice(from, to));
      expect(published).toMatchObject({ first: from, cosigners: ["witness.example/w1"] });
      const head = verifyHead({ policy, now: Date.now() }, published.checkpoint);
      expect(head).toMatchObject({ quorumMet: true, checkpoint: { size: BigInt(to), rootHash: roots[to] } });
    }
  });

  test("is cosigned by a second witness that knows nothing of it yet, and says so with 409", async () => {
    expect(await tessera.stop()).toBe(0);
    await cp(join(ours.folder, "tessera"), join(ours.folder, "older"), { recursive: true });
    witnesses.push(await startWitness("w2"));
    tessera = await start("tessera");
    const { cosigners } = await tessera.publish(entries.slice(701));
    expect([...cosigners].sort()).toEqual(["witness.example/w1", "witness.example/w2"]);
    expect(tessera.complaints()).toContain("replied with x.tlog.size 0 != our hint 701, retrying");
  });

  test("gets no cosignature where it begins anew under the same key", async () => {
    await expect(start("anew")).rejects.toThrow(/x\.tlog\.size 1500, larger than log size 0/);
  });

  test("gets no cosignature where it goes on from an older copy with other entries, and leaves evidence of it", async () => {
    const fork = await start("older");
    const published = fork.publish([...entries.slice(701, 1000), ...entries.slice(0, 700)]);
    published.catch(() => undefined);
    await vi.waitUntil(() => fork.complaints().includes("says that the consistency proof is bad: 422"), {
      timeout: 60_000,
    });
    const { text } = parseNote(await (await fetch(`${fork.url}/checkpoint`)).text());
    expect(parseCheckpoint(text).size).toBe(701n);
    fork.kill();
    await expect(published).rejects.toThrow(/ended/);
    for (const { dir } of witnesses) {
      const [kept] = await listEvidence({ dir });
      const evidence = parseForkEvidence(await readFile(kept?.path ?? "", "utf8"));
      const sizes = verifyForkEvidence({ evidence, policy }).heads.map(({ size }) => size);
      expect(sizes).toContain(BigInt(ENTRIES));
    }
  });

  test("C-118 has our tiles and bundles to the byte", async () => {
    const [theirs, own] = [createHttpLogReader(tessera), createHttpLogReader(ours)];
    expect(parseNote(await theirs.checkpoint()).text).toBe(parseNote(await own.checkpoint()).text);
    for (const tile of tilesForSize(ENTRIES)) {
      const id = { ...tile, index: Number(tile.index) };
      expect(await theirs.tile(id)).toEqual(await own.tile(id));
    }
    for (const bundle of bundles(ENTRIES))
      expect(await theirs.entryBundle(bundle)).toEqual(await own.entryBundle(bundle));
  });

  test("C-118 is read by our client: every entry, and every earlier size, is proven from its tiles", async () => {
    const reader = createHttpLogReader(tessera);
    const { size, rootHash } = verifyHead({ policy, now: Date.now() }, await reader.checkpoint()).checkpoint;
    const prover = new TileProver(reader, size);
    for (const [index, entry] of entries.entries()) {
      const proof = await prover.prove(planInclusion({ index, size }));
      verifyInclusion({ index, size, leafHash: hashLeaf(entry), rootHash, proof });
    }
    for (const [from, fromRootHash] of roots.entries()) {
      const proof = await prover.prove(planConsistency({ from, to: size }));
      verifyConsistency({ from, to: size, fromRootHash, toRootHash: rootHash, proof });
    }
  });

  test("C-118 is audited by us", async () => {
    expect(await auditLog({ reader: createHttpLogReader(tessera), policy })).toMatchObject({
      verdict: "VERIFIED",
      size: ENTRIES,
      findings: [],
    });
    const options = ["--log", tessera.url, "--policy", policyPath];
    const audited = await runCommand(ours.folder, ["audit", ...options]);
    expect(audited).toMatchObject({ code: 0, err: "" });
    expect(audited.out).toMatch(/^VERIFIED/);
    expect((await runCommand(ours.folder, ["prove", "inclusion", "256", ...options])).code).toBe(0);
    expect((await runCommand(ours.folder, ["prove", "consistency", "257", ...options])).code).toBe(0);
  });

  test("C-215 has receipts, made by Go, that we verify, with the contents that our log holds of them", async () => {
    const index = 300;
    const { stdout: proof } = await runGo(receipt, ["make", tessera.url, ours.vkeys[0] ?? "", String(index)]);
    expect(verifyReceipt({ proof, policy, now: Date.now() })).toMatchObject({ index, quorumMet: true });
    const opening = await openingOf(index);
    const path = join(ours.folder, "evidence.json");
    await writeFile(path, formatEvidence({ proof, opening }));
    const verified = await runCommand(ours.folder, ["verify", path, "--policy", policyPath]);
    expect(verified.out).toMatch(/^VERIFIED {2}access\.read success by user:u_0\n/);
    expect(verified.code).toBe(0);
    await writeFile(path, formatEvidence({ proof: proof.replace("index 300\n", "index 301\n"), opening }));
    expect(await runCommand(ours.folder, ["verify", path, "--policy", policyPath])).toMatchObject({ code: 1 });
  });

  /** What an entry commits to. That it was read becomes an entry of our log, so this comes last. */
  async function openingOf(index: number): Promise<Uint8Array> {
    const headers = { authorization: `Bearer ${ours.tokens.auditor}` };
    const { opening } = (await (await fetch(`${ours.url}/v1/events/${index}`, { headers })).json()) as {
      opening: string;
    };
    return decodeBase64(opening);
  }
});

function bundles(size: number): { readonly index: number; readonly width: number }[] {
  return Array.from({ length: Math.ceil(size / 256) }, (_, index) => ({
    index,
    width: Math.min(256, size - index * 256),
  }));
}

function pairs(values: readonly number[]): (readonly [number, number])[] {
  return values.slice(1).map((to, at) => [values[at] ?? 0, to]);
}
