/** What callers give: ids that they may choose, so that a repeated call is the same call, and texts that stay for ever. */

/** RFC 9562 §5.7 */
const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/** @throws {RangeError} */
export function assertUuidV7(name: string, text: string): void {
  if (!UUID_V7.test(text)) throw new RangeError(`${name}: expected a UUID of version 7 in lower case`);
}

/** The text without space around it. @throws {RangeError} It is empty, too long, or on more than one line. */
export function lineOf(name: string, text: string, charsMax: number): string {
  const line = text.trim();
  if (line.length > 0 && line.length <= charsMax && line.isWellFormed() && !/[\p{Cc}\p{Zl}\p{Zp}]/u.test(line))
    return line;
  throw new RangeError(`${name}: expected 1 to ${charsMax} characters on one line`);
}
