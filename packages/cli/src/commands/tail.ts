/** `tail`: entries as they come, with their proof state. */
import { setTimeout as sleep } from "node:timers/promises";
import { ClientError } from "@tallystick/client";
import { TallystickError, parseCheckpoint, parseNote } from "@tallystick/core";
import { parseEvent } from "@tallystick/events";
import { type Command, EXIT, type Invocation, noWords, wholeNumber } from "../command.ts";
import { type TailEntry, type TailHead, statusSize, tailEntry, tailHead, textIn } from "../log-answer.ts";
import { openStream, requestLog } from "../log-request.ts";
import { PURPOSE_OPTION, withPurpose } from "../purpose.ts";
import { serverSentEvents } from "../server-sent-events.ts";
import { LOG_OPTIONS, type Target, targetOf } from "../target.ts";
import { dim } from "../terminal.ts";
import { describeEvent, describeTime } from "../words.ts";

/** Between two tries while the log is away. */
const RETRY_MS = 1000;
/** The log shows every 15 seconds that it is there; after this long without a sign the connection is given up. */
const SILENCE_MS = 45_000;

export const tailCommand: Command = {
  name: "tail",
  summary: "shows entries as they come, with their proof state",
  usage: "[--from INDEX]",
  options: {
    ...LOG_OPTIONS,
    from: { type: "string", value: "INDEX", help: "the first index (the present end by default)" },
    ...PURPOSE_OPTION,
  },
  notes: [
    "It shows what the log says; receipt and verify prove it. With --json, each line is one JSON value.",
    "That the tail is read is itself logged, once an hour.",
  ],
  run: async (invocation) => {
    noWords(invocation.words);
    const target = await targetOf(invocation, "auditor");
    const from = invocation.text("from");
    const next = from === undefined ? await sizeOf(target, invocation.signal) : wholeNumber(from, "--from");
    const state: TailState = { next, shown: false, unproven: undefined, away: false };
    while (!invocation.signal.aborted) {
      try {
        await follow(invocation, target, state);
      } catch (error) {
        // To ask again helps where nothing answered; not where the log refused, or where no log answers.
        if (error instanceof ClientError && error.code !== "audit-unavailable") throw error;
        sayAway(invocation, state, error);
      }
      await sleep(RETRY_MS, undefined, { signal: invocation.signal }).catch(() => undefined);
    }
    return EXIT.ok;
  },
};

interface TailState {
  next: number;
  /** Whether an entry was shown: then the log is told which was the last. */
  shown: boolean;
  /** The first index that was shown before it was published. */
  unproven: number | undefined;
  /** Whether the reader knows that the log does not answer. */
  away: boolean;
}

async function sizeOf(target: Target, signal: AbortSignal): Promise<number> {
  try {
    return statusSize(await requestLog(target, { path: "v1/status", signal }));
  } catch (error) {
    if (!(error instanceof ClientError) || error.details["status"] !== 403) throw error;
    // Readers may not ask for it; the newest head is not far from the end, and public.
    return parseHead(textIn(await requestLog(target, { path: "checkpoint", signal }), "checkpoint")).size;
  }
}

function sayAway({ terminal, signal }: Invocation, state: TailState, error: unknown): void {
  if (state.away || signal.aborted) return;
  state.away = true;
  terminal.trouble(`the log does not answer (${error instanceof Error ? error.message : String(error)}); trying again`);
}

async function follow(invocation: Invocation, target: Target, state: TailState): Promise<void> {
  const { terminal, signal } = invocation;
  const silent = new AbortController();
  const timer = setTimeout(() => silent.abort(new Error(`no sign for ${SILENCE_MS / 1000} seconds`)), SILENCE_MS);
  try {
    const stream = await openStream(target, {
      path: withPurpose(`v1/tail?from=${state.next}`, invocation),
      headers: state.shown ? { "last-event-id": String(state.next - 1) } : {},
      mediaType: "text/event-stream",
      signal: AbortSignal.any([signal, silent.signal]),
    });
    if (state.away) terminal.trouble("the log answers again");
    state.away = false;
    for await (const { event, data } of serverSentEvents(stream, () => timer.refresh())) {
      if (event === "entry") showEntry(terminal, tailEntry(data), state);
      if (event === "checkpoint") showHead(terminal, tailHead(data), state);
    }
  } finally {
    clearTimeout(timer);
  }
}

function showEntry(terminal: Invocation["terminal"], entry: TailEntry, state: TailState): void {
  state.next = entry.index + 1;
  state.shown = true;
  if (entry.state === "durable") state.unproven ??= entry.index;
  const what = entry.event === undefined ? "(contents erased)" : describeLogged(entry.event);
  const time = describeTime(Date.parse(entry.loggedAt));
  terminal.line(`${String(entry.index).padStart(6)}  ${time}  ${what}  `, dim(entry.state));
  terminal.value({ ...entry, kind: "entry" });
}

/** A newer log may know types that this command does not, and another may answer anything. */
function describeLogged(event: unknown): string {
  try {
    return describeEvent(parseEvent(event));
  } catch (error) {
    if (!(error instanceof TallystickError)) throw error;
    const { type, outcome } = (event ?? {}) as { readonly type?: unknown; readonly outcome?: unknown };
    return typeof type === "string" && typeof outcome === "string" ? `${type} ${outcome}` : "(an unknown event)";
  }
}

/** Says which of the entries that were shown as durable have come under a published head. */
function showHead(terminal: Invocation["terminal"], head: TailHead, state: TailState): void {
  terminal.value({ ...head, kind: "checkpoint" });
  const { unproven } = state;
  if (unproven === undefined || unproven >= head.size) return;
  const last = Math.min(head.size, state.next) - 1;
  state.unproven = state.next > head.size ? head.size : undefined;
  const which = unproven === last ? `${last}` : `${unproven} to ${last}`;
  terminal.line(dim(`        ${which} ${describeState(head.note)}`));
}

function describeState(note: string): string {
  const { origin, signatures } = parseHead(note);
  const witnesses = new Set(signatures.map(({ name }) => name).filter((name) => name !== origin));
  return witnesses.size === 0 ? "published, without a witness" : `witnessed by ${[...witnesses].toSorted().join(", ")}`;
}

function parseHead(note: string): {
  readonly origin: string;
  readonly size: number;
  readonly signatures: readonly { readonly name: string }[];
} {
  try {
    const { text, signatures } = parseNote(note);
    const { origin, size } = parseCheckpoint(text);
    return { origin, size: Number(size), signatures };
  } catch (cause) {
    if (!(cause instanceof TallystickError)) throw cause;
    throw new ClientError("log-answer-malformed", `the log's answer: checkpoint: ${cause.message}`, { cause });
  }
}
