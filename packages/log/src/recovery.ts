/**
 * Opening what is on disk: is it whole, is it ours, and is it the newest there ever was?
 *
 * The storage compares its own files; here the tree is hashed again from its right edge, our signatures are verified,
 * and witnesses are asked whether they have seen more of this log than it knows itself.
 */
import {
  CompactRange,
  type Policy,
  TILE_WIDTH,
  TallystickError,
  type Verifier,
  emptyRootHash,
  equalBytes,
  evaluateQuorum,
  formatCheckpoint,
  openNote,
  openSignatures,
  parseCheckpoint,
  parseNote,
  signNote,
  tilePath,
} from "@tallystick/core";
import { decodeLeaf, encodeCbor } from "@tallystick/events";
import { type LogStorage, indexKey } from "@tallystick/storage";
import { isEdgeAt, readEdge } from "./edge.ts";
import { LogError } from "./error.ts";
import { DamagedReader, type Stored } from "./fsck/reader.ts";
import { Findings } from "./fsck/report.ts";
import { type SignedHead, decodeIntegratedHead } from "./heads.ts";
import type { LogSecrets } from "./keys.ts";
import { NO_FORMER_IDS } from "./known-ids.ts";
import type { LogKeys, Reason, RestoredKeyStore, WitnessTarget } from "./log-api.ts";
import { isKeyLost } from "./lost-keys.ts";
import { findContradiction } from "./contradiction.ts";
import { assertRightEdge } from "./right-edge.ts";
import { TABLE } from "./rows.ts";
import type { SequencerState } from "./sequencer.ts";
import { StoredTiles } from "./tiles.ts";
import { type Tree, emptyTree, hashesAtLevel } from "./tree.ts";
import { addCheckpoint, fetchMonitoredHead } from "./witness-client.ts";

const BEGUN_KEY = "log";
/** The newest entries, whose keys an older copy of the key store lacks: those of the day, and of persons who are new. */
const OPENED_AT_START = 256;

export interface RecoverInput {
  readonly storage: LogStorage;
  readonly origin: string;
  readonly keys: LogKeys;
  readonly random: (bytes: number) => Uint8Array;
  readonly signed: SignedHead | undefined;
  readonly published: SignedHead | undefined;
}

/**
 * The sequencer's state as it is on disk. Reads O(log n) tiles.
 *
 * @throws {LogError} `log-corrupt`: names what does not fit.
 */
export async function recoverState(input: RecoverInput): Promise<SequencerState> {
  const { storage, random, signed, published } = input;
  const stored = await storage.readHead("integrated");
  if (stored === undefined) {
    // An empty log signs a head of size 0, and has nothing else to store.
    for (const own of [signed, published]) if (own !== undefined) assertOurs(own, input, 0);
    return {
      version: 0,
      tree: emptyTree(),
      loggedAt: 0,
      own: { publicKey: new Uint8Array(), instance: random(16), nextSequence: 1 },
      headDue: false,
    };
  }
  const head = decodeIntegratedHead(stored.bytes);
  const range = CompactRange.of({ size: head.size, hashes: head.hashes });
  if (!equalBytes(range.rootHash(), head.rootHash)) throw corrupt("the stored head's hashes do not give its root");
  for (const own of [signed, published]) if (own !== undefined) assertOurs(own, input, head.size);
  await assertRightEdge({ storage, size: head.size, rootHash: head.rootHash, signed });
  const tree = await readTree(storage, range);
  return { version: stored.version, tree, loggedAt: head.loggedAt, own: head.own, headDue: head.headDue };
}

/** Of all keys under which this log ever signed, as far as they are known. */
export function verifiersOf({ signers, retired = [] }: LogKeys): readonly Verifier[] {
  return [...signers.map(({ verifier }) => verifier), ...retired];
}

/** A head in the storage is only believed with our signature over just this origin, size and root. */
function assertOurs({ note, size, rootHash }: SignedHead, { origin, keys }: RecoverInput, integrated: number): void {
  if (size > integrated)
    throw corrupt(`a head of size ${size} was signed, but only ${integrated} entries are stored: entries were lost`);
  try {
    const opened = openNote(note, verifiersOf(keys));
    const checkpoint = parseCheckpoint(opened.text);
    const same =
      checkpoint.origin === origin && checkpoint.size === BigInt(size) && equalBytes(checkpoint.rootHash, rootHash);
    if (!same) throw corrupt("a stored head's note says something else than its fields");
  } catch (cause) {
    if (!(cause instanceof TallystickError) || cause instanceof LogError) throw cause;
    throw new LogError(
      "log-corrupt",
      `a stored head does not bear this log's signature: ${cause.message}; are these the right keys?`,
      { cause },
    );
  }
}

/**
 * Refuses a key store that is not this log's, or an older copy of it: with another one events would be logged under new
 * keys, and those that are there could not be read. And a storage that was never opened beside a key store that was: the
 * data folder is gone, and an empty log would be signed in place of the one that there was.
 *
 * @throws {LogError} `log-corrupt`
 */
export async function assertKeyStore(input: {
  readonly storage: LogStorage;
  readonly secrets: LogSecrets;
  readonly origin: string;
  readonly signed: SignedHead | undefined;
  readonly size: number;
  readonly restored: RestoredKeyStore | null;
}): Promise<void> {
  const { storage, secrets, size, restored } = input;
  if (size === 0) return beginLog(input);
  // Which keys are missing is found out and noted instead.
  if (restored !== null) return;
  if (!secrets.hasSecrets()) throw wrongKeyStore("it lacks the secrets that this log has had from its first entry on");
  const newest = size - 1;
  const [row, leaf] = await Promise.all([
    storage.getRow(TABLE.sealed, indexKey(newest)),
    storage.getRow(TABLE.leaf, indexKey(newest)),
  ]);
  if (row === undefined || leaf === undefined) throw corrupt(`index ${newest}: its contents are missing`);
  try {
    secrets.open({ row, commitment: decodeLeaf(leaf).commitment, index: newest });
  } catch (cause) {
    if (!(cause instanceof LogError)) throw cause;
    if (cause.code !== "erased") throw wrongKeyStore(`the newest entry does not open with it: ${cause.message}`, cause);
  }
  const index = await newestWithoutKey(input, newest);
  if (index !== undefined) throw wrongKeyStore(`it has no key for index ${index}, and none was destroyed`);
}

/** The newest entry before `end` whose key never was in the key store. Where an entry does not read, the scrub tells. */
async function newestWithoutKey(
  { storage, secrets }: { readonly storage: LogStorage; readonly secrets: LogSecrets },
  end: number,
): Promise<number | undefined> {
  const first = Math.max(0, end + 1 - OPENED_AT_START);
  const keys = Array.from({ length: end - first }, (_, at) => indexKey(first + at));
  const reader = new DamagedReader(storage, new Findings());
  const [sealed, leaves] = [await reader.rows(TABLE.sealed, keys), await reader.rows(TABLE.leaf, keys)];
  for (let at = keys.length - 1; at >= 0; at -= 1) {
    if (lacksKey(secrets, sealed[at], leaves[at]) && !(await isKeyLost(storage, first + at))) return first + at;
  }
  return undefined;
}

function lacksKey(secrets: LogSecrets, row: Stored | undefined, leaf: Stored | undefined): boolean {
  if (!(row instanceof Uint8Array) || !(leaf instanceof Uint8Array)) return false;
  try {
    return secrets.examine({ row, commitment: decodeLeaf(leaf).commitment }).kind === "key-missing";
  } catch (error) {
    if (error instanceof TallystickError) return false;
    throw error;
  }
}

/** Before the first entry: the storage is marked first, so that secrets never stand beside one that knows of no log. */
async function beginLog(input: {
  readonly storage: LogStorage;
  readonly secrets: LogSecrets;
  readonly origin: string;
  readonly signed: SignedHead | undefined;
}): Promise<void> {
  const { storage, secrets, origin, signed } = input;
  const begun = await storage.getRow(TABLE.begun, BEGUN_KEY);
  if (begun === undefined && signed === undefined && secrets.hasSecrets()) {
    throw new LogError(
      "log-corrupt",
      `the data folder is empty, but its key store was used by a log: the data is gone. Restore its newest copy as a whole; to begin another log, give it another origin and a key store of its own`,
    );
  }
  if (begun === undefined)
    await storage.putRows([{ table: TABLE.begun, key: BEGUN_KEY, value: encodeCbor([origin]) }, NO_FORMER_IDS]);
  secrets.createSecrets();
}

function wrongKeyStore(why: string, cause?: unknown): LogError {
  const text = `the key store is another log's, or an older copy: ${why}; nothing is logged until it is the newest one`;
  return new LogError("log-corrupt", text, { cause });
}

async function readTree(storage: LogStorage, range: CompactRange): Promise<Tree> {
  const edge: Uint8Array[] = [];
  for (let level = 0; hashesAtLevel(range.size, level) > 0; level += 1) {
    const index = hashesAtLevel(range.size, level + 1);
    const stored = (await readEdge(storage, level)) ?? { index, hashes: new Uint8Array() };
    // Not more either: whoever reads tiles takes what is there for what the log has grown by.
    if (!isEdgeAt(stored, level, range.size)) {
      const width = hashesAtLevel(range.size, level) % TILE_WIDTH;
      const path = tilePath({ level, index, width: Math.max(width, 1) });
      const text = `${path} is not stored as a log of size ${range.size} has it: run fsck`;
      throw new LogError("log-corrupt", text, { details: { tile: path } });
    }
    edge.push(stored.hashes);
  }
  return { range, edge };
}

export interface AskWitnessesInput {
  readonly origin: string;
  readonly policy: Policy;
  readonly keys: LogKeys;
  readonly storage: LogStorage;
  readonly witnesses: readonly WitnessTarget[];
  readonly signed: SignedHead | undefined;
  /** The published head: whoever cosigned it knows this log. */
  readonly published: { readonly note: string } | undefined;
  readonly fetch: typeof globalThis.fetch;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

export interface WitnessesAsked {
  /** What was found: somebody has to look. */
  readonly error?: LogError;
  /** Witnesses whose word is still needed. */
  readonly missing: readonly string[];
  readonly reasons: readonly Reason[];
  /** The size of our newest head that each witness shows or names; 0 where it has none. */
  readonly sizes: ReadonlyMap<string, number>;
}

/**
 * Asks every witness for its newest head of this log.
 *
 * Enough have answered when no quorum could have been made of those that have not: had they all cosigned a later head,
 * it could not have been published.
 */
export async function askWitnesses(input: AskWitnessesInput): Promise<WitnessesAsked> {
  const tiles = new StoredTiles(input.storage);
  const sizes = new Map<string, number>();
  const reasons: Reason[] = [];
  let error: LogError | undefined;
  await Promise.all(
    input.witnesses.map(async (target) => {
      const word = await askWitness({ ...input, tiles, target });
      error ??= word.error;
      if (word.reason === undefined) sizes.set(target.name, word.size ?? 0);
      else reasons.push(word.reason);
    }),
  );
  const silent = input.witnesses.filter(({ name }) => !sizes.has(name));
  const missing = areQuorum(input.policy, silent) ? silent.map(({ name }) => name) : [];
  return { ...(error === undefined ? {} : { error }), missing, reasons, sizes };
}

interface AskWitnessInput extends AskWitnessesInput {
  readonly tiles: StoredTiles;
  readonly target: WitnessTarget;
}

interface WitnessWord {
  readonly size?: number;
  readonly error?: LogError;
  /** Why it counts as if it had not answered. */
  readonly reason?: Reason;
}

async function askWitness(input: AskWitnessInput): Promise<WitnessWord> {
  const answer = await fetchMonitoredHead(input);
  if (answer.kind === "unreachable") return unreachable(input, answer.message);
  return answer.kind === "none" ? submitAgain(input) : findContradiction({ ...input, note: answer.note });
}

/**
 * Asks a witness that shows no head by submitting our newest one once more: it may be one of those that show none at
 * all. If it has cosigned another one it says of which size (c2sp.org/tlog-witness, 409). A larger size is only its
 * word, without a signature of ours, so that it cannot stop the log; but it does not count as an answer either.
 */
async function submitAgain(input: AskWitnessInput): Promise<WitnessWord> {
  const { size, note } = input.signed ?? emptyHead(input);
  const answer = await addCheckpoint({ ...input, from: size, proof: [], note });
  if (answer.kind === "unreachable") return unreachable(input, answer.message);
  if (answer.kind === "refused") return contradicted(input, `does not accept our head of size ${size}`);
  if (answer.kind === "conflict" && answer.size > BigInt(size))
    return contradicted(input, `says that it cosigned size ${answer.size}, our newest head is of size ${size}`);
  if (answer.kind === "conflict") return { size: Number(answer.size) };
  if (answer.kind === "cosigned") return { size };
  // One that does not know this log yet has cosigned nothing of it; one whose cosignature we have has forgotten us, or
  // it is not the witness that answers there.
  return hasCosigned(input) ? unreachable(input, `${answer.message}, and it cosigned this log before`) : {};
}

function hasCosigned({ published, target }: AskWitnessInput): boolean {
  return published !== undefined && openSignatures(parseNote(published.note), target.verifiers).verified.length > 0;
}

function unreachable({ target }: AskWitnessInput, message: string): WitnessWord {
  return { reason: { code: "witness-unreachable", message: `${target.name}: ${message}` } };
}

function contradicted({ target }: AskWitnessInput, what: string): WitnessWord {
  const message = `${target.name} ${what}: if so, this storage was put back to an older state, or another one runs`;
  return { reason: { code: "log-rolled-back", message } };
}

/** A head of the empty tree, which every tree extends: to sign it says nothing. */
function emptyHead({ origin, keys }: AskWitnessInput): { readonly size: number; readonly note: string } {
  const text = formatCheckpoint({ origin, size: 0, rootHash: emptyRootHash() });
  return { size: 0, note: signNote({ text, signers: keys.signers.slice(0, 1) }) };
}

/** Whether these witnesses could make up a quorum by themselves; never where the policy asks for none. */
export function areQuorum(policy: Policy, witnesses: readonly WitnessTarget[]): boolean {
  if (policy.quorum === "none") return false;
  const keys = new Set(witnesses.flatMap(({ verifiers }) => verifiers.map(({ vkey }) => vkey)));
  const names = new Set(policy.witnesses.filter(({ verifier }) => keys.has(verifier.vkey)).map(({ name }) => name));
  return evaluateQuorum(policy, names).met;
}

function corrupt(text: string): LogError {
  return new LogError("log-corrupt", `${text}; run fsck, and restore the newest copy of the data folder`);
}
