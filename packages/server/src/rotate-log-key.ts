/**
 * Replacing the keys that sign a log's heads: first another key signs beside the one there is, and once all who check
 * heads know it, the old one is retired.
 *
 * The policy says which keys of the log readers accept. While both sign, whoever has the old policy and whoever has the new
 * one accepts every head. Both steps change files only; they count from the log's next start, which notes them as `log.key`.
 * One process at a time: two would make two keys, of which the policy names one that nobody has.
 */
import { createHash, randomBytes } from "node:crypto";
import { link, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import {
  type Signer,
  type SignerType,
  createSigner,
  formatKeyId,
  formatSignerKey,
  parsePolicy,
  parseVkey,
  utf8,
} from "@tallystick/core";
import type { LogKeys } from "@tallystick/log";
import { shredFile, syncFolder, withFolderLocked, writeFileDurably } from "@tallystick/storage";
import { withCheckLine } from "./check-line.ts";
import { ServerError } from "./error.ts";
import { readLogKeys, readLogPolicy, readRetiredVkeys } from "./init.ts";
import { type LogLayout, logLayoutOf } from "./layout.ts";

export interface RotatedLogKey {
  /** The keys that sign from the next start on, the Ed25519 ones before those of ML-DSA-44. */
  readonly vkeys: readonly string[];
  /** Those that were added or retired. */
  readonly changed: readonly string[];
  readonly policyPath: string;
  /** The policy as it was before. */
  readonly policyBeforePath: string;
}

export interface AddLogKeysInput {
  readonly dir: string;
  readonly name: string;
  /** Those that the log has, by default. */
  readonly types?: readonly SignerType[];
}

/**
 * Makes another checkpoint key of each type, and adds it to the policy. Interrupted, it is to be called again.
 *
 * @throws {ServerError} `rotation-under-way`: there are such keys, and the old ones are not retired yet.
 */
export async function addLogKeys(input: AddLogKeysInput): Promise<RotatedLogKey> {
  return withFolderLocked(input.dir, async () => addLocked(input));
}

async function addLocked({ dir, name, types }: AddLogKeysInput): Promise<RotatedLogKey> {
  const layout = logLayoutOf(dir, name);
  const before = await readLogKeys(layout);
  const policy = await readLogPolicy(layout, before);
  const origin = originOf(before);
  const added: Signer[] = [];
  for (const type of types ?? before.signers.filter(isCurrent(before)).map((signer) => signer.type)) {
    const made = before.signers.find((signer) => signer.type === type && !isCurrent(before)(signer));
    if (made !== undefined && policy.includes(made.vkey)) throw underWay(name, made);
    const signer = made ?? createSigner({ name: origin, type, seed: randomBytes(32) });
    // Dying after this line leaves a key that signs, and that no policy names: the next call goes on with it.
    if (made === undefined) await writeFileDurably(nextKeyPath(layout, type), utf8(`${formatSignerKey(signer)}\n`));
    added.push(signer);
  }
  const vkeys = added.map(({ vkey }) => vkey);
  const paths = await replacePolicy(layout, policy, withLogKeys(policy, origin, vkeys));
  return { vkeys: (await readLogKeys(layout)).signers.map(({ vkey }) => vkey), changed: vkeys, ...paths };
}

export interface RetireLogKeyInput {
  readonly dir: string;
  readonly name: string;
  /** Of the key that is to go, 8 hex digits. */
  readonly keyId: string;
}

/**
 * Retires a checkpoint key that has a successor: it is taken out of the policy, and its secret is destroyed. Interrupted,
 * it is to be called again.
 *
 * @throws {ServerError} `key-unknown`: the log has no such key. `rotation-missing`: no other key of its type signs yet.
 */
export async function retireLogKey(input: RetireLogKeyInput): Promise<RotatedLogKey> {
  return withFolderLocked(input.dir, async () => retireLocked(input));
}

async function retireLocked({ dir, name, keyId }: RetireLogKeyInput): Promise<RotatedLogKey> {
  const layout = logLayoutOf(dir, name);
  const keys = await readLogKeys(layout);
  const old = keys.signers.find((signer) => formatKeyId(signer.keyId) === keyId);
  const retired = (await readRetiredVkeys(layout)).find((vkey) => formatKeyId(parseVkey(vkey).keyId) === keyId);
  if (old !== undefined) {
    const next = keys.signers.find((signer) => signer !== old && signer.type === old.type);
    if (next === undefined || !isCurrent(keys)(old)) throw missing(name, old);
    await noteRetired(layout, old.vkey);
    await replaceKey(layout, old.type);
  } else if (retired === undefined) {
    throw new ServerError("key-unknown", `log ${name} has no key ${keyId}; tallystick keys show --dir DIR lists them`);
  }
  for (const type of TYPES) await shredIfThere(setAsidePath(layout, type));
  const left = await readLogKeys(layout);
  const vkey = old?.vkey ?? retired ?? "";
  const policy = await readLogPolicy(layout, left);
  const paths = await replacePolicy(layout, policy, withoutLogKey(policy, vkey));
  return { vkeys: left.signers.map((signer) => signer.vkey), changed: [vkey], ...paths };
}

/** Whether a key is the one that its type's main file holds. The main ones come first of their type. */
function isCurrent({ signers }: LogKeys): (signer: Signer) => boolean {
  return (signer) => signers.find(({ type }) => type === signer.type) === signer;
}

const TYPES: readonly SignerType[] = ["ed25519", "mldsa44"];

function keyPath(layout: LogLayout, type: SignerType): string {
  return type === "ed25519" ? layout.ed25519Key : layout.mldsa44Key;
}

function nextKeyPath(layout: LogLayout, type: SignerType): string {
  return type === "ed25519" ? layout.nextEd25519Key : layout.nextMldsa44Key;
}

/** Where the retired key is until it is overwritten. */
function setAsidePath(layout: LogLayout, type: SignerType): string {
  return keyPath(layout, type).replace(/\.key$/, ".retired.key");
}

/** The next key takes the place of the old one, whose file is kept aside to be overwritten. */
async function replaceKey(layout: LogLayout, type: SignerType): Promise<void> {
  const [path, aside] = [keyPath(layout, type), setAsidePath(layout, type)];
  // A second name, under which the old file can be overwritten once the new one has taken its place.
  await rm(aside, { force: true });
  await link(path, aside);
  await rename(nextKeyPath(layout, type), path);
  await syncFolder(dirname(path));
}

async function shredIfThere(path: string): Promise<void> {
  const found = await stat(path).catch(() => undefined);
  if (found !== undefined) await shredFile(path, found.size);
}

async function noteRetired(layout: LogLayout, vkey: string): Promise<void> {
  const known = await readRetiredVkeys(layout);
  if (known.includes(vkey)) return;
  await writeFileDurably(layout.retiredKeys, utf8(withCheckLine(`${[...known, vkey].join("\n")}\n`)), { mode: 0o644 });
}

/** Writes a policy, and keeps the one before beside it: receipts of its time verify under it. */
async function replacePolicy(
  { policy: policyPath }: LogLayout,
  before: string,
  after: string,
): Promise<Pick<RotatedLogKey, "policyPath" | "policyBeforePath">> {
  const digest = createHash("sha256").update(before).digest("hex").slice(0, 8);
  const policyBeforePath = policyPath.replace(/\.txt$/, `.before-${digest}.txt`);
  if (after === before) return { policyPath, policyBeforePath: policyPath };
  await writeFileDurably(policyBeforePath, utf8(withCheckLine(before)), { mode: 0o644 });
  await writeFileDurably(policyPath, utf8(withCheckLine(after)), { mode: 0o644 });
  return { policyPath, policyBeforePath };
}

/** The policy with further keys of the log, behind those that it has; everything else stays as somebody wrote it. */
function withLogKeys(policy: string, origin: string, vkeys: readonly string[]): string {
  const lines = policy.split("\n");
  const last = lines.findLastIndex((line) => keyOfLogLine(line)?.startsWith(`${origin}+`) === true);
  const [, , url] = lines[last]?.trim().split(/[ \t]+/) ?? [];
  const added = vkeys.filter((vkey) => !lines.some((line) => keyOfLogLine(line) === vkey));
  const made = added.map((vkey) => (url === undefined ? `log ${vkey}` : `log ${vkey} ${url}`));
  return checked([...lines.slice(0, last + 1), ...made, ...lines.slice(last + 1)].join("\n"));
}

function withoutLogKey(policy: string, vkey: string): string {
  return checked(
    policy
      .split("\n")
      .filter((line) => keyOfLogLine(line) !== vkey)
      .join("\n"),
  );
}

function keyOfLogLine(line: string): string | undefined {
  const [keyword, vkey] = line.trim().split(/[ \t]+/);
  return keyword === "log" ? vkey : undefined;
}

function checked(policy: string): string {
  parsePolicy(policy);
  return policy;
}

function originOf({ signers }: LogKeys): string {
  const [first] = signers;
  if (first === undefined) throw new TypeError("keys: expected the log's Ed25519 key");
  return first.name;
}

function underWay(name: string, { vkey }: Signer): ServerError {
  const message = `log ${name} has ${vkey} beside its present key already: retire the present one first, once all know the new one`;
  return new ServerError("rotation-under-way", message);
}

function missing(name: string, { keyId }: Signer): ServerError {
  const message = `log ${name} has no key that could take the place of ${formatKeyId(keyId)}: keys rotate-log without --retire makes one; what was made last cannot be retired first`;
  return new ServerError("rotation-missing", message);
}
