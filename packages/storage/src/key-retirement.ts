/** What it takes to move a key to another name, without ever losing one. */
import { assertKeyName } from "./key-name.ts";
import type { KeyName } from "./key-store.ts";

/** What stands under a name. */
interface Held {
  readonly state: string;
  readonly secret: Uint8Array;
}

/** - `move`: write both names. `finish`: the key is under both, the old name is left. `done`: there is nothing to move. */
export type Retirement = "move" | "finish" | "done";

export function assertRetirement(from: KeyName, to: KeyName): void {
  for (const { kind, name } of [from, to]) assertKeyName(kind, name);
  if (from.kind !== to.kind) throw new RangeError(`to.kind: expected ${from.kind}, got ${to.kind}`);
  if (from.name === to.name) throw new RangeError("to.name: expected another name than from.name, got the same");
}

/** @throws {RangeError} `to` is live with another key, which would be lost. */
export function retirementOf(from: Held | undefined, to: Held | undefined): Retirement {
  if (from?.state !== "live") return "done";
  if (to?.state !== "live") return "move";
  if (Buffer.compare(from.secret, to.secret) === 0) return "finish";
  throw new RangeError("to: expected a name without a key, got one that has another key than from");
}
