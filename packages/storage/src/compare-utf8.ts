/** The order of keys: that of their UTF-8. */

/** JavaScript compares UTF-16 units, which puts what lies beyond U+FFFF before U+E000. */
export function compareUtf8(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
