import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { errorCode } from "../../../test/support/errors.ts";
import { EventError, JSON_DEPTH_MAX, parseJson } from "../src/index.ts";
import { scanJson } from "../src/json-scanner.ts";

function defectOf(text: string): string {
  try {
    parseJson(text);
  } catch (error) {
    if (error instanceof EventError) return error.message;
    throw error;
  }
  return "none";
}

describe("parseJson", () => {
  test.each([
    ['{"a":1,"a":1}', "line 1, column 8: a name stands twice in one object"],
    ['{"a":1,\n "b": {"c":1, "\\u0063":2}}', "line 2, column 15: a name stands twice in one object"],
    ['[{"a":1},{"a":1,"b":"a:","a":2}]', "line 1, column 26: a name stands twice in one object"],
    ['{"__proto__":1,"__proto__":2}', "line 1, column 16: a name stands twice in one object"],
    ["", "line 1, column 1: expected a value, got the end"],
    ["{", "line 1, column 2: expected a name in double quotes, got the end"],
    ['{"a"', "line 1, column 5: expected :, got the end"],
    ['{"a":', "line 1, column 6: expected a value, got the end"],
    ['{"a":1', "line 1, column 7: expected }, got the end"],
    ["[1,]", 'line 1, column 4: expected a value, got "]"'],
    ["[1 2]", 'line 1, column 4: expected ], got "2"'],
    ["{'a':1}", 'line 1, column 2: expected a name in double quotes, got "\'"'],
    ["\ufeff1", "line 1, column 1: expected a value, got U+FEFF"],
    ["01", 'line 1, column 2: expected the end, got "1"'],
    ["1.", 'line 1, column 2: expected the end, got "."'],
    ["+1", 'line 1, column 1: expected a value, got "+"'],
    ["NaN", 'line 1, column 1: expected a value, got "N"'],
    ['"\\x"', "line 1, column 2: an escape in a string is none of JSON's"],
    ['"\\u12"', "line 1, column 2: an escape in a string is none of JSON's"],
    ['"a\tb"', "line 1, column 3: a control character stands in a string"],
    ['"abc', "line 1, column 5: a string has no end"],
    ['{"a":1}\n{"b":1}', 'line 2, column 1: expected the end, got "{"'],
  ])("says where %j is not JSON", (text, message) => {
    expect(defectOf(text)).toBe(message);
  });

  test(`takes ${JSON_DEPTH_MAX} levels and refuses one more, however many there are`, () => {
    const nested = (levels: number): string => "[".repeat(levels) + "]".repeat(levels);
    expect(defectOf(nested(32))).toBe("none");
    expect(defectOf(nested(33))).toBe("line 1, column 33: expected at most 32 levels of arrays and objects");
    expect(defectOf(nested(200_000))).toContain("32 levels");
    expect(defectOf("[".repeat(200_000))).toContain("32 levels");
  });

  test("gives the place in details", () => {
    const details = { line: 3, column: 1, offset: 9 };
    expect(() => parseJson('{\n"a":1,\n"a":2}')).toThrow(expect.objectContaining({ code: "json-malformed", details }));
  });

  test("takes __proto__ for a name like any other", () => {
    expect(Object.keys(parseJson('{"__proto__":1,"a":2}') as object)).toEqual(["__proto__", "a"]);
  });

  test("reads the same names in different objects, colons in strings and escapes", () => {
    const text = '[{"a":":\\"::"},{"a":{"a":"\\\\"}},{"\\"":1,"b\\\\":2}]';
    expect(parseJson(text)).toEqual(JSON.parse(text));
  });

  test("reads what JSON.stringify writes", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5 }), fc.constantFrom(0, 1, 4), (value, space) => {
        const text = JSON.stringify(value, undefined, space);
        expect(parseJson(text)).toEqual(JSON.parse(text));
        expect(scanJson(text, JSON_DEPTH_MAX)).toBeUndefined();
      }),
    );
  });

  test("takes and refuses what the platform does, but for names that stand twice and depth", () => {
    const piece = fc.constantFrom(
      "{",
      "}",
      "[",
      "]",
      ":",
      ",",
      '"',
      '"a"',
      "1",
      "-",
      ".5",
      "e",
      "true",
      "nul",
      "\\",
      " ",
      "\n",
      "\u0000",
      "\ud800",
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const text = pieces.join("");
        const native = errorCode(() => JSON.parse(text)) === undefined;
        const own = errorCode(() => parseJson(text));
        expect([undefined, "json-malformed"]).toContain(own);
        expect(own === undefined || defectOf(text).includes("twice")).toBe(native);
      }),
      { numRuns: 2000 },
    );
  });

  test("refuses every object in which a name was written a second time", () => {
    const entry = fc.tuple(fc.string(), fc.jsonValue());
    fc.assert(
      fc.property(fc.array(entry, { minLength: 1, maxLength: 5 }), fc.nat(), (entries, at) => {
        const repeated = entries[at % entries.length] ?? ["", 0];
        const members = [...entries, repeated].map(
          ([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`,
        );
        expect(defectOf(`{${members.join()}}`)).toContain("twice");
      }),
    );
  });

  test("sees a name that stands twice however it is written, whatever its strings and white space look like", () => {
    const name = fc.constantFrom('"a"', '"\\u0061"', '"b"', '"a:"', '"\\":"', '" :"', '"__proto__"', '""', '"1"');
    const value = fc.constantFrom(
      "1",
      '"x:y"',
      '"\\":"',
      '" : "',
      '"a\\\\"',
      "[]",
      "null",
      "-0",
      "1e3",
      "123456789012345678901",
    );
    const space = fc.constantFrom("", "", " ", "\n", "\t ", "\r\n");
    const member = fc
      .tuple(space, name, space, space, value, space)
      .map(([a, name, b, c, value, d]) => `${a}${name}${b}:${c}${value}${d}`);
    const object = fc.array(member, { maxLength: 3 }).map((members) => `{${members.join(",")}}`);
    const text = fc
      .array(fc.tuple(name, object), { maxLength: 3 })
      .map((members) => `{${members.map(([name, inner]) => `${name}:${inner}`).join(",")}}`);
    let refused = 0;
    fc.assert(
      fc.property(fc.oneof(object, text), (text) => {
        const defect = scanJson(text, JSON_DEPTH_MAX);
        expect(defectOf(text).replace(/^line \d+, column \d+: /, "")).toBe(defect?.message ?? "none");
        expect(defect ?? parseJson(text)).toEqual(defect ?? JSON.parse(text));
        if (defect !== undefined) refused += 1;
      }),
      { numRuns: 2_000 },
    );
    expect(refused).toBeGreaterThan(200);
  });

  test("refuses a name twice and takes the rest also where somebody gave every object a property", () => {
    const everyObject = Object.getPrototypeOf({}) as { everywhere?: number };
    everyObject.everywhere = 1;
    let seen: unknown;
    try {
      seen = [JSON.stringify(parseJson('{"a":{"b":":"}}')), defectOf('{"a":1,"a":1}')];
    } finally {
      delete everyObject.everywhere;
    }
    expect(seen).toEqual(['{"a":{"b":":"}}', "line 1, column 8: a name stands twice in one object"]);
  });
});
