/** Poly1305 of a whole number of 16-byte blocks: RFC 8439 §2.5. In limbs of 26 bits, whose products fit 64. */

const LIMB: u64 = 0x3ffffff;

/**
 * Writes the tag of the bytes from `from` to before `end`.
 *
 * @param key - 32 bytes, used for these bytes only.
 */
export function authenticate(key: usize, from: usize, end: usize, to: usize): void {
  // The first half of the key, with the bits cleared that RFC 8439 §2.5 clears.
  const r0 = load<u64>(key) & 0x3ffffff;
  const r1 = (load<u64>(key, 3) >> 2) & 0x3ffff03;
  const r2 = (load<u64>(key, 6) >> 4) & 0x3ffc0ff;
  const r3 = (load<u64>(key, 8) >> 14) & 0x3f03fff;
  const r4 = (load<u64>(key, 8) >> 40) & 0x00fffff;
  // 2^130 is 5 modulo 2^130 - 5.
  const s1 = r1 * 5;
  const s2 = r2 * 5;
  const s3 = r3 * 5;
  const s4 = r4 * 5;
  let h0: u64 = 0;
  let h1: u64 = 0;
  let h2: u64 = 0;
  let h3: u64 = 0;
  let h4: u64 = 0;
  for (let at = from; at < end; at += 16) {
    const low = load<u64>(at);
    const high = load<u64>(at, 8);
    h0 += low & LIMB;
    h1 += (low >> 26) & LIMB;
    h2 += ((low >> 52) | (high << 12)) & LIMB;
    h3 += (high >> 14) & LIMB;
    h4 += (high >> 40) | (1 << 24);
    const d0 = h0 * r0 + h1 * s4 + h2 * s3 + h3 * s2 + h4 * s1;
    const d1 = h0 * r1 + h1 * r0 + h2 * s4 + h3 * s3 + h4 * s2;
    const d2 = h0 * r2 + h1 * r1 + h2 * r0 + h3 * s4 + h4 * s3;
    const d3 = h0 * r3 + h1 * r2 + h2 * r1 + h3 * r0 + h4 * s4;
    const d4 = h0 * r4 + h1 * r3 + h2 * r2 + h3 * r1 + h4 * r0;
    const c0 = d1 + (d0 >> 26);
    const c1 = d2 + (c0 >> 26);
    const c2 = d3 + (c1 >> 26);
    const c3 = d4 + (c2 >> 26);
    h0 = (d0 & LIMB) + (c3 >> 26) * 5;
    h1 = (c0 & LIMB) + (h0 >> 26);
    h0 &= LIMB;
    h2 = c1 & LIMB;
    h3 = c2 & LIMB;
    h4 = c3 & LIMB;
  }
  // The carries that are left, all the way round.
  h2 += h1 >> 26; h1 &= LIMB;
  h3 += h2 >> 26; h2 &= LIMB;
  h4 += h3 >> 26; h3 &= LIMB;
  h0 += (h4 >> 26) * 5; h4 &= LIMB;
  h1 += h0 >> 26; h0 &= LIMB;
  // h + 5 reaches 2^130 where h is not below 2^130 - 5: then what is beyond it is the remainder.
  let g0 = h0 + 5;
  let g1 = h1 + (g0 >> 26); g0 &= LIMB;
  let g2 = h2 + (g1 >> 26); g1 &= LIMB;
  let g3 = h3 + (g2 >> 26); g2 &= LIMB;
  let g4 = h4 + (g3 >> 26); g3 &= LIMB;
  const over = 0 - (g4 >> 26);
  g4 &= LIMB;
  h0 ^= (h0 ^ g0) & over;
  h1 ^= (h1 ^ g1) & over;
  h2 ^= (h2 ^ g2) & over;
  h3 ^= (h3 ^ g3) & over;
  h4 ^= (h4 ^ g4) & over;
  // Modulo 2^128, plus the second half of the key.
  const low = h0 | (h1 << 26) | (h2 << 52);
  const high = (h2 >> 12) | (h3 << 14) | (h4 << 40);
  const sum = low + load<u64>(key, 16);
  store<u64>(to, sum);
  store<u64>(to, high + load<u64>(key, 24) + <u64>(sum < low), 8);
}
