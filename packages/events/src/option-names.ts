/** Names of options, held against those that there are: a misspelt one would leave its default in force, unseen. */
import { nearest } from "./suggestion.ts";

/**
 * Refuses what has a name that no option has.
 *
 * @param path - Where the options stand: "" or such as "classes.high".
 * @throws {TypeError} `given` is no object, or has other names; the likely one is named.
 * @example
 * assertOptionNames("", { idle: "30m" }, { idle: true, absolute: true });
 */
export function assertOptionNames(path: string, given: unknown, names: Readonly<Record<string, true>>): void {
  const known = Object.keys(names);
  if (typeof given !== "object" || given === null || Array.isArray(given)) {
    // Not the value: who passes a token in the place of the options would find it in a log file.
    const got = given === null ? "null" : Array.isArray(given) ? "a list" : typeof given;
    throw new TypeError(`${path === "" ? "options" : path}: expected an object with ${known.join(", ")}, got ${got}`);
  }
  const other = Object.keys(given).find((name) => !Object.hasOwn(names, name));
  if (other === undefined) return;
  const meant = nearestOption(other, known);
  const hint = meant === undefined ? `expected ${known.join(", ")}` : `did you mean ${meant}?`;
  throw new TypeError(`${path === "" ? other : `${path}.${other}`}: no option has this name: ${hint}`);
}

function nearestOption(name: string, known: readonly string[]): string | undefined {
  const same = known.find((each) => each.toLowerCase() === name.toLowerCase());
  return same ?? (name.length > 40 ? undefined : nearest(name, known, name.length < 5 ? 1 : 2));
}
