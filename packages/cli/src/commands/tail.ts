/** `tail`: entries as they come, with their proof state. */
import { parseEvent } from "@tallystick/events";
import { type Command, EXIT, type Invocation, UsageError, wholeNumber } from "../command.ts";
import { LOG_OPTIONS, type Target, targetOf } from "../target.ts";
import { describeEvent, describeTime } from "../words.ts";

const RETRY_MS = 1000;

export const tailCommand: Command = {
  name: "tail",
  summary: "shows entries as they come, with their proof state",
  usage: "[--from INDEX]",
  options: {
    ...LOG_OPTIONS,
    from: { type: "string", value: "INDEX", help: "the first index (the present end by default)" },
  },
  notes: ["With --json, each line is one JSON value. That the tail is read is itself logged, once an hour."],
  run: async (invocation) => {
    if (invocation.words.length > 0) throw new UsageError("expected options only");
    const target = await targetOf(invocation, "auditor");
    const from = invocation.text("from");
    const state: TailState = { next: from === undefined ? undefined : wholeNumber(from, "--from"), witnessed: 0 };
    while (!invocation.signal.aborted) {
      try {
        await follow(invocation, target, state);
      } catch (error) {
        if (invocation.signal.aborted) break;
        if (error instanceof RefusedError) throw error;
        invocation.terminal.trouble(
          `connection lost (${error instanceof Error ? error.message : String(error)}); trying again`,
        );
      }
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
    return EXIT.ok;
  },
};

interface TailState {
  next: number | undefined;
  witnessed: number;
}

/** The log does not let us: trying again changes nothing. */
class RefusedError extends Error {}

async function follow({ terminal, signal }: Invocation, { url, token }: Target, state: TailState): Promise<void> {
  const query = state.next === undefined ? "" : `?from=${state.next}`;
  const headers = { accept: "text/event-stream", ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) };
  const response = await fetch(`${url}/v1/tail${query}`, { headers, signal, redirect: "manual" });
  if (response.status !== 200) {
    const text = (await response.text()).slice(0, 500);
    if (response.status < 500) throw new RefusedError(`the log answered ${response.status}: ${text}`);
    throw new Error(`the log answered ${response.status}`);
  }
  for await (const { event, data } of serverSentEvents(response)) {
    const value = JSON.parse(data) as Record<string, unknown>;
    if (event === "entry") showEntry(terminal, value as unknown as TailEntry, state);
    if (event === "checkpoint") showHead(terminal, value as unknown as { size: number }, state);
  }
}

interface TailEntry {
  readonly index: number;
  readonly state: string;
  readonly loggedAt: string;
  readonly event?: unknown;
}

function showEntry(terminal: Invocation["terminal"], entry: TailEntry, state: TailState): void {
  state.next = entry.index + 1;
  const what = entry.event === undefined ? "(contents erased)" : describeEvent(parseLogged(entry.event));
  terminal.line(
    `${String(entry.index).padStart(6)}  ${describeTime(Date.parse(entry.loggedAt))}  ${what}  ${terminal.dim(entry.state)}`,
  );
  terminal.value({ kind: "entry", ...entry });
}

/** What is in a log was checked when it went in; a newer log may know types that this command does not. */
function parseLogged(event: unknown): ReturnType<typeof parseEvent> {
  try {
    return parseEvent(event);
  } catch {
    return event as ReturnType<typeof parseEvent>;
  }
}

function showHead(terminal: Invocation["terminal"], head: { readonly size: number }, state: TailState): void {
  if (head.size <= state.witnessed) return;
  state.witnessed = head.size;
  terminal.line(terminal.dim(`        published: all up to index ${head.size - 1}`));
  terminal.value({ kind: "checkpoint", ...head });
}

interface ServerSentEvent {
  readonly event: string;
  readonly data: string;
}

/** A line of an event stream is an entry with its contents: 32 KiB, and a head with many signatures. */
const BLOCK_CHARS_MAX = 1_048_576;

async function* serverSentEvents(response: Response): AsyncIterable<ServerSentEvent> {
  const decoder = new TextDecoder();
  let buffered = "";
  for await (const part of response.body ?? []) {
    buffered += decoder.decode(part, { stream: true });
    const blocks = buffered.split("\n\n");
    buffered = blocks.pop() ?? "";
    if (buffered.length > BLOCK_CHARS_MAX) throw new Error("the log sends a line without an end");
    for (const block of blocks) {
      const event = fieldOf(block, "event");
      const data = fieldOf(block, "data");
      if (event !== undefined && data !== undefined) yield { event, data };
    }
  }
}

function fieldOf(block: string, name: string): string | undefined {
  const line = block.split("\n").find((text) => text.startsWith(`${name}: `));
  return line?.slice(name.length + 2);
}
