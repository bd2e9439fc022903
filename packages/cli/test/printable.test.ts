import { styleText } from "node:util";
import { expect, test } from "vitest";
import { printable, printableLines } from "../src/printable.ts";

test.each([
  ["\u001B[2J", "\\u{1b}[2J"],
  ["a\nb", "a\\u{a}b"],
  ["\u009B1m", "\\u{9b}1m"],
  ["\u202Egnp.exe", "\\u{202e}gnp.exe"],
  ["\uD800", "\uFFFD"],
  ["Zoë 漢字 🔑", "Zoë 漢字 🔑"],
])("printable shows %j as %j", (text, shown) => {
  expect(printable(text)).toBe(shown);
});

test("printableLines leaves line ends and styles, and nothing else that steers", () => {
  const styled = styleText("bold", "VERIFIED", { validateStream: false });
  expect(printableLines(`${styled}\nnext`)).toBe(`${styled}\nnext`);
  expect(printableLines("\u001B[1A\u001B[2K\u001B]0;title\u0007")).toBe("\\u{1b}[1A\\u{1b}[2K\\u{1b}]0;title\\u{7}");
});
