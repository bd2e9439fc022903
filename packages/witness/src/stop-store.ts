/**
 * Heads with our own cosignature that our state does not know of: while one is there, we do not sign for its log.
 *
 * A stop outlives a restart. It ends when the newest state is put back, which knows of the head.
 */
import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { type Verifier, originHash, parseCheckpoint, parseNote, utf8 } from "@tallystick/core";
import { type FileSystem, syncFolder, writeFileDurably } from "@tallystick/storage";
import { WitnessError } from "./error.ts";
import { type OwnHead, describeRollback } from "./rollback.ts";
import type { OriginState } from "./state.ts";
import { verifyLines } from "./verified-line.ts";

/** Below the folder of the witness. */
export const STOPS_FOLDER = "stopped";
const FILE_NAME = /^(?<hash>[\da-f]{64})\.note$/;

export class StopStore {
  readonly #folder: string;
  readonly #fileSystem: FileSystem;
  readonly #heads: Map<string, OwnHead>;

  private constructor(folder: string, fileSystem: FileSystem, heads: Map<string, OwnHead>) {
    this.#folder = folder;
    this.#fileSystem = fileSystem;
    this.#heads = heads;
  }

  /** @throws {WitnessError} `state-corrupt`: a file of it is damaged. */
  static async open(
    dir: string,
    { fileSystem, ownVerifiers }: { fileSystem: FileSystem; ownVerifiers: readonly Verifier[] },
  ): Promise<StopStore> {
    const folder = join(dir, STOPS_FOLDER);
    await fileSystem.makeFolder(folder, 0o700);
    const heads = new Map<string, OwnHead>();
    for (const name of await readdir(folder)) {
      const hash = FILE_NAME.exec(name)?.groups?.["hash"];
      if (hash !== undefined) heads.set(hash, await readHead(join(folder, name), ownVerifiers));
    }
    return new StopStore(folder, fileSystem, heads);
  }

  /** Why not to sign, given this state; `undefined` where there is no reason. */
  reasonFor(hash: string, state: OriginState | undefined): string | undefined {
    const head = this.#heads.get(hash);
    return head && describeRollback(head, state);
  }

  /** Forgets a stop that the state has caught up with. */
  async lift(hash: string): Promise<void> {
    if (!this.#heads.delete(hash)) return;
    await this.#fileSystem.unlink(this.#pathOf(hash));
    await syncFolder(this.#folder, this.#fileSystem);
  }

  /** Stops signing for the log of `head`: at once, and durably when it resolves. */
  async stop(head: OwnHead & { readonly note: string }): Promise<void> {
    const hash = originHash(head.checkpoint.origin);
    this.#heads.set(hash, head);
    await writeFileDurably(this.#pathOf(hash), utf8(head.note), { fileSystem: this.#fileSystem });
  }

  #pathOf(hash: string): string {
    return join(this.#folder, `${hash}.note`);
  }
}

async function readHead(path: string, ownVerifiers: readonly Verifier[]): Promise<OwnHead> {
  try {
    const note = parseNote(new Uint8Array(await readFile(path)));
    return { checkpoint: parseCheckpoint(note.text), ownLines: verifyLines(note, ownVerifiers).lines };
  } catch (cause) {
    const message = `${path} is damaged; it says that this witness must not sign for a log: restore it`;
    throw new WitnessError("state-corrupt", message, { details: { path }, cause });
  }
}
