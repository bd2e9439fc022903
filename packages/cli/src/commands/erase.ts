/** `erase`: erases a person, says how far that is, and fetches the certificate that proves it. */
import { randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ClientError, type VerifiedReceipt, certificateOf, verifyReceipt } from "@tallystick/client";
import { type Policy, TallystickError } from "@tallystick/core";
import { newEventId, parseEvidence } from "@tallystick/events";
import {
  type Command,
  EXIT,
  type ExitCode,
  type Invocation,
  UsageError,
  noWords,
  onlyWord,
  wholeNumber,
} from "../command.ts";
import { commandLine } from "../command-line.ts";
import {
  type CertificateEntry,
  type Destruction,
  certificateIn,
  destructionIn,
  destructionsIn,
} from "../disposition-answer.ts";
import { WAIT_OPTION, showErasure, showWhenDone, waitOf } from "../erasure.ts";
import { requestLog } from "../log-request.ts";
import { sendValue, showAwaiting } from "../order.ts";
import { showRefutation } from "../refutation.ts";
import { SUBJECT_OPTIONS, subjectOf } from "../subject-option.ts";
import { LOG_OPTIONS, POLICY_OPTION, policyOf, targetOf } from "../target.ts";
import { bold, dim } from "../terminal.ts";

const LIMIT_MAX = 1000;

export const eraseCommand: Command = {
  name: "erase",
  summary: "erases a person for good, and fetches the proof of it",
  usage:
    "--subject ID --ground TEXT | list [--limit N] [--before REQUEST] | show REQUEST | certificate REQUEST [--out FOLDER]",
  options: {
    ...LOG_OPTIONS,
    ...POLICY_OPTION,
    ...SUBJECT_OPTIONS,
    ground: { type: "string", value: "TEXT", help: "why; it stays in the log for ever, so that no name belongs there" },
    request: { type: "string", value: "UUID", help: "a UUIDv7 of one's own, by which a repeated call is harmless" },
    ...WAIT_OPTION,
    limit: {
      type: "string",
      value: "N",
      help: `list: how many, the newest first: 100 by default, at most ${LIMIT_MAX}`,
    },
    before: { type: "string", value: "REQUEST", help: "list: those that were asked for before this one" },
    out: { type: "string", value: "FOLDER", help: "certificate: where to write it (this folder by default)" },
  },
  notes: [
    "It asks for an officer's token. Nothing about the person can be read any more once the log has answered; the key",
    "is destroyed when the witnesses have cosigned the order.",
    "Exit codes: 0 done, or with --wait 0 ordered; 2 not done in time, or held by a legal hold; 3 wrong usage.",
    "Example: tallystick erase --subject-file - --ground 'request of 2026-11-20, GDPR Art. 17 (1) a'",
  ],
  run: async (invocation) => {
    const [action, ...words] = invocation.words;
    if (action === undefined) return erase(invocation);
    const act = Object.hasOwn(ACTIONS, action) ? ACTIONS[action] : undefined;
    if (act === undefined) throw new UsageError(`expected --subject, ${Object.keys(ACTIONS).join(", ")}`);
    return act(invocation, words);
  },
};

const ACTIONS: Readonly<Record<string, (invocation: Invocation, words: readonly string[]) => Promise<ExitCode>>> = {
  list: async (invocation, words) => {
    noWords(words);
    const { terminal, text, signal } = invocation;
    const [limit, before] = [wholeNumber(text("limit") ?? "100", "--limit"), text("before")];
    if (limit < 1 || limit > LIMIT_MAX) throw new UsageError(`--limit: expected 1 to ${LIMIT_MAX}, got ${limit}`);
    const query = `limit=${limit}${before === undefined ? "" : `&before=${requestOf(before)}`}`;
    const target = await targetOf(invocation, "officer");
    const { value, known } = destructionsIn(await requestLog(target, { path: `v1/erasures?${query}`, signal }));
    for (const destruction of known) terminal.line(oneLine(destruction));
    terminal.value(value);
    const last = known.at(-1);
    if (last !== undefined && known.length === limit)
      terminal.trouble(`there may be older ones: --before ${last.request} lists them`);
    return EXIT.ok;
  },
  show: async (invocation, words) => {
    const request = requestOf(onlyWord(words, "one REQUEST"));
    const target = await targetOf(invocation, "officer");
    const path = `v1/erasures/${request}`;
    return showErasure(invocation, destructionIn(await requestLog(target, { path, signal: invocation.signal })));
  },
  certificate: async (invocation, words) => certificate(invocation, requestOf(onlyWord(words, "one REQUEST"))),
};

async function erase(invocation: Invocation): Promise<ExitCode> {
  const { text, signal } = invocation;
  const subject = await subjectOf(invocation);
  const ground = text("ground");
  if (ground === undefined) throw new UsageError("--ground: expected why the person is erased");
  const seconds = waitOf(invocation);
  const given = text("request");
  const request = given === undefined ? newEventId(Date.now(), new Uint8Array(randomBytes(16))) : requestOf(given);
  const target = await targetOf(invocation, "officer");
  try {
    const answer = await sendValue(target, { path: "v1/erasures", value: { subject, ground, request }, signal });
    const awaiting = showAwaiting(invocation, answer);
    if (awaiting !== undefined) return awaiting;
    return await showWhenDone(invocation, { target, ordered: destructionIn(answer), seconds });
  } catch (error) {
    if (!(error instanceof ClientError) || error.code !== "audit-unavailable") throw error;
    // Whether it was ordered is not known then; with the same id the same order is answered again.
    const message = `${error.message}; with --request ${request} it is harmless to ask again`;
    throw new ClientError(error.code, message, { cause: error, details: error.details });
  }
}

/** In an address as it is. @throws {UsageError} */
function requestOf(text: string): string {
  if (/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i.test(text)) return text.toLowerCase();
  throw new UsageError(`REQUEST: expected a UUIDv7, got ${JSON.stringify(text)}`);
}

function oneLine({ request, state, ground, scope, ordered }: Destruction): string {
  const what = scope === undefined ? "a person" : `class ${scope.class} of ${scope.day}`;
  const where = ordered.length === 0 ? "" : `  index ${ordered.join(", ")}`;
  return `${request}  ${state.padEnd(7)}  ${what}: ${ground}${where}`;
}

async function certificate(invocation: Invocation, request: string): Promise<ExitCode> {
  const { terminal, signal } = invocation;
  const target = await targetOf(invocation, "officer");
  const policy = await policyOf(invocation);
  const path = `v1/erasures/${request}/certificate`;
  const entries = certificateIn(await requestLog(target, { path, signal }));
  const verified: { readonly entry: CertificateEntry; readonly receipt: VerifiedReceipt }[] = [];
  try {
    for (const entry of entries) verified.push({ entry, receipt: verifyEntry(entry, request, policy) });
  } catch (error) {
    if (error instanceof TallystickError) return showRefutation(terminal, error);
    throw error;
  }
  const folder = invocation.text("out") ?? ".";
  await mkdir(folder, { recursive: true });
  const files: string[] = [];
  for (const { entry } of verified) {
    const file = join(folder, `${entry.index}.evidence.json`);
    await writeFile(file, entry.evidence);
    files.push(file);
    terminal.line(bold(file));
  }
  if (files.length > 0) terminal.line(dim(`next: ${commandLine()} verify ${files.at(-1) ?? ""}`));
  else terminal.trouble("nothing is certified yet: a legal hold stops it");
  terminal.value({ request, files });
  const isWitnessed = verified.every(({ receipt }) => receipt.quorumMet && !receipt.quorumNone);
  return files.length > 0 && isWitnessed ? EXIT.ok : EXIT.unknown;
}

/** @throws {ClientError} `receipt-refuted`, `log-misbehaved`: it is of another request, or of something else. */
function verifyEntry({ index, evidence }: CertificateEntry, request: string, policy: Policy): VerifiedReceipt {
  const { proof, opening } = parseEvidence(evidence);
  const receipt = verifyReceipt({
    proof,
    opening,
    policy,
    expect: { index, class: "log" },
    now: Date.now(),
    requireQuorum: false,
  });
  if (certificateOf(receipt)?.request === request) return receipt;
  throw new ClientError("log-misbehaved", `index ${index} is no certificate of this request`);
}
