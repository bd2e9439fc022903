/**
 * Runs seeds by name: `npm run simulate -- --seeds 1000 --from 1`. With `--stop` no more after one that failed, with
 * `--trace` each step, with `--json` a line for each seed, with `--bug NAME` a fault that must be found.
 */
import { parseArgs } from "node:util";
import "./platform/hooks.ts";

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "200" },
    from: { type: "string", default: "1" },
    bug: { type: "string" },
    stop: { type: "boolean", default: false },
    trace: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
  },
});

const { installGlobals } = await import("./platform/globals.ts");
const { currentWorld } = await import("./engine/world.ts");
const { simulate } = await import("./simulate.ts");
installGlobals();
// Would end the program of whichever host it came from.
process.on("unhandledRejection", (error) => currentWorld().fail(error));
process.exitCode = await simulate({
  first: numberOf("from", values.from),
  count: numberOf("seeds", values.seeds),
  bug: values.bug,
  stopsAtFailure: values.stop,
  isTraced: values.trace,
  isJson: values.json,
});

function numberOf(name: string, text: string): number {
  const number = Number(text);
  if (Number.isSafeInteger(number) && number >= 0) return number;
  throw new RangeError(`--${name}: expected a whole number, got ${text}`);
}
