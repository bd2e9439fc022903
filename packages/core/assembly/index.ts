/** What the kernel is asked for, and the memory through which it is asked. */
import { readDigits, readHashLines } from "./base64";
import { clear } from "./clear";
import { LEAF_PREFIX_BYTES, hashMessages } from "./messages";
import { hashPairs, makeTails } from "./nodes";
import { hashWays } from "./paths";
import { forget } from "./sha256";
import { encryptMessages } from "./aead";

/** What there is to hash. */
export const INPUT_BYTES: u32 = 256 * 1024;
export const INPUT = memory.data(INPUT_BYTES, 64);

/** The length of each entry, in 32 bits, and each hash. */
export const ENTRIES_MAX: u32 = 2048;
export const LENGTHS = memory.data(4 * ENTRIES_MAX, 64);
export const OUTPUT = memory.data(32 * ENTRIES_MAX, 64);

/** Messages lie in INPUT each in a whole number of blocks: the 9 bytes after it are left free. They are overwritten. */
export function hash(count: u32): void {
  const end = hashMessages(INPUT, LENGTHS, count, OUTPUT, 0);
  clear(INPUT, end - INPUT);
  forget();
}

/** The same with entries: the byte before it is left free too. */
export function hashLeaves(count: u32): void {
  hashMessages(INPUT, LENGTHS, count, OUTPUT, LEAF_PREFIX_BYTES);
}

/** Pairs of hashes lie in INPUT one after the other. */
export function hashNodes(count: u32): void {
  hashPairs(INPUT, OUTPUT, count);
}

/** Ways lie in INPUT, and what is said of them in LENGTHS: see paths.ts. */
export function hashPaths(count: u32): void {
  hashWays(INPUT, LENGTHS, count, OUTPUT);
}

/** Sixteen digits of base64 at a time, from `start` on in INPUT's code units, to OUTPUT. Whether all are digits. */
export function readBase64(start: u32, count: u32): bool {
  return readDigits(INPUT + 2 * start, count, OUTPUT);
}

/** Lines of base64, each a hash, from `start` on in INPUT's code units, to OUTPUT. Whether each is in its one form. */
export function readHashes(start: u32, count: u32): bool {
  return readHashLines(INPUT + 2 * start, count, OUTPUT);
}

/** Texts lie in INPUT: see aead.ts. */
export function encrypt(count: u32): void {
  encryptMessages(INPUT, LENGTHS, count);
}

makeTails();
