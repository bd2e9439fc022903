/** `approve`: tells what a first officer asked for, and carries it out in the name of both. */
import type { Exchange } from "@tallystick/client";
import { decodeUtf8 } from "@tallystick/core";
import { type DescribedChange, diffRules } from "@tallystick/log";
import { naming, readStream } from "../bounded-file.ts";
import { type Command, EXIT, type ExitCode, type Invocation, UsageError, onlyWord } from "../command.ts";
import { destructionIn, holdIn } from "../disposition-answer.ts";
import { WAIT_OPTION, showWhenDone, waitOf } from "../erasure.ts";
import { showHold } from "../hold.ts";
import { jsonOf, objectOf, textOf } from "../log-answer.ts";
import { sendValue } from "../order.ts";
import { type RulesText, rulesInForce, rulesNamed, showApplied, showChanges } from "../rules-in-force.ts";
import { LOG_OPTIONS, type Target, targetOf } from "../target.ts";
import { bold } from "../terminal.ts";

/** It holds rules at most. */
const TICKET_BYTES_MAX = 1_048_576;

export const approveCommand: Command = {
  name: "approve",
  summary: "carries out, as the second person, what another officer asked for",
  usage: "TICKET | - [--preview] [--wait SECONDS]",
  options: {
    ...LOG_OPTIONS,
    preview: { type: "boolean", help: "only tell what would be approved, who asked for it, and what rules change" },
    ...WAIT_OPTION,
  },
  notes: [
    "Where the rules ask for two persons, the first one's command gives the TICKET, which is good for seven days.",
    "It asks for the token of an officer other than the first. - takes the ticket from standard input.",
    "It prints what the first one's command would have printed, with its exit codes.",
  ],
  run: async (invocation) => {
    const approval = await ticketOf(onlyWord(invocation.words, "one TICKET, or -"));
    const seconds = waitOf(invocation);
    const target = await targetOf(invocation, "officer");
    const ask = { path: "v1/approvals", signal: invocation.signal };
    const preview = orderIn(await sendValue(target, { ...ask, value: { approval, preview: true } }));
    const change = await changeOf(preview, target, invocation.signal);
    if (invocation.flag("preview")) return showPreview(invocation, preview, change);
    const answer = await sendValue(target, { ...ask, value: { approval } });
    invocation.terminal.line(bold("APPROVED"), `  ${preview.what}`);
    return showDone(invocation, { action: preview.action, answer, target, seconds, change });
  },
};

interface Order {
  readonly value: unknown;
  readonly action: string;
  /** What it is and who asked for it, in words. */
  readonly what: string;
  readonly input: Readonly<Record<string, unknown>>;
}

/** @throws {ClientError} `log-answer-malformed` */
function orderIn(answer: Exchange): Order {
  const value = objectOf(jsonOf(answer), "preview");
  const action = textOf(value["action"], "action");
  const what = `${action}, asked for by ${textOf(value["by"], "by")}`;
  return { value, action, what, input: objectOf(value["input"], "input") };
}

/** Of other rules: what they change of those in force now. */
interface RulesChange {
  readonly file: RulesText;
  readonly changes: readonly DescribedChange[];
}

/** @throws {LogError} `rules-malformed`: the first officer asked for what is no rules. */
async function changeOf(
  { action, input }: Order,
  target: Target,
  signal: AbortSignal,
): Promise<RulesChange | undefined> {
  if (action !== "rules.apply") return undefined;
  const file = rulesNamed("the rules of the ticket", textOf(input["text"], "input: text"));
  return { file, changes: diffRules((await rulesInForce(target, signal)).rules, file.rules) };
}

function showPreview(invocation: Invocation, { value, what, input }: Order, change: RulesChange | undefined): ExitCode {
  invocation.terminal.line(bold("TO BE APPROVED"), `  ${what}`);
  showFields(invocation, input);
  // Last, so that a long text does not push them out of sight.
  if (change !== undefined) {
    invocation.terminal.line(bold("WOULD CHANGE"), "  of the rules in force");
    showChanges(invocation, change.changes);
  }
  invocation.terminal.value(change === undefined ? value : { ...objectOf(value, "preview"), changes: change.changes });
  return EXIT.ok;
}

interface Done {
  readonly action: string;
  readonly answer: Exchange;
  readonly target: Target;
  readonly seconds: number;
  readonly change: RulesChange | undefined;
}

/** What the command of the first officer would have said. */
async function showDone(invocation: Invocation, { action, answer, target, seconds, change }: Done): Promise<ExitCode> {
  if (change !== undefined) {
    showChanges(invocation, change.changes);
    return showApplied(invocation, { ...change, answer });
  }
  if (action === "erasure") return showWhenDone(invocation, { target, ordered: destructionIn(answer), seconds });
  if (action === "hold.set") return showHold(invocation, holdIn(answer), "HOLDS");
  if (action === "hold.lift") return showHold(invocation, holdIn(answer), "LIFTED");
  // Of a log that is newer than this command.
  const value = jsonOf(answer);
  showFields(invocation, objectOf(value, "answer"));
  invocation.terminal.value(value);
  return EXIT.ok;
}

function showFields({ terminal }: Invocation, fields: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(fields)) {
    const text = typeof value === "string" ? value : JSON.stringify(value);
    for (const line of text.trimEnd().split("\n")) terminal.line(`  ${name.padEnd(12)} ${line}`);
  }
}

/** @throws {UsageError} */
async function ticketOf(word: string): Promise<string> {
  const name = "standard input";
  const bytes = word === "-" ? await readStream(process.stdin, { path: name, bytesMax: TICKET_BYTES_MAX }) : undefined;
  const ticket = bytes === undefined ? word : naming(name, () => decodeUtf8(bytes)).trim();
  if (/^tsa_[A-Za-z0-9_-]+$/.test(ticket)) return ticket;
  throw new UsageError("TICKET: expected what the first officer's command printed: tsa_…");
}
