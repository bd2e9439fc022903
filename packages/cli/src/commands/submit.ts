/** `submit`: sends events, from options, a file or standard input, and says where they stand. */
import { randomBytes } from "node:crypto";
import { TallystickError, decodeUtf8, parsePolicy, quote, utf8 } from "@tallystick/core";
import { newEventId, parseJson } from "@tallystick/events";
import { naming, readBounded, readStream } from "../bounded-file.ts";
import { type Command, EXIT, type ExitCode, type Invocation, type OptionSpec, UsageError } from "../command.ts";
import { commandLine } from "../command-line.ts";
import { type LoggedEntry, STATES, type State, loggedEntries } from "../log-answer.ts";
import { requestLog } from "../log-request.ts";
import { type ChosenTarget, LOG_OPTIONS, type Target, targetOf } from "../target.ts";
import { bold, dim } from "../terminal.ts";

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
const STANDARD_INPUT = "standard input";
const FIELD_NAMES = Object.keys(FIELDS);
/** More than a log takes in one request, in whatever way its JSON is written. */
const FILE_BYTES_MAX = 16 * 1024 * 1024;

export const submitCommand: Command = {
  name: "submit",
  summary: "sends events: one from options, or many from a file or standard input",
  usage: "[FILE | -] [--type TYPE --outcome OUTCOME --actor TYPE:ID …] [--wait STATE]",
  options: {
    ...LOG_OPTIONS,
    ...FIELDS,
    wait: {
      type: "string",
      value: "STATE",
      help: "durable, published or witnessed (by default the most that the log's policy can reach)",
    },
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
    const wanted = waitOf(invocation);
    const target = await targetOf(invocation, "writer");
    // To wait for what cannot come would be in vain.
    const isReachable = wanted !== "witnessed" || (await hasQuorum(target, invocation.signal));
    const reachable = isReachable ? wanted : "published";
    const answer = await requestLog(target, {
      path: `v1/events?wait=${reachable}`,
      method: "POST",
      contentType: "application/json",
      body: utf8(JSON.stringify(events.map(complete))),
      signal: invocation.signal,
    });
    const isAsked = invocation.text("wait") !== undefined;
    const wait = isAsked ? wanted : reachable;
    return show(invocation, { entries: loggedEntries(answer, events.length), wait, isReachable, target });
  },
};

/** @throws {UsageError} */
function waitOf({ text }: Invocation): State {
  const given = text("wait") ?? "witnessed";
  const wait = STATES.find((state) => state === given);
  if (wait !== undefined) return wait;
  throw new UsageError(`--wait: expected ${STATES.join(", ")}, got ${quote(given)}`);
}

/** Whether the policy that the log gives out asks for witnesses. Where it cannot be had, the log's answer will tell. */
async function hasQuorum(target: Target, signal: AbortSignal): Promise<boolean> {
  try {
    // It is public: no token is shown for it.
    const { body } = await requestLog({ ...target, token: undefined }, { path: "v1/policy", signal });
    return parsePolicy(body).quorum !== "none";
  } catch (error) {
    if (error instanceof TallystickError) return true;
    throw error;
  }
}

async function eventsOf({ words }: Invocation): Promise<readonly unknown[]> {
  const [path, ...more] = words;
  if (path === undefined || more.length > 0)
    throw new UsageError("expected --type, or one FILE, or - for standard input");
  const values = await readEvents(path);
  if (values.length === 0) throw new UsageError(`${path}: expected events, found none`);
  if (values.length > EVENTS_MAX)
    throw new UsageError(
      `${path}: expected at most ${EVENTS_MAX} events, found ${values.length}; tallystick import takes any number`,
    );
  return values;
}

/** @throws {TallystickError} `json-malformed`, `encoding-malformed`: bytes that are no text must not become other text. */
async function readEvents(path: string): Promise<readonly unknown[]> {
  const bytesMax = FILE_BYTES_MAX;
  if (path !== "-") return eventsIn(path, await readBounded(path, bytesMax));
  return eventsIn(STANDARD_INPUT, await readStream(process.stdin, { path: STANDARD_INPUT, bytesMax }));
}

function eventsIn(name: string, bytes: Uint8Array): readonly unknown[] {
  return naming(name, () => valuesOf(decodeUtf8(bytes)));
}

/** JSON lines where the first line is a value of its own and others follow; one value otherwise. */
function valuesOf(text: string): readonly unknown[] {
  const lines = [...text.split("\n").entries()].filter(([, line]) => line.trim() !== "");
  const [first, second] = lines;
  if (first === undefined) return [];
  if (second === undefined || !isJson(first[1])) return [parseJson(text)].flat();
  return lines.map(([at, line]) => lineValue(line, at));
}

function lineValue(line: string, at: number): unknown {
  try {
    return parseJson(line);
  } catch (error) {
    if (!(error instanceof TallystickError)) throw error;
    // Again, as far down as it stands: what is refused is named by its place in the file.
    return parseJson(`${"\n".repeat(at)}${line}`);
  }
}

function isJson(text: string): boolean {
  try {
    parseJson(text);
    return true;
  } catch (error) {
    if (error instanceof TallystickError) return false;
    throw error;
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
  throw new UsageError(`expected TYPE:ID, such as user:u_81, got ${quote(text)}`);
}

function complete(event: unknown): unknown {
  if (typeof event !== "object" || event === null || Array.isArray(event)) return event;
  const now = Date.now();
  return { id: newEventId(now, randomBytes(16)), time: now, ...event };
}

interface Logged {
  readonly entries: readonly LoggedEntry[];
  readonly wait: State;
  /** False where the log has no witnesses to wait for. */
  readonly isReachable: boolean;
  readonly target: ChosenTarget;
}

function show({ terminal }: Invocation, { entries, wait, isReachable, target }: Logged): ExitCode {
  for (const { id, index, loggedAt, state, duplicate } of entries) {
    terminal.line(
      bold(`index ${index}`),
      `  ${state}  logged ${loggedAt}  id ${id}${duplicate ? "  (was there already)" : ""}`,
    );
  }
  if (!isReachable) terminal.line("published is the most that this log reaches: its policy asks for no witness");
  const last = entries.at(-1);
  // Elsewhere the commands need a policy and an auditor's token, which are not known here.
  if (last !== undefined && last.state !== "durable" && target.isDev) {
    terminal.line(
      dim(
        `next: ${commandLine()} receipt ${last.index} --evidence && ${commandLine()} verify ${last.index}.evidence.json`,
      ),
    );
  }
  terminal.value(entries);
  const met = entries.every(({ state }) => STATES.indexOf(state) >= STATES.indexOf(wait));
  if (!met && wait === "witnessed" && !isReachable)
    terminal.trouble("logged, and never witnessed: this log's policy asks for no witness; --wait published is met");
  else if (!met)
    terminal.trouble(
      `logged, but not ${wait} in time; the receipt comes later: ${commandLine()} receipt ${last?.index ?? "INDEX"}`,
    );
  return met ? EXIT.ok : EXIT.unknown;
}
