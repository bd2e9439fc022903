/** What holds for whatever a command prints, however it ends. */
import { expect } from "vitest";
import type { Ran } from "./run-here.ts";

/** Everything but line ends that a terminal would obey. */
const STEERING = /(?!\n)[\p{Cc}\u2028\u2029\u061C\u200E\u200F\u202A-\u202E\u2066-\u2069]/u;
const STACK = /\n\s+at .*:\d+|TypeError|RangeError|ReferenceError|SyntaxError|\[object |function |internal error/;

/** No stack trace, no error of our own making, nothing that steers a terminal, and none of these secrets. */
export function expectClean({ out, err }: Omit<Ran, "code">, secrets: readonly string[] = []): void {
  for (const text of [out, err]) {
    expect(text).not.toMatch(STEERING);
    expect(text).not.toMatch(STACK);
    for (const secret of secrets) expect(text).not.toContain(secret);
  }
}

/** A clean failure: its code, one line that tells of it on stderr (and perhaps ways out), and one JSON value. */
export function expectFailure(ran: Ran, code: 2 | 3, command: string): void {
  expectClean(ran);
  expect({ code: ran.code, err: ran.err }).toEqual({
    code,
    err: expect.stringMatching(new RegExp(`^tallystick ${command}: [^\n]+\n(usage: |  |$)`)),
  });
  expect(ran.err.length).toBeLessThan(4000);
}
