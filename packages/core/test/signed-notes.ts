/** Keys from fixed seeds and what they sign: the notes that tests alter. */
import {
  type Signer,
  type SignerType,
  createSigner,
  formatCheckpoint,
  hashLeaf,
  parsePolicy,
  type Policy,
  sha256,
  signatureLine,
  utf8,
} from "../src/index.ts";

/** The signer of a name and a type is the same in every test. */
export function signerOf(name: string, type: SignerType = "ed25519"): Signer {
  return createSigner({ name, type, seed: sha256(utf8(`${type} ${name}`)) });
}

export const ORIGIN = "log.example/one";
export const TIME = 1_700_000_000;
export const rootHash: Uint8Array = hashLeaf(utf8("entry"));
export const text: string = formatCheckpoint({ origin: ORIGIN, size: 1, rootHash });

/** A note from its text and its lines, whatever they are. */
export function noteOf(noteText: string, ...lines: readonly string[]): string {
  return `${noteText}\n${lines.map((line) => `${line}\n`).join("")}`;
}

/** The line by which `signer` signs `noteText`. */
export function lineOf(signer: Signer, noteText: string = text, timestamp: number | bigint = TIME): string {
  return signatureLine({ signer, noteText, timestamp });
}

/** A policy of one log and of these witnesses, named as their keys; `rest` are its further lines. */
export function policyOf(logs: readonly Signer[], witnesses: readonly Signer[], ...rest: readonly string[]): Policy {
  const lines = [
    ...logs.map(({ vkey }) => `log ${vkey}`),
    ...witnesses.map(({ name, vkey }) => `witness ${name} ${vkey}`),
    ...rest,
  ];
  return parsePolicy(lines.map((line) => `${line}\n`).join(""));
}
