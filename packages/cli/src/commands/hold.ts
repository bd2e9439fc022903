/** `hold`: sets, lifts and lists legal holds, which keep what they cover from being destroyed. */
import { type Command, EXIT, type ExitCode, type Invocation, UsageError, noWords } from "../command.ts";
import { holdIn, holdsIn } from "../disposition-answer.ts";
import { describeHold, showHold } from "../hold.ts";
import { requestLog } from "../log-request.ts";
import { sendValue, showAwaiting } from "../order.ts";
import { SUBJECT_OPTIONS, optionalSubjectOf } from "../subject-option.ts";
import { LOG_OPTIONS, type Target, targetOf } from "../target.ts";

export const holdCommand: Command = {
  name: "hold",
  summary: "sets, lifts and lists legal holds, under which nothing is destroyed",
  usage: "set --case CASE [--subject ID] [--class CLASS] [--from TIME] [--to TIME] | lift ID | lift --case CASE | list",
  options: {
    ...LOG_OPTIONS,
    ...SUBJECT_OPTIONS,
    case: { type: "string", value: "CASE", help: "names the case; it stays in the log, so that no name belongs there" },
    reason: { type: "string", value: "TEXT", help: "set: why; it stays in the log" },
    class: { type: "string", value: "CLASS", help: "set: only events of this retention class" },
    from: {
      type: "string",
      value: "TIME",
      help: "set: only what was logged then or later: 2026-11-01, or with a time",
    },
    to: { type: "string", value: "TIME", help: "set: only what was logged before" },
    operation: { type: "string", value: "ID", help: "set: only events of this operation" },
    lifted: { type: "boolean", help: "list: those that were lifted, too" },
  },
  notes: [
    "All that is given must fit for a hold to cover an event. It asks for an officer's token.",
    "Lifting a hold destroys at once what it kept beyond its time, and carries out erasures that it stopped.",
  ],
  run: async (invocation) => {
    const [action = "", ...words] = invocation.words;
    const act = Object.hasOwn(ACTIONS, action) ? ACTIONS[action] : undefined;
    if (act === undefined) throw new UsageError(`expected ${Object.keys(ACTIONS).join(", ")}`);
    return act(invocation, words);
  },
};

const ACTIONS: Readonly<Record<string, (invocation: Invocation, words: readonly string[]) => Promise<ExitCode>>> = {
  set: async (invocation, words) => {
    noWords(words);
    const value = await holdFrom(invocation);
    const target = await targetOf(invocation, "officer");
    const answer = await sendValue(target, { path: "v1/holds", value, signal: invocation.signal });
    return showAwaiting(invocation, answer) ?? showHold(invocation, holdIn(answer), "HOLDS");
  },
  lift: async (invocation, words) => {
    const target = await targetOf(invocation, "officer");
    const [id, ...more] = words;
    const name = invocation.text("case");
    if (more.length > 0 || (id === undefined) === (name === undefined))
      throw new UsageError("lift: expected one ID, or --case CASE");
    return id === undefined ? liftCase(invocation, target, name) : lift(invocation, target, id);
  },
  list: async (invocation, words) => {
    noWords(words);
    const target = await targetOf(invocation, "officer");
    const query = invocation.flag("lifted") ? "?lifted=true" : "";
    const { value, known } = holdsIn(await requestLog(target, { path: `v1/holds${query}`, signal: invocation.signal }));
    for (const hold of known) invocation.terminal.line(`${hold.id}  ${describeHold(hold)}`);
    invocation.terminal.value(value);
    return EXIT.ok;
  },
};

async function holdFrom(invocation: Invocation): Promise<Readonly<Record<string, string>>> {
  const { text } = invocation;
  const name = text("case");
  if (name === undefined) throw new UsageError("--case: expected the name of the case");
  const subject = await optionalSubjectOf(invocation);
  const selectors = {
    subject,
    class: text("class"),
    from: timeOf(text("from"), "--from"),
    to: timeOf(text("to"), "--to"),
    operation: text("operation"),
  };
  const given = Object.entries(selectors).filter((entry): entry is [string, string] => entry[1] !== undefined);
  if (given.length === 0) throw new UsageError("set: expected one of --subject, --class, --from, --to, --operation");
  const reason = text("reason");
  return { case: name, ...(reason === undefined ? {} : { reason }), ...Object.fromEntries(given) };
}

/** A day, or a time with its zone. @throws {UsageError} */
function timeOf(text: string | undefined, option: string): string | undefined {
  if (text === undefined) return undefined;
  const isTime = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:\d\d))?$/.test(text);
  if (isTime && Number.isFinite(Date.parse(text))) return new Date(text).toISOString();
  throw new UsageError(
    `${option}: expected a time such as 2026-11-01 or 2026-11-01T08:30:00Z, got ${JSON.stringify(text)}`,
  );
}

async function lift(invocation: Invocation, target: Target, id: string): Promise<ExitCode> {
  if (!/^[0-9a-f-]{36}$/i.test(id)) throw new UsageError(`lift: expected the ID of a hold, got ${JSON.stringify(id)}`);
  const path = `v1/holds/${id.toLowerCase()}/lift`;
  const answer = await requestLog(target, { path, method: "POST", signal: invocation.signal });
  return showAwaiting(invocation, answer) ?? showHold(invocation, holdIn(answer), "LIFTED");
}

async function liftCase(invocation: Invocation, target: Target, name: string | undefined): Promise<ExitCode> {
  const { known } = holdsIn(await requestLog(target, { path: "v1/holds", signal: invocation.signal }));
  const ids = known.filter((hold) => hold.case === name).map(({ id }) => id);
  if (ids.length === 0) throw new UsageError(`--case: no hold of the case ${JSON.stringify(name)} is in force`);
  for (const id of ids) await lift(invocation, target, id);
  return EXIT.ok;
}
