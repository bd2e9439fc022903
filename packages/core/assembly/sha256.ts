/**
 * SHA-256 of four messages at a time, one in each lane of a vector. FIPS 180-4.
 *
 * A compression takes a vector where the standard has a word. What one message leaves idle, another uses: see leaves.ts.
 */

import { clear } from "./clear";
import { transpose } from "./transpose";

/** FIPS 180-4 §4.2.2. */
// prettier-ignore
const K = memory.data<u32>([
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
  0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
  0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
  0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
  0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
  0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
  0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
  0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
]);

/** The state that a message starts with. FIPS 180-4 §5.3.3. */
// prettier-ignore
const INITIAL = memory.data<u32>([
  0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
]);

/** The states of four messages: eight vectors, a message in each lane. */
const STATE = memory.data(8 * 16, 16);

export const BLOCK_BYTES: u32 = 64;
export const HASH_BYTES: u32 = 32;

@inline function add(x: v128, y: v128): v128 { return i32x4.add(x, y); }

@inline function turn(x: v128, bits: i32): v128 {
  return v128.or(i32x4.shr_u(x, bits), i32x4.shl(x, 32 - bits));
}

// The functions of FIPS 180-4 §4.1.2.
@inline function choose(e: v128, f: v128, g: v128): v128 { return v128.bitselect(f, g, e); }
/** Of a, b and c, by the difference of the first two and that of the last two: the next round has need of the first again. */
@inline function majority(b: v128, ab: v128, bc: v128): v128 { return v128.xor(b, v128.and(ab, bc)); }
@inline function sum0(a: v128): v128 { return v128.xor(v128.xor(turn(a, 2), turn(a, 13)), turn(a, 22)); }
@inline function sum1(e: v128): v128 { return v128.xor(v128.xor(turn(e, 6), turn(e, 11)), turn(e, 25)); }
@inline function sigma0(w: v128): v128 { return v128.xor(v128.xor(turn(w, 7), turn(w, 18)), i32x4.shr_u(w, 3)); }
@inline function sigma1(w: v128): v128 { return v128.xor(v128.xor(turn(w, 17), turn(w, 19)), i32x4.shr_u(w, 10)); }

/** The word that takes the place of the one 16 rounds earlier. FIPS 180-4 §6.2.2, step 1. */
@inline function next(w16: v128, w15: v128, w7: v128, w2: v128): v128 {
  return add(add(w16, sigma0(w15)), add(w7, sigma1(w2)));
}

@inline function t1(e: v128, f: v128, g: v128, h: v128, kw: v128): v128 {
  return add(add(h, kw), add(sum1(e), choose(e, f, g)));
}

/** Big-endian words from where they lie. */
@inline function loadWords(from: usize): v128 {
  return i8x16.swizzle(v128.load(from), i8x16(3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12));
}

/** Takes a block of each of four messages, transposed: word `i` of all four is vector `i` at `words`. */
export function compress(words: usize): void {
  let at = K;
  let w0 = v128.load(words, 0);
  let w1 = v128.load(words, 16);
  let w2 = v128.load(words, 32);
  let w3 = v128.load(words, 48);
  let w4 = v128.load(words, 64);
  let w5 = v128.load(words, 80);
  let w6 = v128.load(words, 96);
  let w7 = v128.load(words, 112);
  let w8 = v128.load(words, 128);
  let w9 = v128.load(words, 144);
  let w10 = v128.load(words, 160);
  let w11 = v128.load(words, 176);
  let w12 = v128.load(words, 192);
  let w13 = v128.load(words, 208);
  let w14 = v128.load(words, 224);
  let w15 = v128.load(words, 240);
  let a = v128.load(STATE, 0);
  let b = v128.load(STATE, 16);
  let c = v128.load(STATE, 32);
  let d = v128.load(STATE, 48);
  let e = v128.load(STATE, 64);
  let f = v128.load(STATE, 80);
  let g = v128.load(STATE, 96);
  let h = v128.load(STATE, 112);
  let t: v128;
  let ab: v128;
  let bc = v128.xor(b, c);
  t = t1(e, f, g, h, add(w0, v128.load32_splat(at, 0))); d = add(d, t); ab = v128.xor(a, b); h = add(t, add(sum0(a), majority(b, ab, bc)));
  t = t1(d, e, f, g, add(w1, v128.load32_splat(at, 4))); c = add(c, t); bc = v128.xor(h, a); g = add(t, add(sum0(h), majority(a, bc, ab)));
  t = t1(c, d, e, f, add(w2, v128.load32_splat(at, 8))); b = add(b, t); ab = v128.xor(g, h); f = add(t, add(sum0(g), majority(h, ab, bc)));
  t = t1(b, c, d, e, add(w3, v128.load32_splat(at, 12))); a = add(a, t); bc = v128.xor(f, g); e = add(t, add(sum0(f), majority(g, bc, ab)));
  t = t1(a, b, c, d, add(w4, v128.load32_splat(at, 16))); h = add(h, t); ab = v128.xor(e, f); d = add(t, add(sum0(e), majority(f, ab, bc)));
  t = t1(h, a, b, c, add(w5, v128.load32_splat(at, 20))); g = add(g, t); bc = v128.xor(d, e); c = add(t, add(sum0(d), majority(e, bc, ab)));
  t = t1(g, h, a, b, add(w6, v128.load32_splat(at, 24))); f = add(f, t); ab = v128.xor(c, d); b = add(t, add(sum0(c), majority(d, ab, bc)));
  t = t1(f, g, h, a, add(w7, v128.load32_splat(at, 28))); e = add(e, t); bc = v128.xor(b, c); a = add(t, add(sum0(b), majority(c, bc, ab)));
  t = t1(e, f, g, h, add(w8, v128.load32_splat(at, 32))); d = add(d, t); ab = v128.xor(a, b); h = add(t, add(sum0(a), majority(b, ab, bc)));
  t = t1(d, e, f, g, add(w9, v128.load32_splat(at, 36))); c = add(c, t); bc = v128.xor(h, a); g = add(t, add(sum0(h), majority(a, bc, ab)));
  t = t1(c, d, e, f, add(w10, v128.load32_splat(at, 40))); b = add(b, t); ab = v128.xor(g, h); f = add(t, add(sum0(g), majority(h, ab, bc)));
  t = t1(b, c, d, e, add(w11, v128.load32_splat(at, 44))); a = add(a, t); bc = v128.xor(f, g); e = add(t, add(sum0(f), majority(g, bc, ab)));
  t = t1(a, b, c, d, add(w12, v128.load32_splat(at, 48))); h = add(h, t); ab = v128.xor(e, f); d = add(t, add(sum0(e), majority(f, ab, bc)));
  t = t1(h, a, b, c, add(w13, v128.load32_splat(at, 52))); g = add(g, t); bc = v128.xor(d, e); c = add(t, add(sum0(d), majority(e, bc, ab)));
  t = t1(g, h, a, b, add(w14, v128.load32_splat(at, 56))); f = add(f, t); ab = v128.xor(c, d); b = add(t, add(sum0(c), majority(d, ab, bc)));
  t = t1(f, g, h, a, add(w15, v128.load32_splat(at, 60))); e = add(e, t); bc = v128.xor(b, c); a = add(t, add(sum0(b), majority(c, bc, ab)));
  for (at += 64; at < K + 256; at += 64) {
    w0 = next(w0, w1, w9, w14);
    t = t1(e, f, g, h, add(w0, v128.load32_splat(at, 0))); d = add(d, t); ab = v128.xor(a, b); h = add(t, add(sum0(a), majority(b, ab, bc)));
    w1 = next(w1, w2, w10, w15);
    t = t1(d, e, f, g, add(w1, v128.load32_splat(at, 4))); c = add(c, t); bc = v128.xor(h, a); g = add(t, add(sum0(h), majority(a, bc, ab)));
    w2 = next(w2, w3, w11, w0);
    t = t1(c, d, e, f, add(w2, v128.load32_splat(at, 8))); b = add(b, t); ab = v128.xor(g, h); f = add(t, add(sum0(g), majority(h, ab, bc)));
    w3 = next(w3, w4, w12, w1);
    t = t1(b, c, d, e, add(w3, v128.load32_splat(at, 12))); a = add(a, t); bc = v128.xor(f, g); e = add(t, add(sum0(f), majority(g, bc, ab)));
    w4 = next(w4, w5, w13, w2);
    t = t1(a, b, c, d, add(w4, v128.load32_splat(at, 16))); h = add(h, t); ab = v128.xor(e, f); d = add(t, add(sum0(e), majority(f, ab, bc)));
    w5 = next(w5, w6, w14, w3);
    t = t1(h, a, b, c, add(w5, v128.load32_splat(at, 20))); g = add(g, t); bc = v128.xor(d, e); c = add(t, add(sum0(d), majority(e, bc, ab)));
    w6 = next(w6, w7, w15, w4);
    t = t1(g, h, a, b, add(w6, v128.load32_splat(at, 24))); f = add(f, t); ab = v128.xor(c, d); b = add(t, add(sum0(c), majority(d, ab, bc)));
    w7 = next(w7, w8, w0, w5);
    t = t1(f, g, h, a, add(w7, v128.load32_splat(at, 28))); e = add(e, t); bc = v128.xor(b, c); a = add(t, add(sum0(b), majority(c, bc, ab)));
    w8 = next(w8, w9, w1, w6);
    t = t1(e, f, g, h, add(w8, v128.load32_splat(at, 32))); d = add(d, t); ab = v128.xor(a, b); h = add(t, add(sum0(a), majority(b, ab, bc)));
    w9 = next(w9, w10, w2, w7);
    t = t1(d, e, f, g, add(w9, v128.load32_splat(at, 36))); c = add(c, t); bc = v128.xor(h, a); g = add(t, add(sum0(h), majority(a, bc, ab)));
    w10 = next(w10, w11, w3, w8);
    t = t1(c, d, e, f, add(w10, v128.load32_splat(at, 40))); b = add(b, t); ab = v128.xor(g, h); f = add(t, add(sum0(g), majority(h, ab, bc)));
    w11 = next(w11, w12, w4, w9);
    t = t1(b, c, d, e, add(w11, v128.load32_splat(at, 44))); a = add(a, t); bc = v128.xor(f, g); e = add(t, add(sum0(f), majority(g, bc, ab)));
    w12 = next(w12, w13, w5, w10);
    t = t1(a, b, c, d, add(w12, v128.load32_splat(at, 48))); h = add(h, t); ab = v128.xor(e, f); d = add(t, add(sum0(e), majority(f, ab, bc)));
    w13 = next(w13, w14, w6, w11);
    t = t1(h, a, b, c, add(w13, v128.load32_splat(at, 52))); g = add(g, t); bc = v128.xor(d, e); c = add(t, add(sum0(d), majority(e, bc, ab)));
    w14 = next(w14, w15, w7, w12);
    t = t1(g, h, a, b, add(w14, v128.load32_splat(at, 56))); f = add(f, t); ab = v128.xor(c, d); b = add(t, add(sum0(c), majority(d, ab, bc)));
    w15 = next(w15, w0, w8, w13);
    t = t1(f, g, h, a, add(w15, v128.load32_splat(at, 60))); e = add(e, t); bc = v128.xor(b, c); a = add(t, add(sum0(b), majority(c, bc, ab)));
  }
  v128.store(STATE, add(a, v128.load(STATE, 0)), 0);
  v128.store(STATE, add(b, v128.load(STATE, 16)), 16);
  v128.store(STATE, add(c, v128.load(STATE, 32)), 32);
  v128.store(STATE, add(d, v128.load(STATE, 48)), 48);
  v128.store(STATE, add(e, v128.load(STATE, 64)), 64);
  v128.store(STATE, add(f, v128.load(STATE, 80)), 80);
  v128.store(STATE, add(g, v128.load(STATE, 96)), 96);
  v128.store(STATE, add(h, v128.load(STATE, 112)), 112);
}

/** Starts all four messages. */
export function start(): void {
  for (let word: usize = 0; word < 8; word += 1) v128.store(STATE + (word << 4), v128.load32_splat(INITIAL + (word << 2)));
}

/** Starts the message of one lane. */
export function startLane(lane: usize): void {
  for (let word: usize = 0; word < 8; word += 1) store<u32>(laneWord(lane, word), load<u32>(INITIAL + (word << 2)));
}

/** Writes the hash of one lane's message. */
export function finishLane(lane: usize, to: usize): void {
  for (let word: usize = 0; word < 8; word += 1) store<u32>(to + (word << 2), bswap(load<u32>(laneWord(lane, word))));
}

@inline function laneWord(lane: usize, word: usize): usize { return STATE + (word << 4) + (lane << 2); }

/** Writes the hashes of all four messages, one after the other. */
export function finish(to: usize): void {
  transpose(loadWords(STATE), loadWords(STATE + 16), loadWords(STATE + 32), loadWords(STATE + 48), to, HASH_BYTES);
  transpose(loadWords(STATE + 64), loadWords(STATE + 80), loadWords(STATE + 96), loadWords(STATE + 112), to + 16, HASH_BYTES);
}

/** The words of the block that is compressed next: sixteen vectors. */
export const WORDS = memory.data(16 * 16, 16);

/** Takes 64 bytes of each of four messages from where they lie. */
export function loadBlocks(a: usize, b: usize, c: usize, d: usize): void {
  for (let at: usize = 0; at < BLOCK_BYTES; at += 16) {
    transpose(loadWords(a + at), loadWords(b + at), loadWords(c + at), loadWords(d + at), WORDS + (at << 2), 16);
  }
}

/** Turns the block at `row` into what its 64 rounds add: the expanded message and the constants. FIPS 180-4 §6.2.2. */
export function schedule(row: usize): void {
  for (let at = row + 64; at < row + 256; at += 4) {
    const w15 = load<u32>(at - 60);
    const w2 = load<u32>(at - 8);
    const s0 = rotr<u32>(w15, 7) ^ rotr<u32>(w15, 18) ^ (w15 >> 3);
    const s1 = rotr<u32>(w2, 17) ^ rotr<u32>(w2, 19) ^ (w2 >> 10);
    store<u32>(at, load<u32>(at - 64) + s0 + load<u32>(at - 28) + s1);
  }
  for (let at: usize = 0; at < 256; at += 4) store<u32>(row + at, load<u32>(row + at) + load<u32>(K + at));
}


/** Takes a block of each of four messages whose rows {@link schedule} has made. */
export function compressScheduled(row0: usize, row1: usize, row2: usize, row3: usize): void {
  let a = v128.load(STATE, 0);
  let b = v128.load(STATE, 16);
  let c = v128.load(STATE, 32);
  let d = v128.load(STATE, 48);
  let e = v128.load(STATE, 64);
  let f = v128.load(STATE, 80);
  let g = v128.load(STATE, 96);
  let h = v128.load(STATE, 112);
  let t: v128;
  let ab: v128;
  let bc = v128.xor(b, c);
  for (let at: usize = 0; at < 256; at += 32) {
    transpose(v128.load(row0 + at, 0), v128.load(row1 + at, 0), v128.load(row2 + at, 0), v128.load(row3 + at, 0), WORDS, 16);
    t = t1(e, f, g, h, v128.load(WORDS, 0)); d = add(d, t); ab = v128.xor(a, b); h = add(t, add(sum0(a), majority(b, ab, bc)));
    t = t1(d, e, f, g, v128.load(WORDS, 16)); c = add(c, t); bc = v128.xor(h, a); g = add(t, add(sum0(h), majority(a, bc, ab)));
    t = t1(c, d, e, f, v128.load(WORDS, 32)); b = add(b, t); ab = v128.xor(g, h); f = add(t, add(sum0(g), majority(h, ab, bc)));
    t = t1(b, c, d, e, v128.load(WORDS, 48)); a = add(a, t); bc = v128.xor(f, g); e = add(t, add(sum0(f), majority(g, bc, ab)));
    transpose(v128.load(row0 + at, 16), v128.load(row1 + at, 16), v128.load(row2 + at, 16), v128.load(row3 + at, 16), WORDS, 16);
    t = t1(a, b, c, d, v128.load(WORDS, 0)); h = add(h, t); ab = v128.xor(e, f); d = add(t, add(sum0(e), majority(f, ab, bc)));
    t = t1(h, a, b, c, v128.load(WORDS, 16)); g = add(g, t); bc = v128.xor(d, e); c = add(t, add(sum0(d), majority(e, bc, ab)));
    t = t1(g, h, a, b, v128.load(WORDS, 32)); f = add(f, t); ab = v128.xor(c, d); b = add(t, add(sum0(c), majority(d, ab, bc)));
    t = t1(f, g, h, a, v128.load(WORDS, 48)); e = add(e, t); bc = v128.xor(b, c); a = add(t, add(sum0(b), majority(c, bc, ab)));
  }
  v128.store(STATE, add(a, v128.load(STATE, 0)), 0);
  v128.store(STATE, add(b, v128.load(STATE, 16)), 16);
  v128.store(STATE, add(c, v128.load(STATE, 32)), 32);
  v128.store(STATE, add(d, v128.load(STATE, 48)), 48);
  v128.store(STATE, add(e, v128.load(STATE, 64)), 64);
  v128.store(STATE, add(f, v128.load(STATE, 80)), 80);
  v128.store(STATE, add(g, v128.load(STATE, 96)), 96);
  v128.store(STATE, add(h, v128.load(STATE, 112)), 112);
}

/** Forgets what was hashed. */
export function forget(): void {
  clear(STATE, 8 * 16);
  clear(WORDS, 16 * 16);
}
