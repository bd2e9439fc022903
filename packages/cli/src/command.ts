/** What a command is: a name, its words and options, and a function that calls the library and says how it went. */
import { type ParseArgsConfig, parseArgs } from "node:util";
import type { Terminal } from "./terminal.ts";

/** 0 verified or done, 1 refuted, 2 cannot tell or failed, 3 wrong usage. */
export type ExitCode = 0 | 1 | 2 | 3;
export const EXIT: Readonly<Record<"ok" | "refuted" | "unknown" | "usage", ExitCode>> = {
  ok: 0,
  refuted: 1,
  unknown: 2,
  usage: 3,
};

export interface OptionSpec {
  readonly type: "string" | "boolean";
  readonly multiple?: boolean;
  readonly short?: string;
  /** What stands for the value in the help: `FILE`, say. */
  readonly value?: string;
  readonly help: string;
}

export interface Invocation {
  readonly words: readonly string[];
  readonly terminal: Terminal;
  /** Ends at Ctrl-C or SIGTERM. */
  readonly signal: AbortSignal;
  readonly text: (option: string) => string | undefined;
  readonly texts: (option: string) => readonly string[];
  readonly flag: (option: string) => boolean;
}

export interface Command {
  readonly name: string;
  readonly summary: string;
  /** What follows the name: `FILE [--policy FILE]`. */
  readonly usage: string;
  /** Of each subcommand, its name first, where wrong usage of one would be lost among those of the others. */
  readonly usages?: readonly string[];
  readonly options: Readonly<Record<string, OptionSpec>>;
  /** Lines after the options: an example, what the exit codes mean. */
  readonly notes?: readonly string[];
  readonly run: (invocation: Invocation) => Promise<ExitCode>;
}

/** The code of a `UsageError` in JSON. */
export const USAGE_CODE = "usage";

/** The caller typed something that the command cannot take. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** Every command has these two. */
const COMMON: Readonly<Record<string, OptionSpec>> = {
  json: { type: "boolean", help: "print one JSON value instead of text" },
  help: { type: "boolean", short: "h", help: "print this and stop" },
};

/** @throws {UsageError} An option that is not known, or without its value. */
export function parseInvocation(
  command: Command,
  args: readonly string[],
  surroundings: Pick<Invocation, "terminal" | "signal">,
): Invocation {
  const { values, positionals } = parseOptions(command, args);
  const all = (option: string): readonly unknown[] => {
    const value = values[option];
    return Array.isArray(value) ? value : value === undefined ? [] : [value];
  };
  const texts = (option: string): readonly string[] => all(option).filter((value) => typeof value === "string");
  return {
    ...surroundings,
    words: positionals,
    texts,
    text: (option) => texts(option).at(-1),
    flag: (option) => all(option).includes(true),
  };
}

function parseOptions(
  command: Command,
  args: readonly string[],
): { values: Readonly<Record<string, unknown>>; positionals: readonly string[] } {
  const options: NonNullable<ParseArgsConfig["options"]> = {};
  for (const [name, { type, multiple = false, short }] of Object.entries({ ...COMMON, ...command.options })) {
    options[name] = { type, multiple, ...(short === undefined ? {} : { short }) };
  }
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true, strict: true });
  } catch (cause) {
    throw new UsageError(cause instanceof Error ? firstSentence(cause.message) : String(cause), { cause });
  }
}

function firstSentence(text: string): string {
  const end = text.indexOf(". ");
  return end === -1 ? text : text.slice(0, end);
}

/** The usage of the subcommand that `args` name; of the whole command where they name none. */
export function usageFor({ usage, usages = [] }: Command, args: readonly string[]): string {
  const own = usages.find((each) => args.includes(each.split(" ", 1)[0] ?? ""));
  return own ?? usage;
}

/** The help of one command. */
export function formatHelp(command: Command): string {
  const rows = Object.entries({ ...command.options, ...COMMON }).map(([name, { value, help, short }]) => {
    const flag = `--${name}${value === undefined ? "" : ` ${value}`}${short === undefined ? "" : `, -${short}`}`;
    return [flag, help] as const;
  });
  const width = Math.max(...rows.map(([flag]) => flag.length));
  const lines = rows.map(([flag, help]) => `  ${flag.padEnd(width)}  ${help}`);
  const notes = command.notes === undefined ? [] : ["", ...command.notes];
  return [
    ...(command.usages ?? [command.usage]).map((usage) => `tallystick ${command.name} ${usage}`.trimEnd()),
    "",
    command.summary,
    "",
    ...lines,
    ...notes,
    "",
  ].join("\n");
}

/** `--profile`: what must hold before a server or a witness starts. */
export const PROFILE_OPTION: Readonly<Record<"profile", OptionSpec>> = {
  profile: {
    type: "string",
    value: "production",
    help: "serve only if everything is there that production needs; else say what is missing",
  },
};

/** @throws {UsageError} */
export function profileOf(invocation: Invocation): { profile?: "production" } {
  const profile = invocation.text("profile");
  if (profile === undefined) return {};
  if (profile !== "production") throw new UsageError(`--profile: expected production, got ${JSON.stringify(profile)}`);
  return { profile };
}

/** The one word that a command takes. @throws {UsageError} None, or more than one. */
export function onlyWord(words: readonly string[], what: string): string {
  const [word, ...rest] = words;
  if (word !== undefined && rest.length === 0) return word;
  throw new UsageError(`expected ${what}, got ${words.length === 0 ? "nothing" : words.join(" ")}`);
}

/** @throws {UsageError} There are words, where a command takes options only. */
export function noWords(words: readonly string[]): void {
  if (words.length > 0) throw new UsageError(`expected options only, got ${JSON.stringify(words.join(" "))}`);
}

/** A decimal number that stands for a count, an index or a size. @throws {UsageError} */
export function wholeNumber(text: string, what: string): number {
  const value = Number(text);
  if (/^(0|[1-9]\d*)$/.test(text) && Number.isSafeInteger(value)) return value;
  throw new UsageError(`${what}: expected a whole number, got ${JSON.stringify(text)}`);
}
