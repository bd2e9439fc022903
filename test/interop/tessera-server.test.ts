/** A log of entries that are none of ours, behind Tessera's own server for POSIX storage, read and proven by us. */
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { TileProver, auditLog, createHttpLogReader, verifyHead } from "@tallystick/client";
import {
  CompactRange,
  type Policy,
  type Signer,
  createSigner,
  decodeEntryBundle,
  formatPolicy,
  formatSignerKey,
  hashLeaf,
  parsePolicy,
  planInclusion,
  utf8,
  verifyInclusion,
} from "@tallystick/core";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { exitOf, removeFolder, temporaryFolder } from "../support/processes.ts";
import { GO_BUILD_TIMEOUT_MS, TESSERA, buildGo, describeWithGo } from "./go.ts";
import { freePort } from "../support/free-port.ts";

const ENTRIES = 300;
const SIGNER: Signer = createSigner({
  name: "interop.example/posix",
  type: "ed25519",
  seed: new Uint8Array(randomBytes(32)),
});
const POLICY: Policy = parsePolicy(formatPolicy({ logs: [{ vkey: SIGNER.vkey }], witnesses: [], quorum: "none" }));

describeWithGo("a log of other entries on Tessera's own server", () => {
  let folder: string;
  let url: string;
  let server: ChildProcess;
  /** By the index that Tessera gave. */
  const entries: Uint8Array[] = [];

  beforeAll(async () => {
    const binary = await buildGo(TESSERA, "github.com/transparency-dev/tessera/cmd/conformance/posix");
    folder = await temporaryFolder();
    const listen = `127.0.0.1:${await freePort()}`;
    url = `http://${listen}`;
    const env = { ...process.env, LOG_PRIVATE_KEY: formatSignerKey(SIGNER) };
    server = spawn(binary, ["-storage_dir", folder, "-listen", listen], { env, stdio: "ignore" });
    await vi.waitUntil(async () => (await fetch(`${url}/checkpoint`).catch(() => undefined))?.ok, { timeout: 20_000 });
  }, GO_BUILD_TIMEOUT_MS);

  afterAll(async () => {
    server?.kill();
    await exitOf(server);
    await removeFolder(folder);
  });

  test("C-118 is read by our client at size 0", async () => {
    const { checkpoint } = verifyHead({ policy: POLICY }, await createHttpLogReader({ url }).checkpoint());
    expect(checkpoint).toMatchObject({ size: 0n, rootHash: CompactRange.empty().rootHash() });
    expect(await auditLog({ reader: createHttpLogReader({ url }), policy: POLICY })).toMatchObject({
      size: 0,
      findings: [],
    });
  });

  test("C-118 is read by our client to the last byte, and every entry is proven", async () => {
    await Promise.all(Array.from({ length: ENTRIES }, async (_, at) => add(entryOf(at))));
    const reader = createHttpLogReader({ url });
    const head = await vi.waitUntil(
      async () => {
        const { checkpoint } = verifyHead({ policy: POLICY }, await reader.checkpoint());
        return checkpoint.size === BigInt(ENTRIES) ? checkpoint : undefined;
      },
      { timeout: 20_000, interval: 100 },
    );
    const read = [];
    for (const bundle of [
      { index: 0, width: 256 },
      { index: 1, width: ENTRIES - 256 },
    ])
      read.push(...decodeEntryBundle(await reader.entryBundle(bundle), bundle.width));
    expect(read).toEqual(entries);
    const prover = new TileProver(reader, ENTRIES);
    for (const [index, entry] of read.entries()) {
      const proof = await prover.prove(planInclusion({ index, size: ENTRIES }));
      verifyInclusion({ index, size: ENTRIES, leafHash: hashLeaf(entry), rootHash: head.rootHash, proof });
    }
  }, 60_000);

  test("has the right tree in an audit, which says of every entry that it is no leaf of Tallystick's", async () => {
    const report = await auditLog({ reader: createHttpLogReader({ url }), policy: POLICY });
    expect(report).toMatchObject({ verdict: "REFUTED", size: ENTRIES, findingsTotal: ENTRIES });
    expect(new Set(report.findings.map(({ code }) => code))).toEqual(new Set(["leaf-malformed"]));
  });

  async function add(entry: Uint8Array): Promise<void> {
    const response = await fetch(`${url}/add`, { method: "POST", body: new Uint8Array(entry) });
    const text = await response.text();
    expect(text).toMatch(/^\d+$/);
    entries[Number(text)] = entry;
  }
});

/** Of every length up to the largest that a bundle can hold, and no two alike, since Tessera takes each once. */
function entryOf(at: number): Uint8Array {
  if (at === 0) return new Uint8Array(0);
  const length = at === 1 ? 65_535 : at * 3;
  const entry = new Uint8Array(length);
  entry.set(utf8(String(at)));
  return entry;
}
