/** An erasure in words: how far it is, what of it is gone, and what stays. Waiting until its key is destroyed. */
import { EXIT, type ExitCode, type Invocation, type OptionSpec, wholeNumber } from "./command.ts";
import { commandLine } from "./command-line.ts";
import { type Answered, type Destruction, destructionIn } from "./disposition-answer.ts";
import { requestLog } from "./log-request.ts";
import type { Target } from "./target.ts";
import { bold, dim } from "./terminal.ts";
import { plural } from "./words.ts";

const WAIT_DEFAULT_SECONDS = 10;
/** One request waits at most as long as the log allows. */
const WAIT_STEP_MS = 20_000;

export const WAIT_OPTION: Readonly<Record<"wait", OptionSpec>> = {
  wait: {
    type: "string",
    value: "SECONDS",
    help: `of an erasure, until the key is destroyed: ${WAIT_DEFAULT_SECONDS} by default, 0 not at all`,
  },
};

/** In seconds. @throws {UsageError} */
export function waitOf({ text }: Invocation): number {
  return wholeNumber(text("wait") ?? String(WAIT_DEFAULT_SECONDS), "--wait");
}

export interface OrderedErasure {
  readonly target: Target;
  readonly ordered: Answered<Destruction>;
  /** How long to wait; 0 not at all. */
  readonly seconds: number;
}

/** Waits until an erasure is done, and says how far it is then. */
export async function showWhenDone(
  invocation: Invocation,
  { target, ordered, seconds }: OrderedErasure,
): Promise<ExitCode> {
  const reached = await waitUntilDone(target, ordered, { seconds, signal: invocation.signal });
  const code = showErasure(invocation, reached);
  return seconds > 0 && reached.known.state !== "done" ? EXIT.unknown : code;
}

async function waitUntilDone(
  target: Target,
  ordered: Answered<Destruction>,
  { seconds, signal }: { readonly seconds: number; readonly signal: AbortSignal },
): Promise<Answered<Destruction>> {
  const deadline = performance.now() + seconds * 1000;
  let reached = ordered;
  for (;;) {
    const left = Math.ceil(Math.min(deadline - performance.now(), WAIT_STEP_MS));
    if (reached.known.state !== "ordered" || left <= 0) return reached;
    const path = `v1/erasures/${reached.known.request}?timeout=${left}`;
    reached = destructionIn(await requestLog(target, { path, signal }));
  }
}

const STATES: Readonly<Record<Destruction["state"], (what: string) => string>> = {
  held: () => "a legal hold stops it; lifting the hold carries it out",
  ordered: (what) => `${what} can be read; the key is destroyed once the order is witnessed`,
  done: (what) => `${what} can be read; the key is destroyed`,
};

/** Says what is gone, and what stays and why. Held is not done: exit code 2. */
export function showErasure({ terminal }: Invocation, { value, known }: Answered<Destruction>): ExitCode {
  const { request, ground, state, ordered, done, finalOn, scope, kept } = known;
  terminal.line(bold(state.toUpperCase()), `  ${STATES[state](whatIsGone(known))}`);
  terminal.line(`  request      ${request}`);
  terminal.line(`  ground       ${ground}`);
  if (scope !== undefined)
    terminal.line(`  scope        class ${scope.class} of ${scope.day}, ${plural(scope.count, "entry", "entries")}`);
  if (ordered.length > 0) terminal.line(`  certificate  ${describeIndexes(ordered, done)}`);
  if (finalOn !== undefined)
    terminal.line(`  final on     ${finalOn}: until then backups of the key store may hold the key`);
  for (const { class: name, count } of kept)
    terminal.line(`  kept         ${count} of class ${name}: ${whyKept(known)}`);
  if (ordered.length > 0) terminal.line(dim(`next: ${commandLine()} erase certificate ${request}`));
  terminal.value(value);
  return state === "held" ? EXIT.unknown : EXIT.ok;
}

function whatIsGone({ kept }: Destruction): string {
  if (kept.length === 0) return "nothing of it";
  const count = kept.reduce((sum, each) => sum + each.count, 0);
  return `but for ${plural(count, "entry", "entries")} that had to be kept, nothing of it`;
}

/** A person's entries are kept for a duty only, as a hold stops the whole erasure; those of a class-day for a hold only. */
function whyKept({ scope }: Destruction): string {
  return scope === undefined
    ? "a duty keeps them readable until their time is over (erase: at-expiry)"
    : "a legal hold keeps them readable until it is lifted";
}

function describeIndexes(ordered: readonly number[], done: number | undefined): string {
  const order = `index ${ordered.join(", ")} orders it`;
  return done === undefined ? order : `${order}, index ${done} says that it is done`;
}
