/** `import`: the lines of a file as events; resumes where it stopped, and adds nothing twice. */
import { stat } from "node:fs/promises";
import { basename } from "node:path";
import { type ImportedLine, createJsonLinesImport, createOpenSshImport, inferFirstYear } from "@tallystick/events";
import { type Command, EXIT, type ExitCode, type Invocation, UsageError, onlyWord, wholeNumber } from "../command.ts";
import { DEV_FOLDER } from "../dev-file.ts";
import { type ImportCounts, ImportSender } from "../import-sender.ts";
import {
  type ImportProgress,
  LinesDigest,
  type Survey,
  progressPath,
  readLines,
  readProgress,
  surveyFile,
  writeProgress,
} from "../imported-file.ts";
import { type LogIdentity, identityOf } from "../log-identity.ts";
import { LOG_OPTIONS, targetOf } from "../target.ts";
import { bold } from "../terminal.ts";

const FORMATS = ["openssh", "jsonl"] as const;
type Format = (typeof FORMATS)[number];

/** A file of which none of so many lines can be read is rather of another format. */
const SAMPLE_LINES = 20;
const REFUSED_SHOWN = 20;
/** As the events of an OpenSSH log take them. */
const [YEAR_MIN, YEAR_MAX] = [1991, 9998];

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
    await assertFile(path);
    const log = await identityOf(target, invocation.signal);
    const saved = await progressPath(path, target.url);
    const before = await readProgress(saved);
    const survey = surveyFile(path, before);
    const plan = await planOf({ invocation, path, survey, log, before: survey.continues ? before : undefined });
    const sender = new ImportSender({
      target,
      signal: invocation.signal,
      onTrouble: (text) => invocation.terminal.trouble(text),
    });
    await importLines({ invocation, path, log, before, saved, survey, plan, sender });
    return show(invocation, { counts: sender.counts, survey, year: plan.year });
  },
};

/** It is read three times, which a pipe cannot be. @throws {UsageError} */
async function assertFile(path: string): Promise<void> {
  if (!(await stat(path)).isFile()) throw new UsageError(`${path}: expected a file, got a folder, a pipe or a device`);
}

interface Plan {
  readonly format: Format;
  /** Of the first line; not needed where every line has its own. */
  readonly year: number | undefined;
  readonly utcOffsetMinutes: number;
  readonly mapper: () => (line: string) => ImportedLine | undefined;
  /** Lines that an earlier import logged as the same events. */
  readonly skip: number;
}

interface PlanInput {
  readonly invocation: Invocation;
  readonly path: string;
  readonly survey: Survey;
  readonly log: LogIdentity | undefined;
  readonly before: ImportProgress | undefined;
}

/** @throws {UsageError} */
async function planOf({ invocation, path, survey, log, before }: PlanInput): Promise<Plan> {
  const format = formatOf(invocation, survey);
  const utcOffsetMinutes = offsetOf(invocation) ?? before?.utcOffsetMinutes ?? 0;
  const fallbackTimeMs = Math.floor((await stat(path)).mtimeMs);
  const given = invocation.text("year");
  // The year has to be the same each time, or the same lines would be other events.
  const inferYear = (): number => inferFirstYear(readLines(path), { notAfterMs: fallbackTimeMs, utcOffsetMinutes });
  const year =
    format === "jsonl"
      ? undefined
      : given === undefined
        ? (before?.year ?? assertYear(inferYear()))
        : assertYear(wholeNumber(given, "--year"));
  const source = basename(path);
  const mapper =
    year === undefined
      ? () => createJsonLinesImport({ source, fallbackTimeMs: eventTimeOf(fallbackTimeMs) })
      : () => createOpenSshImport({ source, year, utcOffsetMinutes });
  if (invocation.text("format") === undefined) assertReadable(path, mapper());
  const same = before?.format === format && before.year === year && before.utcOffsetMinutes === utcOffsetMinutes;
  // A log that was begun anew at the same address, or lost entries, is sent all of it.
  const isThere = same && before.log === log?.keys && before.lastIndex < log.size;
  return { format, year, utcOffsetMinutes, mapper, skip: isThere ? before.lines : 0 };
}

/** @throws {UsageError} */
function formatOf(invocation: Invocation, { firstLine }: Survey): Format {
  const given = invocation.text("format");
  if (given === undefined) return firstLine?.trimStart().startsWith("{") === true ? "jsonl" : "openssh";
  const known = FORMATS.find((format) => format === given);
  if (known === undefined)
    throw new UsageError(`--format: expected ${FORMATS.join(" or ")}, got ${JSON.stringify(given)}`);
  return known;
}

/** @throws {UsageError} */
function assertYear(year: number): number {
  if (year >= YEAR_MIN && year <= YEAR_MAX) return year;
  throw new UsageError(`--year: expected a year from ${YEAR_MIN} to ${YEAR_MAX}, got ${year}`);
}

/** What events take as a time: a file may be dated 1970, as those in reproducible archives are. */
function eventTimeOf(timeMs: number): number {
  return Math.min(Math.max(timeMs, Date.UTC(YEAR_MIN, 0)), Date.UTC(YEAR_MAX, 0));
}

/** @throws {UsageError} */
function offsetOf(invocation: Invocation): number | undefined {
  const text = invocation.text("utc-offset");
  if (text === undefined) return undefined;
  const minutes = Number(text);
  if (/^[+-]?\d{1,4}$/.test(text) && Math.abs(minutes) < 24 * 60) return minutes;
  throw new UsageError(`--utc-offset: expected minutes within a day, such as 120 or -300, got ${JSON.stringify(text)}`);
}

/** What is logged stays logged: a file of another kind must not fill the log. @throws {UsageError} */
function assertReadable(path: string, map: (line: string) => ImportedLine | undefined): void {
  let unreadable = 0;
  for (const line of readLines(path)) {
    const imported = map(line);
    if (imported === undefined) continue;
    if (imported.unreadable === undefined) return;
    unreadable += 1;
    if (unreadable < SAMPLE_LINES) continue;
    throw new UsageError(
      `${path}: none of the first ${SAMPLE_LINES} lines can be read (${imported.unreadable}); --format FORMAT imports it all the same`,
    );
  }
}

interface Import {
  readonly invocation: Invocation;
  readonly path: string;
  readonly log: LogIdentity | undefined;
  readonly before: ImportProgress | undefined;
  readonly saved: string;
  readonly survey: Survey;
  readonly plan: Plan;
  readonly sender: ImportSender;
}

async function importLines({ invocation, path, log, before, saved, survey, plan, sender }: Import): Promise<void> {
  const { terminal, signal } = invocation;
  const { format, year, utcOffsetMinutes } = plan;
  const digest = new LinesDigest();
  const map = plan.mapper();
  let lines = 0;
  // Lines that the log refused are told again by the next import: nothing after them counts as done.
  const save = async (): Promise<void> => {
    const lastIndex = sender.counts.lastIndex ?? (plan.skip > 0 ? before?.lastIndex : undefined);
    if (sender.counts.refused.length === 0 && log !== undefined && lastIndex !== undefined) {
      const place = { log: log.keys, lastIndex };
      await writeProgress(saved, { ...place, lines, digest: digest.hex(), format, year, utcOffsetMinutes });
    }
    terminal.progress("import", lines, survey.lines);
  };
  for (const line of readLines(path)) {
    signal.throwIfAborted();
    // Every line passes through, also those that were imported before: the next one's time and id depend on them.
    const imported = map(line);
    if (imported !== undefined && lines < plan.skip) sender.passOver(imported);
    if (imported !== undefined && lines >= plan.skip) {
      if (!sender.hasRoomFor(imported)) {
        await sender.send("durable");
        await save();
      }
      sender.add(imported, lines + 1);
    }
    digest.add(line);
    lines += 1;
  }
  await sender.send("witnessed");
  await save();
}

interface Outcome {
  readonly counts: ImportCounts;
  readonly survey: Survey;
  readonly year: number | undefined;
}

function show({ terminal }: Invocation, { counts, survey, year }: Outcome): ExitCode {
  const { added, there, unreadable, refused, types, lastState, lastIndex } = counts;
  terminal.line(bold(`${added} new`), `, ${there} there already, of ${survey.lines} lines${yearWords(year)}`);
  for (const [type, count] of [...types].toSorted(([, a], [, b]) => b - a))
    terminal.line(`  ${String(count).padStart(6)}  ${type}`);
  if (unreadable > 0) terminal.line(`  ${unreadable} could not be read; each is kept as an event, import.unreadable`);
  if (lastIndex !== undefined) terminal.line(`  the last is at index ${lastIndex}, ${lastState}`);
  terminal.value({ added, there, lines: survey.lines, unreadable, refused, types, year, lastIndex, lastState });
  if (lastState === "durable")
    terminal.trouble("all of it is durable; the witnesses have not cosigned it in time, which they can do later");
  if (refused.length === 0) return EXIT.ok;
  terminal.trouble(`the log refused ${refused.length} lines, which are not in it:`);
  for (const { line, message } of refused.slice(0, REFUSED_SHOWN)) terminal.trouble(`  line ${line}: ${message}`);
  return EXIT.unknown;
}

function yearWords(year: number | undefined): string {
  return year === undefined ? "" : `, the first of ${year} (--year says otherwise)`;
}
