/** Base64 from UTF-16 code units, sixteen digits at a time. RFC 4648 §4. */

const DIGITS: u32 = 16;
const UNITS_BYTES: u32 = 2 * DIGITS;
const BYTES: u32 = 12;

const LINE_UNITS: u32 = 45;
const PADDING: u16 = 0x3d;
const NEWLINE: u16 = 0x0a;
/** Of a line's 43 digits and its padding, the last sixteen: they overlap the sixteen before them. */
const LAST_DIGITS: u32 = 44 - DIGITS;
const LAST_BYTES: u32 = 33 - BYTES;

/** The values of sixteen digits, 6 bits each; 255 for what is none. */
@inline function valuesOf(digits: v128): v128 {
  const upper = i8x16.sub(digits, i8x16.splat(0x41));
  const lower = i8x16.sub(digits, i8x16.splat(0x61));
  const decimal = i8x16.sub(digits, i8x16.splat(0x30));
  const isUpper = i8x16.le_u(upper, i8x16.splat(25));
  const isLower = i8x16.le_u(lower, i8x16.splat(25));
  const isDecimal = i8x16.le_u(decimal, i8x16.splat(9));
  const isPlus = i8x16.eq(digits, i8x16.splat(0x2b));
  const isSlash = i8x16.eq(digits, i8x16.splat(0x2f));
  const values = v128.or(
    v128.or(
      v128.and(isUpper, upper),
      v128.and(isLower, i8x16.add(lower, i8x16.splat(26))),
    ),
    v128.or(
      v128.and(isDecimal, i8x16.add(decimal, i8x16.splat(52))),
      v128.or(v128.and(isPlus, i8x16.splat(62)), v128.and(isSlash, i8x16.splat(63))),
    ),
  );
  const isDigit = v128.or(v128.or(isUpper, isLower), v128.or(isDecimal, v128.or(isPlus, isSlash)));
  return v128.or(values, v128.not(isDigit));
}

/** Sixteen code units as bytes; units that are no bytes become 0 or 255, which are no digits either. */
@inline function loadDigits(from: usize): v128 { return i8x16.narrow_i16x8_u(v128.load(from), v128.load(from, 16)); }

/** Writes twelve bytes, and four zeros behind them. */
@inline function storeBytes(to: usize, values: v128): void {
  const pairs = v128.or(i16x8.shl(v128.and(values, i16x8.splat(0xff)), 6), i16x8.shr_u(values, 8));
  const groups = v128.or(i32x4.shl(v128.and(pairs, i32x4.splat(0xffff)), 12), i32x4.shr_u(pairs, 16));
  v128.store(to, i8x16.swizzle(groups, i8x16(2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1)));
}

@inline function areAllDigits(seen: v128): bool { return !v128.any_true(v128.and(seen, i8x16.splat(-64))); }

/** Reads sixteen digits at a time into twelve bytes, `count` times. Returns whether all were digits. */
export function readDigits(from: usize, count: u32, to: usize): bool {
  let seen = i8x16.splat(0);
  for (const end = from + count * UNITS_BYTES; from < end; from += UNITS_BYTES, to += BYTES) {
    const values = valuesOf(loadDigits(from));
    seen = v128.or(seen, values);
    storeBytes(to, values);
  }
  return areAllDigits(seen);
}

/**
 * Reads lines, each the base64 of 32 bytes in its one form, and a newline.
 *
 * @param to - Has room for 5 bytes more.
 */
export function readHashLines(from: usize, count: u32, to: usize): bool {
  let seen = i8x16.splat(0);
  for (const end = from + 2 * count * LINE_UNITS; from < end; from += 2 * LINE_UNITS, to += 32) {
    const first = valuesOf(loadDigits(from));
    const second = valuesOf(loadDigits(from + UNITS_BYTES));
    const last = i8x16.replace_lane(valuesOf(loadDigits(from + 2 * LAST_DIGITS)), 15, 0);
    seen = v128.or(seen, v128.or(first, v128.or(second, last)));
    storeBytes(to, first);
    storeBytes(to + BYTES, second);
    storeBytes(to + LAST_BYTES, last);
    // The padding stands for no byte, and so do two bits of the digit before it.
    if (load<u16>(from, 86) !== PADDING || load<u8>(to, 32) !== 0 || load<u16>(from, 88) !== NEWLINE) return false;
  }
  return areAllDigits(seen);
}
