/** Base64 from UTF-16 code units, sixteen digits at a time. RFC 4648 §4. */

const DIGITS: u32 = 16;
const UNITS_BYTES: u32 = 2 * DIGITS;
const BYTES: u32 = 12;

const LINE_UNITS: u32 = 45;
const PADDING: u16 = 0x3d;
const NEWLINE: u16 = 0x0a;
/** A: all of its bits are 0. */
const ZERO_DIGIT: u8 = 0x41;
/** Of a line's 43 digits and its padding, the last sixteen: they overlap the sixteen before them. */
const LAST_DIGITS: u32 = 44 - DIGITS;
const LAST_BYTES: u32 = 33 - BYTES;

/**
 * Digits by the upper half of their byte: 2 has + and /, 3 has 0 to 9, 4 and 6 begin with a letter at 1, 5 and 7 end with
 * one at a. Each of these four kinds is a bit, and 16 is the bit of the others.
 */
@inline function kindOf(upperHalf: v128): v128 {
  return i8x16.swizzle(i8x16(16, 16, 1, 2, 4, 8, 4, 8, 16, 16, 16, 16, 16, 16, 16, 16), upperHalf);
}

/** The kinds of which none has this lower half of a byte. */
@inline function kindsWithout(lowerHalf: v128): v128 {
  return i8x16.swizzle(i8x16(21, 17, 17, 17, 17, 17, 17, 17, 17, 17, 19, 26, 27, 27, 27, 26), lowerHalf);
}

@inline function upperHalfOf(digits: v128): v128 { return i8x16.shr_u(digits, 4); }

/** A bit in each byte that is no digit. */
@inline function faultsOf(digits: v128): v128 {
  return v128.and(kindOf(upperHalfOf(digits)), kindsWithout(v128.and(digits, i8x16.splat(15))));
}

/** The values of sixteen digits, 6 bits each. */
@inline function valuesOf(digits: v128): v128 {
  // What is to be added, by the upper half; / has a place of its own, one before that of +.
  const place = i8x16.add(upperHalfOf(digits), i8x16.eq(digits, i8x16.splat(0x2f)));
  return i8x16.add(digits, i8x16.swizzle(i8x16(0, 16, 19, 4, -65, -65, -71, -71, 0, 0, 0, 0, 0, 0, 0, 0), place));
}

/** Sixteen code units as bytes; units that are no bytes become 0 or 255, which are no digits either. */
@inline function loadDigits(from: usize): v128 { return i8x16.narrow_i16x8_u(v128.load(from), v128.load(from, 16)); }

/** Writes twelve bytes, and four zeros behind them. */
@inline function storeBytes(to: usize, values: v128): void {
  const pairs = v128.or(i16x8.shl(v128.and(values, i16x8.splat(0xff)), 6), i16x8.shr_u(values, 8));
  const groups = i32x4.dot_i16x8_s(pairs, i16x8(4096, 1, 4096, 1, 4096, 1, 4096, 1));
  v128.store(to, i8x16.swizzle(groups, i8x16(2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1)));
}

/** Reads sixteen digits at a time into twelve bytes, `count` times. Returns whether all were digits. */
export function readDigits(from: usize, count: u32, to: usize): bool {
  let faults = i8x16.splat(0);
  for (const end = from + count * UNITS_BYTES; from < end; from += UNITS_BYTES, to += BYTES) {
    const digits = loadDigits(from);
    faults = v128.or(faults, faultsOf(digits));
    storeBytes(to, valuesOf(digits));
  }
  return !v128.any_true(faults);
}

/**
 * Reads lines, each the base64 of 32 bytes in its one form, and a newline.
 *
 * @param to - Has room for 5 bytes more.
 */
export function readHashLines(from: usize, count: u32, to: usize): bool {
  let faults = i8x16.splat(0);
  for (const end = from + 2 * count * LINE_UNITS; from < end; from += 2 * LINE_UNITS, to += 32) {
    const first = loadDigits(from);
    const second = loadDigits(from + UNITS_BYTES);
    const last = i8x16.replace_lane(loadDigits(from + 2 * LAST_DIGITS), 15, ZERO_DIGIT);
    faults = v128.or(faults, v128.or(faultsOf(first), v128.or(faultsOf(second), faultsOf(last))));
    storeBytes(to, valuesOf(first));
    storeBytes(to + BYTES, valuesOf(second));
    storeBytes(to + LAST_BYTES, valuesOf(last));
    // The padding stands for no byte, and so do two bits of the digit before it.
    if (load<u16>(from, 86) !== PADDING || load<u8>(to, 32) !== 0 || load<u16>(from, 88) !== NEWLINE) return false;
  }
  return !v128.any_true(faults);
}
