/** Kills as many processes as the first argument or TALLYSTICK_KILLS says, 1000 by default, and says what was held against what. */
import { runKills } from "./kill-run.ts";

const kills = Number(process.argv[2] ?? process.env["TALLYSTICK_KILLS"] ?? 1000);
if (!Number.isSafeInteger(kills) || kills < 1) throw new RangeError(`expected how many kills, got ${process.argv[2]}`);
const startedMs = performance.now();
const summary = await runKills({ kills });
const seconds = Math.round((performance.now() - startedMs) / 1000);
process.stdout.write(`${JSON.stringify({ ...summary, seconds }, undefined, 2)}\n`);
