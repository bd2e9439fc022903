import { Writable } from "node:stream";
import { Terminal } from "@tallystick/cli";
import { describe, expect, test } from "vitest";
import { bold, dim } from "../src/terminal.ts";

const BOLD = "\u001B[1mVERIFIED\u001B[22m";

function open({ isTTY = false, json = false }: { readonly isTTY?: boolean; readonly json?: boolean } = {}): {
  readonly terminal: Terminal;
  readonly printed: { out: string; err: string };
} {
  const printed = { out: "", err: "" };
  const stream = (name: "out" | "err"): Writable & { isTTY: boolean } =>
    Object.assign(
      new Writable({
        write: (part, _encoding, done) => {
          printed[name] += String(part);
          done();
        },
      }),
      { isTTY },
    );
  return { terminal: new Terminal({ out: stream("out"), err: stream("err") }, json), printed };
}

describe("a line", () => {
  test("is styled on a terminal only", () => {
    const [there, elsewhere] = [open({ isTTY: true }), open()];
    for (const { terminal } of [there, elsewhere]) terminal.line(bold("VERIFIED"), "  a ", dim("b"));
    expect(there.printed.out).toBe(`${BOLD}  a \u001B[2mb\u001B[22m\n`);
    expect(elsewhere.printed.out).toBe("VERIFIED  a b\n");
  });

  test("is one line in our own style, whatever others write into it", () => {
    const { terminal, printed } = open({ isTTY: true });
    terminal.line("by user:x\n", BOLD, bold("\u001B[8m"));
    expect(printed.out).toBe("by user:x\\u{a}\\u{1b}[1mVERIFIED\\u{1b}[22m\u001B[1m\\u{1b}[8m\u001B[22m\n");
    terminal.trouble("a\nVERIFIED");
    expect(printed.err).toBe("a\\u{a}VERIFIED\n");
  });

  test("is not there where JSON was asked for, and JSON is not there otherwise", () => {
    const [json, text] = [open({ json: true }), open()];
    for (const { terminal } of [json, text]) {
      terminal.line("a");
      terminal.value({ a: 1 });
    }
    expect([json.printed.out, text.printed.out]).toEqual(['{"a":1}\n', "a\n"]);
  });
});

test("a value holds bytes as base64, bigints as text and maps as objects", () => {
  const { terminal, printed } = open({ json: true });
  terminal.value({ bytes: Uint8Array.of(1, 2), size: 2n ** 63n, map: new Map([["__proto__", 1]]), text: "\u009B" });
  expect(printed.out).toBe('{"bytes":"AQI=","size":"9223372036854775808","map":{"__proto__":1},"text":"\\u009b"}\n');
});

test("a record of a log is JSON on stderr, and steers nothing", () => {
  const { terminal, printed } = open({ isTTY: true });
  terminal.record({ message: "\u009B2J\n" });
  expect(printed).toEqual({ out: "", err: '{"message":"\\u009b2J\\n"}\n' });
});

test("what is written reaches a program as it is, and a person without what steers a terminal", () => {
  const [program, person] = [open(), open({ isTTY: true })];
  for (const { terminal } of [program, person]) terminal.write("— w\u009B2J AAAA\n");
  expect(program.printed.out).toBe("— w\u009B2J AAAA\n");
  expect(person.printed.out).toBe("— w\\u{9b}2J AAAA\n");
});

describe("progress", () => {
  test("is drawn on a terminal, and wiped before anything else is printed", () => {
    const { terminal, printed } = open({ isTTY: true });
    terminal.progress("audit", 1, 2);
    expect(printed.err).toMatch(/^\raudit █+░+ {2}50 % 1\/2$/);
    terminal.line("done");
    expect(printed.err.endsWith("\r\u001B[K")).toBe(true);
  });

  test("is not drawn elsewhere, nor beside JSON", () => {
    const [elsewhere, json] = [open(), open({ isTTY: true, json: true })];
    for (const { terminal } of [elsewhere, json]) terminal.progress("audit", 1, 2);
    expect([elsewhere.printed.err, json.printed.err]).toEqual(["", ""]);
  });
});
