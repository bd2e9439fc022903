/** Rules that hold in a log, what others change of them, and that others hold from now on. */
import type { Exchange } from "@tallystick/client";
import { type DescribedChange, type Rules, parseRules, rulesDigest } from "@tallystick/log";
import { EXIT, type ExitCode, type Invocation } from "./command.ts";
import { indexOf, jsonOf, malformed, objectOf, textOf } from "./log-answer.ts";
import { requestLog } from "./log-request.ts";
import type { Target } from "./target.ts";
import { bold, dim } from "./terminal.ts";

export interface RulesText {
  /** The file, or what stands for its name. */
  readonly path: string;
  readonly text: string;
  readonly digest: string;
}

export interface RulesFile extends RulesText {
  readonly rules: Rules;
}

/** `index`: of the `log.rules` entry; none before the first. */
type WithIndex<T> = T & { readonly index: number | undefined };

/**
 * The rules that hold, as the log tells them.
 *
 * @throws {ClientError} `log-answer-malformed`: also where the digest is of another text.
 */
export async function rulesTextInForce(target: Target, signal: AbortSignal): Promise<WithIndex<RulesText>> {
  const answer = objectOf(jsonOf(await requestLog(target, { path: "v1/rules", signal })), "rules");
  const [text, digest] = [textOf(answer["text"], "rules: text"), textOf(answer["digest"], "rules: digest")];
  if (rulesDigest(Buffer.from(text)) !== digest) throw malformed("rules: the digest is that of another text");
  const index = answer["index"] === undefined ? undefined : indexOf(answer["index"], "rules: index");
  return { path: "the rules in force", text, digest, index };
}

/** As {@link rulesTextInForce}, understood. @throws {LogError} `rules-malformed`: not by this version. */
export async function rulesInForce(target: Target, signal: AbortSignal): Promise<WithIndex<RulesFile>> {
  const { index, path, text } = await rulesTextInForce(target, signal);
  return { ...rulesNamed(path, text), index };
}

/**
 * Rules that were approved once, by the digest in their `log.rules` entry.
 *
 * @throws {ClientError} `log-answer-malformed`: also where they are others. @throws {LogError} `rules-malformed`
 */
export async function rulesApproved(target: Target, digest: string, signal: AbortSignal): Promise<RulesFile> {
  const answer = objectOf(jsonOf(await requestLog(target, { path: `v1/rules/${digest}`, signal })), "rules");
  const text = textOf(answer["text"], "rules: text");
  if (rulesDigest(Buffer.from(text)) !== digest) throw malformed("rules: the text is not that of the digest");
  return rulesNamed(`the rules of digest ${digest}`, text);
}

/** @throws {LogError} `rules-malformed` */
export function rulesNamed(path: string, text: string): RulesFile {
  return { path, text, digest: rulesDigest(Buffer.from(text)), rules: parseRules(text, { where: path }) };
}

/** What a command's value says of a file. */
export function toldOf({ path, digest }: RulesText): { readonly file: string; readonly digest: string } {
  return { file: path, digest };
}

export function showChanges({ terminal }: Invocation, changes: readonly DescribedChange[]): void {
  if (changes.length === 0) terminal.line("nothing changes");
  for (const { words, warning } of changes) {
    terminal.line(words);
    if (warning !== undefined) terminal.line(dim(`  note: ${warning}`));
  }
}

export interface Applied {
  readonly file: RulesText;
  readonly answer: Exchange;
  readonly changes: readonly DescribedChange[];
}

/** Says that other rules hold now. @throws {ClientError} `log-answer-malformed`: also where it is of another text. */
export function showApplied({ terminal }: Invocation, { file, answer, changes }: Applied): ExitCode {
  const applied = objectOf(jsonOf(answer), "answer");
  const index = indexOf(applied["index"], "answer: index");
  if (textOf(applied["digest"], "answer: digest") !== file.digest)
    throw malformed("answer: the digest is that of another text");
  terminal.line(bold("APPLIED"), `  ${file.path}, SHA-256 ${file.digest}, logged at index ${index}`);
  terminal.value({ ...toldOf(file), index, changes });
  return EXIT.ok;
}
