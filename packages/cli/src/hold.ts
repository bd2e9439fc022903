/** A legal hold in words. */
import { EXIT, type ExitCode, type Invocation } from "./command.ts";
import type { Answered, Hold } from "./disposition-answer.ts";
import { bold } from "./terminal.ts";

/** `word`: whether it was set or lifted. */
export function showHold(
  { terminal }: Invocation,
  { value, known }: Answered<Hold>,
  word: "HOLDS" | "LIFTED",
): ExitCode {
  terminal.line(bold(word), `  ${describeHold(known)}`);
  terminal.line(`  id  ${known.id}`);
  terminal.value(value);
  return EXIT.ok;
}

export function describeHold({ case: name, ofPerson, selectors, setBy, setAt, setIndex, lifted }: Hold): string {
  const what = [...(ofPerson ? ["a person"] : []), ...selectors].join(", ");
  const end = lifted === undefined ? "" : `; lifted ${lifted.at} by ${lifted.by}`;
  return `case ${name}: ${what}; set ${setAt} by ${setBy}, index ${setIndex}${end}`;
}
