/** `import`: the lines of a file as events; resumes where it stopped, and adds nothing twice. */
import { createHash } from "node:crypto";
import { mkdir, readFile, realpath, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ClientError } from "@tallystick/client";
import { decodeUtf8, utf8 } from "@tallystick/core";
import {
  type ImportedLine,
  createJsonLinesImport,
  createOpenSshImport,
  eventToJson,
  inferFirstYear,
} from "@tallystick/events";
import { writeFileDurably } from "@tallystick/storage";
import { type Command, EXIT, type ExitCode, type Invocation, UsageError, onlyWord, wholeNumber } from "../command.ts";
import { DEV_FOLDER } from "../dev-file.ts";
import { jsonOf, requestLog } from "../log-request.ts";
import { LOG_OPTIONS, type Target, targetOf } from "../target.ts";

const EVENTS_PER_REQUEST = 500;
const TRIES_MAX = 20;
const FORMATS = ["openssh", "jsonl"] as const;
type Format = (typeof FORMATS)[number];

export const importCommand: Command = {
  name: "import",
  summary: "imports JSON lines of events, or the auth log of an OpenSSH server",
  usage: "FILE [--format openssh|jsonl] [--year YEAR] [--utc-offset MINUTES]",
  options: {
    ...LOG_OPTIONS,
    format: { type: "string", value: "FORMAT", help: "openssh or jsonl; told by the first line where it is left out" },
    year: {
      type: "string",
      value: "YEAR",
      help: "openssh: the year of the first line (told by the file's age where left out)",
    },
    "utc-offset": { type: "string", value: "MINUTES", help: "openssh: what the server's clock is ahead of UTC (0)" },
  },
  notes: [
    `How far a file got is kept in ${DEV_FOLDER}/imports; ids follow from the lines, so that nothing is added twice.`,
    "What cannot be read becomes an event of its own, import.unreadable, and is counted.",
  ],
  run: async (invocation) => {
    const path = onlyWord(invocation.words, "one FILE");
    const target = await targetOf(invocation, "writer");
    const lines = decodeLines(await readFile(path));
    const progress = await openProgress(path, target.url);
    const plan = await planOf({ invocation, path, lines, progress });
    return importLines({ invocation, target, lines, plan, progress });
  },
};

function decodeLines(bytes: Uint8Array): string[] {
  const lines = readText(bytes).split("\n");
  if (lines.at(-1) === "") lines.pop();
  return lines;
}

/** Logs of other programs may hold other octets than UTF-8: those become marks, and the line stays readable. */
function readText(bytes: Uint8Array): string {
  try {
    return decodeUtf8(bytes);
  } catch {
    return new TextDecoder().decode(bytes);
  }
}

interface Progress {
  readonly file: string;
  readonly saved: SavedProgress | undefined;
}

interface SavedProgress {
  readonly lines: number;
  /** SHA-256 of the lines that were imported. */
  readonly digest: string;
  readonly format: Format;
  readonly year: number;
  readonly utcOffsetMinutes: number;
}

async function openProgress(path: string, url: string): Promise<Progress> {
  const folder = join(process.cwd(), DEV_FOLDER, "imports");
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const name = createHash("sha256")
    .update(`${await realpath(path)}\n${url}`)
    .digest("hex")
    .slice(0, 16);
  const file = join(folder, `${name}.json`);
  const text = await readFile(file, "utf8").catch(() => undefined);
  return { file, saved: text === undefined ? undefined : (JSON.parse(text) as SavedProgress) };
}

interface Plan {
  readonly format: Format;
  readonly year: number;
  readonly utcOffsetMinutes: number;
  readonly next: (line: string) => ImportedLine | undefined;
  /** Lines that were imported before, and are the same now. */
  readonly skip: number;
}

interface PlanInput {
  readonly invocation: Invocation;
  readonly path: string;
  readonly lines: readonly string[];
  readonly progress: Progress;
}

async function planOf({ invocation, path, lines, progress }: PlanInput): Promise<Plan> {
  const { saved } = progress;
  const format = formatOf(invocation, lines);
  const utcOffsetMinutes = Number(invocation.text("utc-offset") ?? saved?.utcOffsetMinutes ?? 0);
  if (!Number.isInteger(utcOffsetMinutes)) throw new UsageError("--utc-offset: expected whole minutes");
  const fallbackTimeMs = Math.floor((await stat(path)).mtimeMs);
  const given = invocation.text("year");
  // The year has to be the same each time, or the same lines would be other events.
  const year =
    given === undefined
      ? (saved?.year ?? inferFirstYear(lines, { notAfterMs: fallbackTimeMs, utcOffsetMinutes }))
      : wholeNumber(given, "--year");
  const source = basename(path);
  const next =
    format === "openssh"
      ? createOpenSshImport({ source, year, utcOffsetMinutes })
      : createJsonLinesImport({ source, fallbackTimeMs });
  const same =
    saved !== undefined &&
    saved.format === format &&
    saved.year === year &&
    saved.utcOffsetMinutes === utcOffsetMinutes &&
    digestOf(lines.slice(0, saved.lines)) === saved.digest;
  return { format, year, utcOffsetMinutes, next, skip: same ? saved.lines : 0 };
}

function formatOf(invocation: Invocation, lines: readonly string[]): Format {
  const given = invocation.text("format");
  if (given === undefined)
    return lines
      .find((line) => line.trim() !== "")
      ?.trimStart()
      .startsWith("{") === true
      ? "jsonl"
      : "openssh";
  const known = FORMATS.find((format) => format === given);
  if (known === undefined)
    throw new UsageError(`--format: expected ${FORMATS.join(" or ")}, got ${JSON.stringify(given)}`);
  return known;
}

function digestOf(lines: readonly string[]): string {
  return createHash("sha256").update(lines.join("\n")).digest("hex");
}

interface Counts {
  added: number;
  there: number;
  unreadable: number;
  lastState: string;
  lastIndex: number | undefined;
  readonly types: Map<string, number>;
}

interface Import {
  readonly invocation: Invocation;
  readonly target: Target;
  readonly lines: readonly string[];
  readonly plan: Plan;
  readonly progress: Progress;
}

async function importLines({ invocation, target, lines, plan, progress }: Import): Promise<ExitCode> {
  const { terminal, signal } = invocation;
  const counts: Counts = { added: 0, there: 0, unreadable: 0, lastState: "", lastIndex: undefined, types: new Map() };
  let waiting: ImportedLine[] = [];
  for (const [at, line] of lines.entries()) {
    signal.throwIfAborted();
    // Every line passes through, also those that were imported before: the next one's time and number depend on them.
    const imported = plan.next(line);
    if (imported === undefined || at < plan.skip) continue;
    waiting.push(imported);
    const isLast = at === lines.length - 1;
    if (waiting.length < EVENTS_PER_REQUEST && !isLast) continue;
    await send({ target, imported: waiting, wait: isLast ? "witnessed" : "durable", counts, signal });
    waiting = [];
    await saveProgress(progress, { ...plan, lines: at + 1, digest: digestOf(lines.slice(0, at + 1)) });
    terminal.progress("import", at + 1, lines.length);
  }
  if (waiting.length > 0) await send({ target, imported: waiting, wait: "witnessed", counts, signal });
  await saveProgress(progress, { ...plan, lines: lines.length, digest: digestOf(lines) });
  return show(invocation, { counts, lines: lines.length, skipped: plan.skip });
}

async function saveProgress(
  { file }: Progress,
  { lines, digest, format, year, utcOffsetMinutes }: SavedProgress,
): Promise<void> {
  await writeFileDurably(file, utf8(`${JSON.stringify({ lines, digest, format, year, utcOffsetMinutes })}\n`));
}

interface Sending {
  readonly target: Target;
  readonly imported: readonly ImportedLine[];
  readonly wait: "durable" | "witnessed";
  readonly counts: Counts;
  readonly signal: AbortSignal;
}

async function send({ target, imported, wait, counts, signal }: Sending): Promise<void> {
  const body = utf8(JSON.stringify(imported.map(({ event }) => eventToJson(event))));
  const answer = await withRetries(signal, async () =>
    requestLog(target, {
      path: `v1/events?wait=${wait}`,
      method: "POST",
      contentType: "application/json",
      body,
      signal,
    }),
  );
  const entries = jsonOf(answer) as readonly {
    readonly index: number;
    readonly state: string;
    readonly duplicate?: boolean;
  }[];
  for (const [at, { event, unreadable }] of imported.entries()) {
    if (entries[at]?.duplicate === true) counts.there += 1;
    else counts.added += 1;
    if (unreadable !== undefined) counts.unreadable += 1;
    const type = `${event.type} ${event.outcome}`;
    counts.types.set(type, (counts.types.get(type) ?? 0) + 1);
  }
  counts.lastState = entries.at(-1)?.state ?? "";
  counts.lastIndex = entries.at(-1)?.index;
}

async function withRetries<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work();
    } catch (error) {
      const again = error instanceof ClientError && error.code === "audit-unavailable" && attempt < TRIES_MAX;
      if (!again) throw error;
      const seconds = Number(error.details["retryAfter"] ?? Math.min(attempt, 10));
      await sleep(Math.min(Number.isFinite(seconds) ? seconds : 1, 30) * 1000, undefined, { signal });
    }
  }
}

function show(
  { terminal }: Invocation,
  { counts, lines, skipped }: { readonly counts: Counts; readonly lines: number; readonly skipped: number },
): ExitCode {
  const { added, there, unreadable, types, lastState, lastIndex } = counts;
  terminal.line(
    `${terminal.bold(`${added} added`)}, ${there + skipped} there already, of ${lines} lines; ${unreadable} could not be read${unreadable === 0 ? "" : " and are kept as import.unreadable"}`,
  );
  for (const [type, count] of [...types].toSorted(([, a], [, b]) => b - a))
    terminal.line(`  ${String(count).padStart(6)}  ${type}`);
  if (lastIndex !== undefined) terminal.line(`  the last is at index ${lastIndex}, ${lastState}`);
  terminal.value({ added, there: there + skipped, lines, unreadable, types, lastIndex, lastState });
  if (lastState === "durable")
    terminal.trouble("all of it is durable; the witnesses have not cosigned it in time, which they can do later");
  return EXIT.ok;
}
