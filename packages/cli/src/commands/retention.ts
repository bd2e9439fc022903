/** `retention`: what is kept until when, by class and day; and a run that destroys what is due. */
import { type Command, EXIT, type ExitCode, type Invocation, UsageError, noWords } from "../command.ts";
import { type ClassDayScope, classDaysIn, retentionRunIn } from "../disposition-answer.ts";
import { requestLog } from "../log-request.ts";
import { LOG_OPTIONS, targetOf } from "../target.ts";
import { bold } from "../terminal.ts";

export const retentionCommand: Command = {
  name: "retention",
  summary: "shows what is kept until when, and destroys what is due",
  usage: "show [--class CLASS] [--due-before DAY] | run",
  options: {
    ...LOG_OPTIONS,
    class: { type: "string", value: "CLASS", help: "show: only this retention class" },
    "due-before": { type: "string", value: "DAY", help: "show: only what is due before this day, such as 2027-01-01" },
  },
  notes: [
    "A line is a day of a class: all its entries are sealed under one key, and go together when that is destroyed.",
    "The log destroys what is due by itself, once an hour. run asks for an operator's or an officer's token.",
  ],
  run: async (invocation) => {
    const [action = "", ...words] = invocation.words;
    noWords(words);
    const act = Object.hasOwn(ACTIONS, action) ? ACTIONS[action] : undefined;
    if (act === undefined) throw new UsageError(`expected ${Object.keys(ACTIONS).join(" or ")}`);
    return act(invocation);
  },
};

const ACTIONS: Readonly<Record<string, (invocation: Invocation) => Promise<ExitCode>>> = {
  show: async (invocation) => {
    const query = queryOf(invocation);
    const target = await targetOf(invocation, "operator");
    const path = `v1/retention${query === "" ? "" : `?${query}`}`;
    const { value, known } = classDaysIn(await requestLog(target, { path, signal: invocation.signal }));
    for (const classDay of known.classDays) {
      const due = classDay.dueOn === undefined ? "for ever" : `until ${classDay.dueOn}`;
      invocation.terminal.line(`${describe(classDay)}  ${due}${classDay.held ? "  under a legal hold" : ""}`);
    }
    if (known.more) invocation.terminal.trouble("there are more: --class and --due-before ask for fewer");
    invocation.terminal.value(value);
    return EXIT.ok;
  },
  run: async (invocation) => {
    const target = await targetOf(invocation, "operator");
    const answer = await requestLog(target, {
      path: "v1/retention/run",
      method: "POST",
      timeoutMs: RUN_TIMEOUT_MS,
      signal: invocation.signal,
    });
    const { value, known } = retentionRunIn(answer);
    invocation.terminal.line(bold(`${known.destroyed.length} destroyed`), held(known.held));
    for (const scope of known.destroyed) invocation.terminal.line(`  ${describe(scope)}`);
    invocation.terminal.value(value);
    return EXIT.ok;
  },
};

/** A first run after a long time prunes years. */
const RUN_TIMEOUT_MS = 600_000;

/** @throws {UsageError} */
function queryOf({ text }: Invocation): string {
  const [retentionClass, dueBefore] = [text("class"), text("due-before")];
  if (dueBefore !== undefined && !/^\d{4}-\d\d-\d\d$/.test(dueBefore))
    throw new UsageError(`--due-before: expected a day such as 2027-01-01, got ${JSON.stringify(dueBefore)}`);
  return new URLSearchParams({
    ...(retentionClass === undefined ? {} : { class: retentionClass }),
    ...(dueBefore === undefined ? {} : { dueBefore }),
  }).toString();
}

function describe({ class: name, day, count }: ClassDayScope): string {
  return `${name.padEnd(16)} ${day}  ${String(count).padStart(8)} ${count === 1 ? "entry" : "entries"}`;
}

function held(count: number): string {
  return count === 0 ? "" : `; ${count === 1 ? "1 entry is" : `${count} entries are`} kept under a legal hold`;
}
