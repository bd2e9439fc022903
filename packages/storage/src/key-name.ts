/** What a key store checks of a name. Errors do not show it: it may be a person's. */
import { kindCode } from "./key-row.ts";
import type { KeyKind } from "./key-store.ts";

const NAME_BYTES_MAX = 1024;

export function assertKeyName(kind: KeyKind, name: string): void {
  if (kindCode(kind) === undefined)
    throw new RangeError(`kind: expected class-day, person, tenant or secret, got ${JSON.stringify(kind)}`);
  if (typeof name !== "string") throw new TypeError(`name: expected a string, got ${typeof name}`);
  const bytes = Buffer.byteLength(name);
  if (bytes < 1 || bytes > NAME_BYTES_MAX || !name.isWellFormed()) {
    throw new RangeError(`name: expected well-formed text of 1 to ${NAME_BYTES_MAX} bytes, got ${bytes} bytes`);
  }
}
