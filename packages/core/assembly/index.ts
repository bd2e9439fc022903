/** What the kernel is asked for, and the memory through which it is asked. */
import { hashEntries } from "./leaves";
import { hashPairs, makeTails } from "./nodes";
import { encryptMessages } from "./aead";

/** What there is to hash. */
export const INPUT_BYTES: u32 = 256 * 1024;
export const INPUT = memory.data(INPUT_BYTES, 64);

/** The length of each entry, in 32 bits, and each hash. */
export const ENTRIES_MAX: u32 = 2048;
export const LENGTHS = memory.data(4 * ENTRIES_MAX, 64);
export const OUTPUT = memory.data(32 * ENTRIES_MAX, 64);

/** Entries lie in INPUT each in a whole number of blocks: the first byte is left free, and the 9 after the entry. */
export function hashLeaves(count: u32): void {
  hashEntries(INPUT, LENGTHS, count, OUTPUT);
}

/** Pairs of hashes lie in INPUT one after the other. */
export function hashNodes(count: u32): void {
  hashPairs(INPUT, OUTPUT, count);
}

/** Messages lie in INPUT: see aead.ts. */
export function encrypt(count: u32): void {
  encryptMessages(INPUT, LENGTHS, count);
}

makeTails();
