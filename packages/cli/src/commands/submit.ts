/** `submit`: sends events, from options, a file or standard input, and says where they stand. */
import { readFile } from "node:fs/promises";
import { randomBytes } from "node:crypto";
import { text as readText } from "node:stream/consumers";
import { utf8 } from "@tallystick/core";
import { newEventId, parseJson } from "@tallystick/events";
import { type Command, EXIT, type ExitCode, type Invocation, type OptionSpec, UsageError } from "../command.ts";
import { commandLine } from "../command-line.ts";
import { jsonOf, requestLog } from "../log-request.ts";
import { LOG_OPTIONS, targetOf } from "../target.ts";

const FIELDS = {
  type: { type: "string", value: "TYPE", help: "what happened: auth.login, say" },
  outcome: { type: "string", value: "OUTCOME", help: "success, failure, denied or unknown" },
  actor: { type: "string", value: "TYPE:ID", help: "who did it: user:u_81, say" },
  session: { type: "string", value: "ID", help: "in which session" },
  target: { type: "string", multiple: true, value: "TYPE:ID", help: "on what it was done" },
  ip: { type: "string", value: "ADDRESS", help: "from where" },
  method: { type: "string", value: "METHOD", help: "how the actor was authenticated" },
  reason: { type: "string", value: "TEXT", help: "why it came out so" },
} as const satisfies Record<string, OptionSpec>;

/** What a log takes in one request. */
const EVENTS_MAX = 1000;
const FIELD_NAMES = Object.keys(FIELDS);
const WAITS = ["durable", "published", "witnessed"];

export const submitCommand: Command = {
  name: "submit",
  summary: "sends events: one from options, or many from a file or standard input",
  usage: "[FILE | -] [--type TYPE --outcome OUTCOME --actor TYPE:ID …] [--wait STATE]",
  options: {
    ...LOG_OPTIONS,
    ...FIELDS,
    wait: { type: "string", value: "STATE", help: "durable, published or witnessed (the default)" },
  },
  notes: [
    "A FILE holds one event, an array of events, or a line for each; id and time are made where an event has none.",
    "Example: tallystick submit --type auth.login --outcome success --actor user:u_81",
  ],
  run: async (invocation) => {
    const given = FIELD_NAMES.filter((name) => invocation.texts(name).length > 0);
    if (given.length > 0 && invocation.words.length > 0)
      throw new UsageError(`expected options of one event, or a FILE of events, not both (--${given.join(", --")})`);
    const events = given.length === 0 ? await eventsOf(invocation) : [eventFromOptions(invocation)];
    const wait = invocation.text("wait") ?? "witnessed";
    if (!WAITS.includes(wait))
      throw new UsageError(`--wait: expected ${WAITS.join(", ")}, got ${JSON.stringify(wait)}`);
    const target = await targetOf(invocation, "writer");
    const answer = await requestLog(target, {
      path: `v1/events?wait=${wait}`,
      method: "POST",
      contentType: "application/json",
      body: utf8(JSON.stringify(events.map(complete))),
      signal: invocation.signal,
    });
    return show(invocation, jsonOf(answer) as readonly Submitted[], wait);
  },
};

interface Submitted {
  readonly id: string;
  readonly index: number;
  readonly loggedAt: string;
  readonly state: string;
  readonly duplicate?: boolean;
}

async function eventsOf({ words }: Invocation): Promise<readonly unknown[]> {
  const [path, ...more] = words;
  if (path === undefined || more.length > 0)
    throw new UsageError("expected --type, or one FILE, or - for standard input");
  const text = path === "-" ? await readText(process.stdin) : await readFile(path, "utf8");
  const values = valuesOf(text);
  if (values.length === 0) throw new UsageError(`${path}: expected events, found none`);
  if (values.length > EVENTS_MAX)
    throw new UsageError(
      `${path}: expected at most ${EVENTS_MAX} events, found ${values.length}; tallystick import takes any number`,
    );
  return values;
}

/** JSON lines where the first line is a value of its own and others follow; one value otherwise. */
function valuesOf(text: string): readonly unknown[] {
  const [first, ...others] = text.split("\n").filter((line) => line.trim() !== "");
  if (first === undefined) return [];
  return others.length > 0 && isJson(first)
    ? [first, ...others].map((line) => parseJson(line))
    : [parseJson(text)].flat();
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function eventFromOptions(invocation: Invocation): unknown {
  const { text } = invocation;
  if (text("type") === undefined) throw new UsageError("--type: expected what happened, such as auth.login");
  const [type, outcome, actor, session, reason] = ["type", "outcome", "actor", "session", "reason"].map(text);
  const targets = invocation.texts("target").map(partyOf);
  const [ip, method] = [text("ip"), text("method")];
  return {
    type,
    ...(outcome === undefined ? {} : { outcome }),
    ...(actor === undefined ? {} : { actor: partyOf(actor) }),
    ...(session === undefined ? {} : { session: { id: session } }),
    ...(targets.length === 0 ? {} : { targets }),
    ...(ip === undefined ? {} : { source: { ip } }),
    ...(method === undefined ? {} : { auth: { method } }),
    ...(reason === undefined ? {} : { reason }),
  };
}

/** `user:u_81`: a type, a colon, an id. @throws {UsageError} */
function partyOf(text: string): { type: string; id: string } {
  const colon = text.indexOf(":");
  if (colon > 0 && colon < text.length - 1) return { type: text.slice(0, colon), id: text.slice(colon + 1) };
  throw new UsageError(`expected TYPE:ID, such as user:u_81, got ${JSON.stringify(text)}`);
}

function complete(event: unknown): unknown {
  if (typeof event !== "object" || event === null || Array.isArray(event)) return event;
  const now = Date.now();
  return { id: newEventId(now, randomBytes(16)), time: now, ...event };
}

function show({ terminal }: Invocation, entries: readonly Submitted[], wait: string): ExitCode {
  for (const { id, index, loggedAt, state, duplicate } of entries) {
    terminal.line(
      `${terminal.bold(`index ${index}`)}  ${state}  logged ${loggedAt}  id ${id}${duplicate === true ? "  (was there already)" : ""}`,
    );
  }
  const last = entries.at(-1);
  if (last !== undefined && last.state !== "durable") {
    terminal.line(
      terminal.dim(
        `next: ${commandLine()} receipt ${last.index} --evidence && ${commandLine()} verify ${last.index}.evidence.json`,
      ),
    );
  }
  terminal.value(entries);
  const met = entries.every(({ state }) => WAITS.indexOf(state) >= WAITS.indexOf(wait));
  if (!met)
    terminal.trouble(
      `logged, but not ${wait} in time; the receipt comes later: ${commandLine()} receipt ${last?.index ?? "INDEX"}`,
    );
  return met ? EXIT.ok : EXIT.unknown;
}
