/** Runs seeds by name: `npm run simulate -- --seeds 1000 --from 1`, with `--bug NAME` or, for one seed, `--trace`. */
import { parseArgs } from "node:util";
import "./platform/hooks.ts";

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "200" },
    from: { type: "string", default: "1" },
    bug: { type: "string" },
    trace: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
  },
});

const { installGlobals } = await import("./platform/globals.ts");
const { simulate } = await import("./simulate.ts");
installGlobals();
process.exitCode = await simulate({
  first: numberOf("from", values.from),
  count: numberOf("seeds", values.seeds),
  bug: values.bug,
  isTraced: values.trace,
  isJson: values.json,
});

function numberOf(name: string, text: string): number {
  const number = Number(text);
  if (Number.isSafeInteger(number) && number >= 0) return number;
  throw new RangeError(`--${name}: expected a whole number, got ${text}`);
}
