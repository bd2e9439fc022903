/** `approve`: tells what a first officer asked for, and carries it out in the name of both. */
import { decodeUtf8 } from "@tallystick/core";
import { naming, readStream } from "../bounded-file.ts";
import { type Command, EXIT, type Invocation, UsageError, onlyWord } from "../command.ts";
import { jsonOf, objectOf, textOf } from "../log-answer.ts";
import { sendValue } from "../order.ts";
import { LOG_OPTIONS, targetOf } from "../target.ts";
import { bold } from "../terminal.ts";

/** It holds rules at most. */
const TICKET_BYTES_MAX = 1_048_576;

export const approveCommand: Command = {
  name: "approve",
  summary: "carries out, as the second person, what another officer asked for",
  usage: "TICKET | - [--preview]",
  options: {
    ...LOG_OPTIONS,
    preview: { type: "boolean", help: "only tell what would be approved, and who asked for it" },
  },
  notes: [
    "Where the rules ask for two persons, the first one's command gives the TICKET, which is good for seven days.",
    "It asks for the token of an officer other than the first. - takes the ticket from standard input.",
  ],
  run: async (invocation) => {
    const approval = await ticketOf(onlyWord(invocation.words, "one TICKET, or -"));
    const target = await targetOf(invocation, "officer");
    const ask = { path: "v1/approvals", signal: invocation.signal };
    const preview = jsonOf(await sendValue(target, { ...ask, value: { approval, preview: true } }));
    const { action, by, input } = objectOf(preview, "preview");
    const what = `${textOf(action, "action")}, asked for by ${textOf(by, "by")}`;
    if (invocation.flag("preview")) {
      invocation.terminal.line(bold("TO BE APPROVED"), `  ${what}`);
      showFields(invocation, objectOf(input, "input"));
      invocation.terminal.value(preview);
      return EXIT.ok;
    }
    const done = jsonOf(await sendValue(target, { ...ask, value: { approval } }));
    invocation.terminal.line(bold("APPROVED"), `  ${what}`);
    showFields(invocation, objectOf(done, "answer"));
    invocation.terminal.value(done);
    return EXIT.ok;
  },
};

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
