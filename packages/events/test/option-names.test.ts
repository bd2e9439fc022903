import { describe, expect, test } from "vitest";
import { assertOptionNames } from "../src/index.ts";

const NAMES = { idle: true, absolute: true, maxAge: true } as const;

describe("assertOptionNames", () => {
  test("takes any of the names, and none", () => {
    expect(() => assertOptionNames("", {}, NAMES)).not.toThrow();
    expect(() => assertOptionNames("", { idle: undefined, maxAge: 1 }, NAMES)).not.toThrow();
  });

  test.each([
    ["", "idel", "idel: no option has this name: did you mean idle?"],
    ["classes.high", "absolut", "classes.high.absolut: no option has this name: did you mean absolute?"],
    ["reauth", "maxage", "reauth.maxage: no option has this name: did you mean maxAge?"],
    ["", "store", "store: no option has this name: expected idle, absolute, maxAge"],
    ["", "constructor", "constructor: no option has this name: expected idle, absolute, maxAge"],
    ["", "i".repeat(100_000), "no option has this name"],
  ])("refuses in %j the name %.20s", (path, name, message) => {
    expect(() => assertOptionNames(path, { [name]: "5m" }, NAMES)).toThrow(TypeError);
    expect(() => assertOptionNames(path, { [name]: "5m" }, NAMES)).toThrow(message);
  });

  test.each([
    ["tsk_secret", "string"],
    [["tsk_secret"], "a list"],
    [null, "null"],
    [undefined, "undefined"],
  ])("refuses %j in the place of options, and does not repeat it", (given, got) => {
    const assert = (): void => assertOptionNames("high", given, NAMES);
    expect(assert).toThrow(new TypeError(`high: expected an object with idle, absolute, maxAge, got ${got}`));
  });
});
