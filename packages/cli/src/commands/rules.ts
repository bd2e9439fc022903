/** `rules`: checks a file of rules, compares it, tries it on what a log holds, and lets it hold. */
import { decodeUtf8, quote } from "@tallystick/core";
import {
  type Amount,
  type ClassDay,
  LogError,
  type Rules,
  type RulesDefect,
  type SimulatedClass,
  type Simulation,
  defaultRulesText,
  diffRules,
  formatDays,
  formatRulesDefect,
  parseRules,
  ruleOf,
  rulesDigest,
  simulateRules,
} from "@tallystick/log";
import { naming, readBounded } from "../bounded-file.ts";
import { type ClassDaysTold, formatDay, parseClassDays, parseDay } from "../class-days.ts";
import { type Command, EXIT, type ExitCode, type Invocation, UsageError, noWords, onlyWord } from "../command.ts";
import { requestLog } from "../log-request.ts";
import { sendValue, showAwaiting } from "../order.ts";
import {
  type RulesFile,
  type RulesText,
  rulesInForce,
  rulesNamed,
  rulesTextInForce,
  showApplied,
  showChanges,
  toldOf,
} from "../rules-in-force.ts";
import { LOG_OPTIONS, type Target, targetOf } from "../target.ts";
import { bold } from "../terminal.ts";
import { plural } from "../words.ts";

/** What the parser takes at most, and a byte, so that it is the parser who refuses more. */
const RULES_BYTES_MAX = 256 * 1024 + 1;
/** Ten thousand class-days are some two million. */
const CLASS_DAYS_BYTES_MAX = 16 * 1024 * 1024;
const DAY_MS = 86_400_000;
const DUE_SHOWN = 20;
/** What the log says of itself: it is for ever, whatever the rules say. */
const LOG_CLASS = "class log";

export const rulesCommand: Command = {
  name: "rules",
  summary: "checks, compares, tries and applies rules: how long contents are kept, and who may read",
  usage: "check FILE | diff [OLD] NEW | simulate FILE [--at DAY] [--class-days FILE] | default | show | apply FILE",
  options: {
    ...LOG_OPTIONS,
    at: { type: "string", value: "DAY", help: "simulate: as if it were this day, such as 2027-01-01 (else today)" },
    "class-days": {
      type: "string",
      value: "FILE",
      help: "simulate: what there is, as retention show --json prints it (else the log is asked)",
    },
  },
  notes: [
    "diff with one file compares it with the rules in force. simulate says what would go, and when; it changes nothing.",
    "default prints rules to begin with. show and simulate ask for an operator's token, apply for an officer's.",
    "Exit codes: 0 done, 1 the file that is to be checked holds no valid rules, 2 failed, 3 wrong usage.",
    "Example: tallystick rules default > rules.yaml && tallystick rules check rules.yaml",
  ],
  run: async (invocation) => {
    const [action = "", ...words] = invocation.words;
    const act = Object.hasOwn(ACTIONS, action) ? ACTIONS[action] : undefined;
    if (act === undefined) throw new UsageError(`expected ${Object.keys(ACTIONS).join(", ")}, got ${quote(action)}`);
    return act(invocation, words);
  },
};

const ACTIONS: Readonly<Record<string, (invocation: Invocation, words: readonly string[]) => Promise<ExitCode>>> = {
  check: async (invocation, words) => check(invocation, await readText(onlyWord(words, "one FILE"))),
  diff: async (invocation, words) => {
    const [before, after] = await filesToCompare(invocation, words);
    const changes = diffRules(before.rules, after.rules);
    showChanges(invocation, changes);
    invocation.terminal.value({ before: toldOf(before), after: toldOf(after), changes });
    return EXIT.ok;
  },
  simulate: async (invocation, words) => {
    const file = await readRules(onlyWord(words, "one FILE"));
    const now = momentOf(invocation);
    const { classDays, more } = await classDaysOf(invocation);
    showSimulation(invocation, { file, more, simulation: simulateRules({ rules: file.rules, classDays, now }) });
    return EXIT.ok;
  },
  default: async ({ terminal }, words) => {
    noWords(words);
    if (terminal.json) terminal.value({ text: defaultRulesText });
    else terminal.write(defaultRulesText);
    return EXIT.ok;
  },
  show: async (invocation, words) => {
    noWords(words);
    const { terminal, signal } = invocation;
    const { text, digest, index } = await rulesTextInForce(await targetOf(invocation, "operator"), signal);
    if (terminal.json) terminal.value({ text, digest, ...(index === undefined ? {} : { index }) });
    else terminal.write(text);
    return EXIT.ok;
  },
  apply: async (invocation, words) => apply(invocation, await readRules(onlyWord(words, "one FILE"))),
};

async function readText(path: string): Promise<RulesText> {
  const bytes = await readBounded(path, RULES_BYTES_MAX);
  return { path, text: naming(path, () => decodeUtf8(bytes)), digest: rulesDigest(bytes) };
}

/** @throws {LogError} `rules-malformed` */
async function readRules(path: string): Promise<RulesFile> {
  return rulesNamed(path, (await readText(path)).text);
}

/** Every defect, where there are any; else what the rules say, in a few lines. */
function check({ terminal }: Invocation, { path, text, digest }: RulesText): ExitCode {
  try {
    const rules = parseRules(text, { where: path });
    terminal.line(bold("VALID"), `  ${path}, SHA-256 ${digest}`);
    for (const line of describeRules(rules)) terminal.line(`  ${line}`);
    terminal.value({ ok: true, file: path, digest, defects: [] });
    return EXIT.ok;
  } catch (error) {
    if (!(error instanceof LogError) || error.code !== "rules-malformed") throw error;
    const defects = error.details["defects"] as readonly RulesDefect[];
    terminal.line(bold("NOT VALID"), `  ${path}: ${plural(defects.length, "defect")}`);
    for (const defect of defects) terminal.line(`  ${formatRulesDefect(defect)}`);
    terminal.value({ ok: false, file: path, digest, defects });
    return EXIT.refuted;
  }
}

function describeRules({ classes, other, reads, twoPersons, senderKeys, identity }: Rules): string[] {
  const named = [...classes].map(([name, rule]) => [`class ${name}`, rule] as const);
  const kept = [...named, ["every other class", other] as const].map(([name, { keepDays, atLeastDays, erase }]) => {
    const promised = atLeastDays === 0 ? "" : `, promised ${formatDays(atLeastDays)}`;
    const erased = name === LOG_CLASS ? "never" : erase;
    return `${name.padEnd(20)} kept ${formatDays(keepDays)}${promised}, erased ${erased}`;
  });
  return [
    ...kept,
    `purpose of reads ${reads.purpose}; two persons for ${twoPersons.length === 0 ? "nothing" : twoPersons.join(", ")}`,
    `${plural(senderKeys.length, "sender key")}, ${plural(identity.length, "provider")} of identities`,
  ];
}

/** @throws {UsageError} Neither one FILE nor two. */
async function filesToCompare(
  invocation: Invocation,
  words: readonly string[],
): Promise<readonly [before: RulesFile, after: RulesFile]> {
  const [first, second, ...more] = words;
  if (first === undefined || more.length > 0) throw new UsageError("diff: expected OLD and NEW, or NEW alone");
  if (second !== undefined) return [await readRules(first), await readRules(second)];
  const after = await readRules(first);
  const target = await targetOf(invocation, "operator");
  return [await rulesInForce(target, invocation.signal), after];
}

/** @throws {UsageError} */
function momentOf({ text }: Invocation): number {
  const given = text("at");
  if (given === undefined) return Date.now();
  const day = parseDay(given);
  if (day === undefined) throw new UsageError(`--at: expected a day such as 2027-01-01, got ${quote(given)}`);
  return day * DAY_MS;
}

async function classDaysOf(invocation: Invocation): Promise<ClassDaysTold> {
  const path = invocation.text("class-days");
  if (path !== undefined) return parseClassDays(path, await readBounded(path, CLASS_DAYS_BYTES_MAX));
  return allClassDays(await targetOf(invocation, "operator"), invocation.signal);
}

/** A log tells them day by day, some thousands at once: the last day of an answer may be cut, and is asked for again. */
async function allClassDays(target: Target, signal: AbortSignal): Promise<ClassDaysTold> {
  const byName = new Map<string, ClassDay>();
  for (let from: number | undefined; ;) {
    const query = from === undefined ? "" : `?from=${formatDay(from * DAY_MS)}`;
    const { body } = await requestLog(target, { path: `v1/retention${query}`, signal });
    const { classDays, more } = parseClassDays("v1/retention", body);
    for (const classDay of classDays) byName.set(`${classDay.day} ${classDay.class}`, classDay);
    const last: number | undefined = classDays.at(-1)?.day;
    // A log that tells the same again would be asked for ever.
    if (!more || last === undefined || last <= (from ?? -1)) return { classDays: [...byName.values()], more };
    from = last;
  }
}

interface Simulated {
  readonly file: RulesFile;
  readonly more: boolean;
  readonly simulation: Simulation;
}

function showSimulation({ terminal }: Invocation, { file, more, simulation }: Simulated): void {
  const { classes, classDays, now } = simulation;
  const due = classDays.filter(({ fate }) => fate === "due");
  terminal.line(bold("SIMULATED"), `  ${file.path} on ${formatDay(now)}, SHA-256 ${file.digest}`);
  for (const each of classes) terminal.line(`  ${describeClass(each, file.rules)}`);
  if (due.length > 0) terminal.line(bold("WOULD GO"), `  with the next run, for good`);
  for (const { class: name, day, count } of due.slice(0, DUE_SHOWN))
    terminal.line(`  class ${name} of ${formatDay(day * DAY_MS)}, ${plural(count, "entry", "entries")}`);
  if (due.length > DUE_SHOWN) terminal.line(`  and ${due.length - DUE_SHOWN} more; --json lists all`);
  if (more) terminal.trouble("there are more class-days than were told: these are the earliest");
  terminal.value({
    ...toldOf(file),
    on: formatDay(now),
    more,
    classes: classes.map(({ nextAt, ...rest }) => ({ ...rest, nextOn: dayOrNone(nextAt) })),
    classDays: classDays.map(({ day, dueAt, dueAtNow, ...rest }) => ({
      ...rest,
      day: formatDay(day * DAY_MS),
      dueOn: dayOrNone(dueAt),
      dueOnNow: dayOrNone(dueAtNow),
    })),
  });
}

function dayOrNone(timeMs: number | undefined): string | undefined {
  return timeMs === undefined ? undefined : formatDay(timeMs);
}

function describeClass(simulated: SimulatedClass, rules: Rules): string {
  const { all, due, dueOnlyByThese, held, within30Days, promiseBinds, nextAt } = simulated;
  const parts = [
    `${amount(due)} would go now`,
    dueOnlyByThese.classDays === 0 ? "" : `of them ${amount(dueOnlyByThese)} by these rules alone`,
    held.classDays === 0 ? "" : `${amount(held)} overdue under a legal hold`,
    within30Days.classDays === 0 ? "" : `${amount(within30Days)} within 30 days`,
    promiseBinds.classDays === 0 ? "" : `${amount(promiseBinds)} longer than these rules, as promised`,
    nextAt === undefined ? "" : `next on ${formatDay(nextAt)}`,
  ];
  const keep = formatDays(ruleOf(rules, simulated.class).keepDays);
  const told = parts.filter((part) => part !== "").join("; ");
  return `${`class ${simulated.class}, kept ${keep}:`.padEnd(28)} ${amount(all)}; ${told}`;
}

function amount({ classDays, entries }: Amount): string {
  return `${plural(classDays, "day")} (${plural(entries, "entry", "entries")})`;
}

/** Tells what changes, and lets the file hold. Where its very bytes hold already, nothing is written. */
async function apply(invocation: Invocation, file: RulesFile): Promise<ExitCode> {
  const { terminal, signal } = invocation;
  const target = await targetOf(invocation, "officer");
  const inForce = await rulesInForce(target, signal);
  if (inForce.digest === file.digest && inForce.index !== undefined) {
    const since = `hold already, since index ${inForce.index}; nothing was written`;
    terminal.line(bold("UNCHANGED"), `  ${file.path}, SHA-256 ${file.digest}: these rules ${since}`);
    terminal.value({ ...toldOf(file), index: inForce.index, changes: [] });
    return EXIT.ok;
  }
  const changes = diffRules(inForce.rules, file.rules);
  showChanges(invocation, changes);
  const answer = await sendValue(target, { path: "v1/rules", value: { text: file.text }, signal });
  return showAwaiting(invocation, answer) ?? showApplied(invocation, { file, answer, changes });
}
