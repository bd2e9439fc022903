/** `subject`: gives out all that is held about a person, with proofs. GDPR Art. 15 */
import { createHash } from "node:crypto";
import { type FileHandle, mkdir, open, readdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ClientError } from "@tallystick/client";
import { eventToJson, formatEvidence } from "@tallystick/events";
import { type Command, EXIT, type ExitCode, type Invocation, UsageError, onlyWord } from "../command.ts";
import { PURPOSE_OPTION } from "../purpose.ts";
import { showRefutation } from "../refutation.ts";
import { SUBJECT_OPTIONS, subjectOf } from "../subject-option.ts";
import { type VerifiedEntry, exportedEntries } from "../subject-export.ts";
import { LOG_OPTIONS, POLICY_OPTION, policyOf, targetOf } from "../target.ts";
import { bold } from "../terminal.ts";
import { plural } from "../words.ts";

const LINES_FILE = "events.ndjson";
const MANIFEST_FILE = "manifest.json";
export const MANIFEST_FORMAT = "tallystick/subject-export@1";
/** Personal data: for its owner's eyes. */
const FOLDER_MODE = 0o700;
const FILE_MODE = 0o600;

export const subjectCommand: Command = {
  name: "subject",
  summary: "gives out all that is held about a person, with proofs",
  usage: "export --subject ID --out FOLDER | FILE.ndjson",
  options: {
    ...LOG_OPTIONS,
    ...POLICY_OPTION,
    ...SUBJECT_OPTIONS,
    out: {
      type: "string",
      value: "PATH",
      help: "a folder that is empty or new; or a new FILE.ndjson, for a line with everything of each entry",
    },
    ...PURPOSE_OPTION,
  },
  notes: [
    "It asks for an officer's token, or that of a reader who is this person; that it was exported is itself logged.",
    `Each entry is verified before it is written. The folder has N.evidence.json of each, ${LINES_FILE} with a line for`,
    `each, and at last ${MANIFEST_FILE} with their number and digest: without it the export is not whole.`,
    "Exit codes: 0 all of it proven, 1 refuted, 2 not all of it proven yet (too new, or no quorum), 3 wrong usage.",
  ],
  run: async (invocation) => {
    const action = onlyWord(invocation.words, "export");
    if (action !== "export") throw new UsageError(`expected export, got ${JSON.stringify(action)}`);
    const path = invocation.text("out");
    if (path === undefined || path === "") throw new UsageError("--out: expected a folder, or a file named *.ndjson");
    const subject = await subjectOf(invocation);
    const target = await targetOf(invocation, "officer");
    const policy = await policyOf(invocation);
    const request = { subject, purpose: invocation.text("purpose"), policy, signal: invocation.signal };
    await assertNew(path);
    try {
      // Where the log refuses, nothing is left behind.
      const entries = await begun(exportedEntries(target, request));
      const counts = isFile(path) ? await writeLines(path, entries) : await writeFolder(path, entries);
      return show(invocation, path, counts);
    } catch (error) {
      if (error instanceof ClientError && REFUTING.has(error.code)) return showRefutation(invocation.terminal, error);
      throw error;
    }
  },
};

const REFUTING: ReadonlySet<string> = new Set(["receipt-refuted", "log-misbehaved"]);

/** Before anything is asked: that it is asked is logged. @throws {UsageError} */
async function assertNew(path: string): Promise<void> {
  const there = await stat(path).catch(() => undefined);
  if (there === undefined) return;
  if (!there.isDirectory()) throw new UsageError(`--out: ${path} is there already`);
  if (isFile(path) || (await readdir(path)).length > 0)
    throw new UsageError(`--out: expected a new file or an empty folder; ${path} is neither`);
}

function isFile(path: string): boolean {
  return path.endsWith(".ndjson");
}

/** The same items, once the first is there. */
async function begun<T>(items: AsyncGenerator<T>): Promise<AsyncIterable<T>> {
  const first = await items.next();
  return resumed(first, items);
}

async function* resumed<T>(first: IteratorResult<T>, items: AsyncGenerator<T>): AsyncGenerator<T> {
  if (first.done === true) return;
  yield first.value;
  yield* items;
}

interface Counts {
  entries: number;
  /** Not under a published head yet. */
  unproven: number;
  /** Proven by the log's word alone. */
  unwitnessed: number;
  origin: string | undefined;
}

async function writeLines(path: string, entries: AsyncIterable<VerifiedEntry>): Promise<Counts> {
  const counts = newCounts();
  const file = await open(path, "wx", FILE_MODE);
  try {
    for await (const entry of entries) {
      count(counts, entry);
      await file.write(`${JSON.stringify({ ...describe(entry), evidence: evidenceOf(entry) })}\n`);
    }
    await file.sync();
  } finally {
    await file.close();
  }
  return counts;
}

async function writeFolder(folder: string, entries: AsyncIterable<VerifiedEntry>): Promise<Counts> {
  await mkdir(folder, { recursive: true, mode: FOLDER_MODE });
  const counts = newCounts();
  const lines = new DigestedFile(await open(join(folder, LINES_FILE), "wx", FILE_MODE));
  try {
    for await (const entry of entries) {
      count(counts, entry);
      await lines.write(`${JSON.stringify({ ...describe(entry), ...(await writeEvidence(folder, entry)) })}\n`);
    }
  } finally {
    await lines.close();
  }
  const { entries: number, unproven, origin } = counts;
  const manifest = {
    format: MANIFEST_FORMAT,
    ...(origin === undefined ? {} : { log: origin }),
    exportedAt: new Date().toISOString(),
    entries: number,
    unproven,
    file: LINES_FILE,
    sha256: lines.sha256(),
  };
  await writeFile(join(folder, MANIFEST_FILE), `${JSON.stringify(manifest, undefined, 2)}\n`, { mode: FILE_MODE });
  return counts;
}

/** Which file has the proof, and its digest; nothing where there is none yet. */
async function writeEvidence(folder: string, entry: VerifiedEntry): Promise<{ file?: string; sha256?: string }> {
  const text = evidenceOf(entry);
  if (text === undefined) return {};
  const file = `${entry.index}.evidence.json`;
  await writeFile(join(folder, file), text, { mode: FILE_MODE, flag: "wx" });
  return { file, sha256: createHash("sha256").update(text).digest("hex") };
}

/** A file that is written from its beginning to its end, and the digest of what was. */
class DigestedFile {
  readonly #file: FileHandle;
  readonly #hash = createHash("sha256");

  constructor(file: FileHandle) {
    this.#file = file;
  }

  async write(text: string): Promise<void> {
    this.#hash.update(text);
    await this.#file.write(text);
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  sha256(): string {
    return this.#hash.copy().digest("hex");
  }
}

function describe({ index, event }: VerifiedEntry): { readonly index: number; readonly event: unknown } {
  return { index, event: eventToJson(event) };
}

function evidenceOf({ opening, proven }: VerifiedEntry): string | undefined {
  return proven === undefined ? undefined : formatEvidence({ proof: proven.proof, opening });
}

function newCounts(): Counts {
  return { entries: 0, unproven: 0, unwitnessed: 0, origin: undefined };
}

function count(counts: Counts, { proven }: VerifiedEntry): void {
  counts.entries += 1;
  if (proven === undefined) {
    counts.unproven += 1;
    return;
  }
  const { origin, quorumMet, quorumNone } = proven.receipt;
  counts.origin = origin;
  if (!quorumMet || quorumNone) counts.unwitnessed += 1;
}

function show({ terminal }: Invocation, path: string, { entries, unproven, unwitnessed }: Counts): ExitCode {
  const proven = entries - unproven - unwitnessed;
  terminal.line(bold(path), `  ${plural(entries, "entry", "entries")}, ${proven} verified`);
  if (unwitnessed > 0) terminal.line(`  ${unwitnessed} proven by the log's word alone: no quorum of witnesses`);
  if (unproven > 0) terminal.line(`  ${unproven} without a proof yet: they are newer than the published head`);
  terminal.value({ path, entries, unproven, unwitnessed });
  return proven === entries ? EXIT.ok : EXIT.unknown;
}
