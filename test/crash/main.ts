/**
 * Kills as many processes as the first argument or TALLYSTICK_KILLS says, 1000 by default, at moments of the seed that is
 * the second argument, 1 by default; says what was held against what.
 */
import { runKills } from "./kill-run.ts";

const TELL_EVERY = 50;
const kills = wholeNumber("how many kills", process.argv[2] ?? process.env["TALLYSTICK_KILLS"] ?? "1000");
const seed = wholeNumber("a seed", process.argv[3] ?? "1");
const startedMs = performance.now();
const summary = await runKills({ kills, seed, onKill });
const seconds = Math.round((performance.now() - startedMs) / 1000);
process.stdout.write(`${JSON.stringify({ ...summary, seconds }, undefined, 2)}\n`);

function onKill(count: number): void {
  const seconds = Math.round((performance.now() - startedMs) / 1000);
  if (count % TELL_EVERY === 0) process.stderr.write(`${count} of ${kills} after ${seconds} s\n`);
}

function wholeNumber(what: string, text: string): number {
  const number = Number(text);
  if (Number.isSafeInteger(number) && number >= 1) return number;
  throw new RangeError(`expected ${what}, got ${text}`);
}
