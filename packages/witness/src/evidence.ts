/**
 * Evidence against logs: two heads that a log signed and that do not go together, each with the log's signatures.
 *
 * One JSON file for each pair, to be handed to anybody. Two roots for one size prove a fork by themselves. Two sizes whose
 * consistency was not shown only may be one, since whoever has a head can send it with a wrong proof: of those the
 * newest are kept, and of the others the first.
 */
import { readFile, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { type Hash, encodeBase64, originHash, utf8 } from "@tallystick/core";
import { type FileSystem, syncFolder, writeFileDurably } from "@tallystick/storage";
import { WitnessError } from "./error.ts";

/** A file of evidence, as `tallystick verify` takes it. */
export interface ForkEvidence {
  readonly format: "tallystick/fork@1";
  readonly origin: string;
  /** The head that this witness had cosigned, and the one that it refused. */
  readonly checkpoints: readonly [cosigned: string, refused: string];
  /** The consistency proof that was offered from one to the other, where the sizes differ. */
  readonly proof?: readonly string[];
}

/** Two heads that do not go together. */
export interface Contradiction {
  readonly origin: string;
  readonly cosigned: string;
  readonly refused: string;
  /** Undefined where the sizes are equal, so that there is nothing to prove. */
  readonly proof: readonly Hash[] | undefined;
}

export interface ListedEvidence extends ForkEvidence {
  readonly path: string;
  /** True where both heads are of one size: no honest log has two. */
  readonly proven: boolean;
  /** When the file was written: RFC 3339. */
  readonly keptAt: string;
}

/** Below the folder of the witness. */
export const EVIDENCE_FOLDER = "evidence";
/** Of each kind and origin. */
const FILES_MAX = 16;
const FILE_NAME = /^(?<hash>[\da-f]{64})-(?<number>[1-9]\d{0,14})\.json$/;

interface KnownFile {
  readonly number: number;
  readonly evidence: ForkEvidence;
}

/** Keeps evidence below the folder of a witness. Calls for one origin come one after the other. */
export class EvidenceStore {
  readonly #folder: string;
  readonly #fileSystem: FileSystem;
  readonly #files: Map<string, KnownFile[]>;

  private constructor(folder: string, fileSystem: FileSystem, files: Map<string, KnownFile[]>) {
    this.#folder = folder;
    this.#fileSystem = fileSystem;
    this.#files = files;
  }

  static async open(dir: string, fileSystem: FileSystem): Promise<EvidenceStore> {
    const folder = join(dir, EVIDENCE_FOLDER);
    await fileSystem.makeFolder(folder, 0o700);
    const files = new Map<string, KnownFile[]>();
    for (const { hash, number, evidence } of await readFiles(folder)) {
      files.set(hash, [...(files.get(hash) ?? []), { number, evidence }]);
    }
    return new EvidenceStore(folder, fileSystem, files);
  }

  /** How many files there are. */
  get size(): number {
    return [...this.#files.values()].reduce((sum, files) => sum + files.length, 0);
  }

  /** Keeps a contradiction, unless it is known or there is no room. Gives the file's path if it is new; durable then. */
  async keep(contradiction: Contradiction): Promise<string | undefined> {
    const hash = originHash(contradiction.origin);
    const files = this.#files.get(hash) ?? [];
    const evidence = evidenceOf(contradiction);
    if (files.some((file) => textOf(file.evidence) === textOf(evidence))) return undefined;
    const ofKind = files.filter((file) => isProven(file.evidence) === isProven(evidence));
    const full = ofKind.length >= FILES_MAX;
    if (full && isProven(evidence)) return undefined;
    const number = Math.max(0, ...files.map((file) => file.number)) + 1;
    const path = this.#pathOf(hash, number);
    await writeFileDurably(path, utf8(`${JSON.stringify(evidence, undefined, 2)}\n`), { fileSystem: this.#fileSystem });
    const dropped = full ? ofKind[0] : undefined;
    if (dropped !== undefined) await this.#drop(hash, dropped);
    this.#files.set(hash, [...files.filter((file) => file !== dropped), { number, evidence }]);
    return path;
  }

  async #drop(hash: string, { number }: KnownFile): Promise<void> {
    await this.#fileSystem.unlink(this.#pathOf(hash, number));
    await syncFolder(this.#folder, this.#fileSystem);
  }

  #pathOf(hash: string, number: number): string {
    return join(this.#folder, `${hash}-${number}.json`);
  }
}

/**
 * The evidence that a witness has kept, by origin and age.
 *
 * @throws {WitnessError} `state-corrupt`: a file of it is damaged.
 */
export async function listEvidence({ dir }: { readonly dir: string }): Promise<ListedEvidence[]> {
  const folder = join(dir, EVIDENCE_FOLDER);
  const listed = (await readFiles(folder)).map(async ({ path, evidence }) => {
    const { mtime } = await stat(path);
    return { path, ...evidence, proven: isProven(evidence), keptAt: mtime.toISOString() };
  });
  return Promise.all(listed);
}

/** Between heads of one size there is nothing to prove: they are the proof. */
function isProven({ proof }: ForkEvidence): boolean {
  return proof === undefined;
}

/** What makes two pieces of evidence the same: the notes' texts. A signature that was made anew adds nothing. */
function textOf({ checkpoints }: ForkEvidence): string {
  return checkpoints.map((note) => note.slice(0, note.lastIndexOf("\n\n"))).join("\n\n");
}

function evidenceOf({ origin, cosigned, refused, proof }: Contradiction): ForkEvidence {
  return {
    format: "tallystick/fork@1",
    origin,
    checkpoints: [cosigned, refused],
    ...(proof === undefined ? {} : { proof: proof.map(encodeBase64) }),
  };
}

interface FoundFile extends KnownFile {
  readonly hash: string;
  readonly path: string;
}

async function readFiles(folder: string): Promise<FoundFile[]> {
  const found: FoundFile[] = [];
  for (const name of await namesIn(folder)) {
    const { hash, number } = FILE_NAME.exec(name)?.groups ?? {};
    if (hash === undefined || number === undefined) continue;
    const path = join(folder, name);
    found.push({ hash, number: Number(number), path, evidence: await readEvidence(path) });
  }
  return found.sort((a, b) => a.hash.localeCompare(b.hash) || a.number - b.number);
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") return [];
    throw cause;
  }
}

async function readEvidence(path: string): Promise<ForkEvidence> {
  try {
    return JSON.parse(await readFile(path, "utf8")) as ForkEvidence;
  } catch (cause) {
    throw new WitnessError("state-corrupt", `${path} is damaged; move it out of the folder`, {
      details: { path },
      cause,
    });
  }
}
