/** A journal without a disk, for where there is none: what it holds dies with the process. */
import { ClientError } from "./error.ts";
import type { Position } from "./journal.ts";
import type { JournalLike } from "./outbox.ts";

export function createMemoryJournal(): JournalLike {
  let parts: (Uint8Array | undefined)[] = [];
  let total = 0;
  let rewriting: Promise<unknown> = Promise.resolve();
  const keep = (bytes: Uint8Array): Position => {
    total += bytes.length;
    return { offset: parts.push(bytes) - 1, length: bytes.length, checksum: 0 };
  };
  const rewrite: JournalLike["rewrite"] = async (records, onMoved) => {
    const kept: Uint8Array[] = [];
    for (const record of Array.from(records())) kept.push(await record);
    parts = [];
    total = 0;
    onMoved(kept.map(keep));
  };
  return {
    get bytes() {
      return total;
    },
    append: async (bytes, onSynced) => {
      for (let seen; seen !== rewriting;) {
        seen = rewriting;
        await seen;
      }
      const position = keep(bytes);
      onSynced?.(position);
      return position;
    },
    read: async ({ offset }) => {
      const bytes = parts[offset];
      if (bytes === undefined) throw new ClientError("outbox-corrupt", `memory journal: nothing at ${offset}`);
      return bytes;
    },
    rewrite: async (records, onMoved) => {
      const done = rewrite(records, onMoved);
      rewriting = done.catch(() => undefined);
      await done;
    },
    close: async () => {
      parts = [];
    },
  };
}
