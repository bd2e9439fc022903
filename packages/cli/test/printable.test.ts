import { styleText } from "node:util";
import { expect, test } from "vitest";
import { printable, printableJson, printableLines } from "../src/printable.ts";

test.each([
  ["\u001B[2J", "\\u{1b}[2J"],
  ["a\nb", "a\\u{a}b"],
  ["a\rb", "a\\u{d}b"],
  ["\u007F\u0008", "\\u{7f}\\u{8}"],
  ["\u009B1m", "\\u{9b}1m"],
  ["\u202Egnp.exe", "\\u{202e}gnp.exe"],
  ["\u061C\u2067", "\\u{61c}\\u{2067}"],
  ["\uD800", "\uFFFD"],
  ["Zoë 漢字 🔑", "Zoë 漢字 🔑"],
])("printable shows %j as %j", (text, shown) => {
  expect(printable(text)).toBe(shown);
});

test("printableLines leaves line ends, and nothing that steers or hides", () => {
  expect(printableLines("one\ntwo\n")).toBe("one\ntwo\n");
  expect(printableLines("\u001B[1A\u001B[2K\u001B]0;title\u0007")).toBe("\\u{1b}[1A\\u{1b}[2K\\u{1b}]0;title\\u{7}");
  const hidden = styleText("hidden", "x", { validateStream: false });
  expect(printableLines(hidden)).toBe("\\u{1b}[8mx\\u{1b}[28m");
});

test("printableJson says the same value without a steering character", () => {
  const value = { "\u009B2J": ["\u202E\u2028", "\u001B", "Zoë 🔑"] };
  const shown = printableJson(JSON.stringify(value));
  expect(shown).toBe('{"\\u009b2J":["\\u202e\\u2028","\\u001b","Zoë 🔑"]}');
  expect(JSON.parse(shown)).toEqual(value);
});
