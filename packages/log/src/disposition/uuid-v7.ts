/** Ids that a caller may choose, so that a repeated call is the same call. RFC 9562 §5.7 */
const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/** @throws {RangeError} */
export function assertUuidV7(name: string, text: string): void {
  if (!UUID_V7.test(text)) throw new RangeError(`${name}: expected a UUID of version 7 in lower case`);
}
