/** A log that signs a head and then serves something else: prove, audit and receipt say REFUTED, with 1. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  createSigner,
  encodeEntryBundle,
  formatCheckpoint,
  formatTlogProof,
  hashLeaf,
  signatureLine,
  treeHash,
  utf8,
} from "@tallystick/core";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { expectClean, expectFailure } from "./support/clean.ts";
import { type Ran, runHere } from "./support/run-here.ts";
import { type ScriptedLog, startScriptedLog } from "./support/scripted-log.ts";

const ORIGIN = "test.localhost/lying";
const signerOf = (name: string): ReturnType<typeof createSigner> =>
  createSigner({ name, type: "ed25519", seed: new Uint8Array(32).fill(name.codePointAt(15) ?? 0) });
const OTHER = "test.localhost/other";
const ENTRIES = ["a", "b", "c"].map((text) => utf8(text));
const HASHES = ENTRIES.map(hashLeaf);

function headOf(origin: string, size: number): string {
  const noteText = formatCheckpoint({ origin, size, rootHash: treeHash(HASHES.slice(0, size)) });
  return `${noteText}\n${signatureLine({ signer: signerOf(origin), noteText })}\n`;
}

let folder: string;
let log: ScriptedLog;
let served: Map<string, string | Uint8Array>;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tallystick-cli-"));
  log = await startScriptedLog();
  const keys = [ORIGIN, OTHER].map((origin) => `log ${signerOf(origin).vkey}\n`);
  await writeFile(join(folder, "policy.txt"), `${keys.join("")}quorum none\n`);
});
afterAll(async () => {
  await log.close();
  await rm(folder, { recursive: true, force: true });
});
beforeEach(() => {
  served = new Map<string, string | Uint8Array>([
    ["/app/checkpoint", headOf(ORIGIN, 3)],
    ["/app/tile/0/000.p/3", Buffer.concat(HASHES)],
    ["/app/tile/entries/000.p/3", encodeEntryBundle(ENTRIES)],
  ]);
  log.answer = (request, response) => {
    const body = served.get(request.url ?? "");
    response.writeHead(body === undefined ? 404 : 200).end(body);
  };
});

async function run(...args: readonly string[]): Promise<Ran> {
  const ran = await runHere([...args, "--log", log.url, "--policy", join(folder, "policy.txt")]);
  expectClean(ran);
  return ran;
}

function spoiltTile(): Uint8Array {
  return Buffer.concat([HASHES[0] ?? "", HASHES[2] ?? "", HASHES[1] ?? ""].map((hash) => Buffer.from(hash)));
}

describe("prove", () => {
  test("says that honest tiles lead to the signed root, though no witness says so: 2", async () => {
    for (const words of [
      ["inclusion", "1"],
      ["consistency", "2"],
      ["consistency", "3"],
      ["consistency", "0"],
    ])
      expect(await run("prove", ...words)).toMatchObject({
        code: 2,
        err: expect.stringContaining("the log's word alone"),
      });
  });

  test("refutes tiles that do not lead to the signed root", async () => {
    served.set("/app/tile/0/000.p/3", spoiltTile());
    for (const [kind = "", number = ""] of [
      ["inclusion", "0"],
      ["inclusion", "1"],
      ["inclusion", "2"],
      ["consistency", "1"],
      ["consistency", "2"],
    ]) {
      const ran = await run("prove", kind, number);
      expect(ran).toMatchObject({
        code: 1,
        err: "",
        out: expect.stringMatching(new RegExp(`^REFUTED {2}${kind}: [^\n]+\n$`)),
      });
      expect(JSON.parse((await run("prove", kind, number, "--json")).out)).toMatchObject({
        verdict: "REFUTED",
        step: kind,
        code: "proof-invalid",
      });
    }
  });

  test("cannot tell of tiles that are missing, too short or too long: 2", async () => {
    for (const tile of [undefined, new Uint8Array(95), new Uint8Array(97), new Uint8Array()]) {
      if (tile === undefined) served.delete("/app/tile/0/000.p/3");
      else served.set("/app/tile/0/000.p/3", tile);
      expectFailure(await run("prove", "inclusion", "0"), 2, "prove");
    }
  });

  test("of an empty log has no index to prove", async () => {
    served.set("/app/checkpoint", headOf(ORIGIN, 0));
    const ran = await run("prove", "inclusion", "0");
    expectFailure(ran, 3, "prove");
    expect(ran.err).toContain("INDEX: expected one below 0, the size of the published head, got 0");
    expect((await run("prove", "consistency", "0")).code).toBe(2);
  });

  test("takes no head of somebody else, of no key, or beyond all sizes", async () => {
    const stranger = "test.localhost/stranger";
    const beyond = formatCheckpoint({ origin: ORIGIN, size: 2n ** 63n - 1n, rootHash: treeHash(HASHES) });
    const signed = `${beyond}\n${signatureLine({ signer: signerOf(ORIGIN), noteText: beyond })}\n`;
    for (const head of [
      headOf(stranger, 3),
      headOf(ORIGIN, 3).replace("\n3\n", "\n2\n"),
      `${headOf(ORIGIN, 3)}x`,
      signed,
    ]) {
      served.set("/app/checkpoint", head);
      for (const words of [
        ["inclusion", "0"],
        ["consistency", "1"],
      ]) {
        const ran = await run("prove", ...words);
        expectFailure(ran, 2, "prove");
      }
    }
  });
});

describe("audit", () => {
  test("refutes a tree that is not the signed one", async () => {
    served.set("/app/tile/0/000.p/3", spoiltTile());
    const ran = await run("audit");
    expect(ran).toMatchObject({
      code: 1,
      err: "",
      out: expect.stringMatching(/^REFUTED {2}test\.localhost\/lying, 3 entries/),
    });
  });

  test("takes a head of another log as a mistake: it says nothing about this one", async () => {
    await writeFile(join(folder, "foreign"), headOf(OTHER, 1));
    const ran = await run("audit", "--head", join(folder, "foreign"));
    expectFailure(ran, 3, "audit");
    expect(ran.err).toContain('--head: expected heads of test.localhost/lying, got one of "test.localhost/other"');
  });
});

describe("receipt", () => {
  test("refutes the receipt of another index, and leaves no file", async () => {
    const proof = formatTlogProof({ index: 1n, hashes: [], checkpoint: headOf(ORIGIN, 3), extra: utf8("x") });
    served.set("/app/v1/receipts/0", proof);
    const ran = await run("receipt", "0", "--out", join(folder, "none"));
    expect(ran).toMatchObject({ code: 1, err: "", out: expect.stringMatching(/^REFUTED {2}leaf: /) });
  });
});
