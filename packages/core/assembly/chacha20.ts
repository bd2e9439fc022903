/** The ChaCha20 permutation of four states at a time, one in each lane of a vector. RFC 8439 §2.3. */

/** Sixteen words of each of four states, transposed: word `i` of all four is vector `i`. */
export const STATE = memory.data(16 * 16, 16);

/** What {@link permute} makes of them. */
export const PERMUTED = memory.data(16 * 16, 16);

@inline function add(x: v128, y: v128): v128 { return i32x4.add(x, y); }

@inline function turn(x: v128, bits: i32): v128 {
  return v128.or(i32x4.shl(x, bits), i32x4.shr_u(x, 32 - bits));
}

@inline function turn8(x: v128): v128 {
  return i8x16.shuffle(x, x, 3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15, 12, 13, 14);
}

@inline function turn16(x: v128): v128 {
  return i8x16.shuffle(x, x, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13);
}

/** Twenty rounds, without adding the state that they started from. */
export function permute(): void {
  let x0 = v128.load(STATE, 0);
  let x1 = v128.load(STATE, 16);
  let x2 = v128.load(STATE, 32);
  let x3 = v128.load(STATE, 48);
  let x4 = v128.load(STATE, 64);
  let x5 = v128.load(STATE, 80);
  let x6 = v128.load(STATE, 96);
  let x7 = v128.load(STATE, 112);
  let x8 = v128.load(STATE, 128);
  let x9 = v128.load(STATE, 144);
  let x10 = v128.load(STATE, 160);
  let x11 = v128.load(STATE, 176);
  let x12 = v128.load(STATE, 192);
  let x13 = v128.load(STATE, 208);
  let x14 = v128.load(STATE, 224);
  let x15 = v128.load(STATE, 240);
  for (let round = 0; round < 20; round += 2) {
    // The columns.
    x0 = add(x0, x4); x12 = turn16(v128.xor(x12, x0)); x8 = add(x8, x12); x4 = turn(v128.xor(x4, x8), 12);
    x0 = add(x0, x4); x12 = turn8(v128.xor(x12, x0)); x8 = add(x8, x12); x4 = turn(v128.xor(x4, x8), 7);
    x1 = add(x1, x5); x13 = turn16(v128.xor(x13, x1)); x9 = add(x9, x13); x5 = turn(v128.xor(x5, x9), 12);
    x1 = add(x1, x5); x13 = turn8(v128.xor(x13, x1)); x9 = add(x9, x13); x5 = turn(v128.xor(x5, x9), 7);
    x2 = add(x2, x6); x14 = turn16(v128.xor(x14, x2)); x10 = add(x10, x14); x6 = turn(v128.xor(x6, x10), 12);
    x2 = add(x2, x6); x14 = turn8(v128.xor(x14, x2)); x10 = add(x10, x14); x6 = turn(v128.xor(x6, x10), 7);
    x3 = add(x3, x7); x15 = turn16(v128.xor(x15, x3)); x11 = add(x11, x15); x7 = turn(v128.xor(x7, x11), 12);
    x3 = add(x3, x7); x15 = turn8(v128.xor(x15, x3)); x11 = add(x11, x15); x7 = turn(v128.xor(x7, x11), 7);
    // The diagonals.
    x0 = add(x0, x5); x15 = turn16(v128.xor(x15, x0)); x10 = add(x10, x15); x5 = turn(v128.xor(x5, x10), 12);
    x0 = add(x0, x5); x15 = turn8(v128.xor(x15, x0)); x10 = add(x10, x15); x5 = turn(v128.xor(x5, x10), 7);
    x1 = add(x1, x6); x12 = turn16(v128.xor(x12, x1)); x11 = add(x11, x12); x6 = turn(v128.xor(x6, x11), 12);
    x1 = add(x1, x6); x12 = turn8(v128.xor(x12, x1)); x11 = add(x11, x12); x6 = turn(v128.xor(x6, x11), 7);
    x2 = add(x2, x7); x13 = turn16(v128.xor(x13, x2)); x8 = add(x8, x13); x7 = turn(v128.xor(x7, x8), 12);
    x2 = add(x2, x7); x13 = turn8(v128.xor(x13, x2)); x8 = add(x8, x13); x7 = turn(v128.xor(x7, x8), 7);
    x3 = add(x3, x4); x14 = turn16(v128.xor(x14, x3)); x9 = add(x9, x14); x4 = turn(v128.xor(x4, x9), 12);
    x3 = add(x3, x4); x14 = turn8(v128.xor(x14, x3)); x9 = add(x9, x14); x4 = turn(v128.xor(x4, x9), 7);
  }
  v128.store(PERMUTED, x0, 0);
  v128.store(PERMUTED, x1, 16);
  v128.store(PERMUTED, x2, 32);
  v128.store(PERMUTED, x3, 48);
  v128.store(PERMUTED, x4, 64);
  v128.store(PERMUTED, x5, 80);
  v128.store(PERMUTED, x6, 96);
  v128.store(PERMUTED, x7, 112);
  v128.store(PERMUTED, x8, 128);
  v128.store(PERMUTED, x9, 144);
  v128.store(PERMUTED, x10, 160);
  v128.store(PERMUTED, x11, 176);
  v128.store(PERMUTED, x12, 192);
  v128.store(PERMUTED, x13, 208);
  v128.store(PERMUTED, x14, 224);
  v128.store(PERMUTED, x15, 240);
}
