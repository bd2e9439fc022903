/**
 * Puts the code of the packages on the simulated platform: what they import of Node for files, waits and randomness, and
 * of LevelDB for locks, comes from this folder instead. The code itself runs as it is.
 */
import { registerHooks } from "node:module";

const packages = new URL("../../../packages/", import.meta.url).href;

const replaced: ReadonlyMap<string, string> = new Map(
  Object.entries({
    "node:crypto": "./crypto.ts",
    "node:fs": "./fs.ts",
    "node:fs/promises": "./fs-promises.ts",
    "node:timers/promises": "./timers-promises.ts",
    level: "./level.ts",
  }).map(([specifier, file]) => [specifier, new URL(file, import.meta.url).href]),
);

registerHooks({
  resolve(specifier, context, next) {
    const url = context.parentURL?.startsWith(packages) === true ? replaced.get(specifier) : undefined;
    return next(url ?? specifier, context);
  },
});
