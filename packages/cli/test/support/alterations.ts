/** Files that verify, and the same files altered by one bit. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { formatForkEvidence } from "@tallystick/client";
import { createSigner, formatCheckpoint, hashLeaf, signatureLine, utf8 } from "@tallystick/core";
import { expect } from "vitest";
import { type SmallLog, createSmallLog } from "../../../../test/support/small-log.ts";
import { expectClean } from "./clean.ts";
import { type Ran, runHere } from "./run-here.ts";

export interface VerifiedFiles {
  readonly receipt: string;
  readonly evidence: string;
  /** A receipt with every signature of its head, post-quantum ones included. */
  readonly all: string;
  readonly policy: string;
  readonly fork: string;
  /** Of the log that forked. */
  readonly forkPolicy: string;
  readonly log: SmallLog;
}

export async function makeVerifiedFiles(): Promise<VerifiedFiles> {
  const log = await createSmallLog(2);
  await log.report(3);
  const at = (name: string): string => join(log.folder, name);
  const policy = log.made.policyPath;
  const files = { receipt: at("1.tlog-proof"), evidence: at("1.json"), all: at("all.tlog-proof") };
  const args = ["receipt", "1", "--log", log.url(), "--token", log.made.tokens.auditor, "--policy", policy, "--out"];
  await runHere([...args, files.receipt]);
  await runHere([...args, files.evidence, "--evidence"]);
  await runHere([...args, files.all, "--all"]);
  return { ...files, policy, log, ...(await makeFork(at)) };
}

/** Two heads of one size and two roots, signed by one key. */
async function makeFork(at: (name: string) => string): Promise<Pick<VerifiedFiles, "fork" | "forkPolicy">> {
  const origin = "test.localhost/forked";
  const signer = createSigner({ name: origin, type: "ed25519", seed: new Uint8Array(32).fill(7) });
  const [a = "", b = ""] = ["a", "b"].map((leaf) => {
    const noteText = formatCheckpoint({ origin, size: 1, rootHash: hashLeaf(utf8(leaf)) });
    return `${noteText}\n${signatureLine({ signer, noteText })}\n`;
  });
  const paths = { fork: at("fork.json"), forkPolicy: at("fork-policy.txt") };
  await writeFile(paths.fork, formatForkEvidence({ origin, checkpoints: [a, b] }));
  await writeFile(paths.forkPolicy, `log ${signer.vkey}\nquorum none\n`);
  return paths;
}

export async function verifyJson(file: string, policy: string): Promise<Ran> {
  const ran = await runHere(["verify", file, "--policy", policy, "--json"]);
  expectClean(ran);
  return ran;
}

export interface Alteration {
  /** The file that is altered, one bit at a time. */
  readonly path: string;
  /** Gives what verify says where `altered` takes the place of `path`. */
  readonly verify: (altered: string) => Promise<Ran>;
  /** Every bit, or every ninth, say: then another one of each byte. */
  readonly every: number;
}

/** The bits that can be flipped without a refusal by verify, and what it says then. */
export async function acceptedAlterations({ path, verify, every }: Alteration): Promise<Map<number, Ran>> {
  const bytes = await readFile(path);
  const accepted = new Map<number, Ran>();
  for (let bit = 0; bit < bytes.length * 8; bit += every) {
    await writeFile(`${path}.altered`, withFlipped(bytes, bit));
    const ran = await verify(`${path}.altered`);
    expect([0, 1, 2]).toContain(ran.code);
    if (ran.code === 0) accepted.set(bit, ran);
  }
  return accepted;
}

function withFlipped(bytes: Uint8Array, bit: number): Uint8Array {
  const at = Math.floor(bit / 8);
  return bytes.map((byte, index) => (index === at ? byte ^ (1 << (bit % 8)) : byte));
}
