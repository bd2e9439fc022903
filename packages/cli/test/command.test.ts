import { type Command, allCommands, formatHelp } from "@tallystick/cli";
import { describe, expect, test } from "vitest";
import { UsageError, noWords, onlyWord, parseInvocation, wholeNumber } from "../src/command.ts";
import { Terminal } from "../src/terminal.ts";

const COMMANDS = await allCommands();

const command: Command = {
  name: "try",
  summary: "tries",
  usage: "FILE [--many X]… [--one X] [--flag]",
  options: {
    many: { type: "string", multiple: true, value: "X", help: "several" },
    one: { type: "string", value: "X", help: "one" },
    flag: { type: "boolean", help: "yes" },
  },
  run: async () => 0,
};

function parse(...args: string[]): ReturnType<typeof parseInvocation> {
  const terminal = new Terminal({ out: process.stdout, err: process.stderr }, false);
  return parseInvocation(command, args, { terminal, signal: new AbortController().signal });
}

describe("parseInvocation", () => {
  test("gives words, texts and flags", () => {
    const invocation = parse("a", "--many", "1", "--many=2", "b", "--flag");
    expect(invocation.words).toEqual(["a", "b"]);
    expect(invocation.texts("many")).toEqual(["1", "2"]);
    expect(invocation.text("one")).toBeUndefined();
    expect([invocation.flag("flag"), invocation.flag("json")]).toEqual([true, false]);
  });

  test("takes what follows -- as words", () => {
    expect(parse("--", "--flag").words).toEqual(["--flag"]);
  });

  test.each([["--unknown"], ["--one"], ["--flag=yes"], ["-x"]])("refuses %s", (...args) => {
    expect(() => parse(...args)).toThrow(UsageError);
  });
});

describe("words and numbers", () => {
  test("onlyWord takes one word", () => {
    expect(onlyWord(["a"], "one FILE")).toBe("a");
    expect(() => onlyWord([], "one FILE")).toThrow("expected one FILE, got nothing");
    expect(() => onlyWord(["a", "b"], "one FILE")).toThrow("expected one FILE, got a b");
  });

  test("noWords takes none", () => {
    expect(() => noWords([])).not.toThrow();
    expect(() => noWords(["a"])).toThrow('expected options only, got "a"');
  });

  test.each(["0", "7", "9007199254740991"])("wholeNumber takes %s", (text) => {
    expect(wholeNumber(text, "N")).toBe(Number(text));
  });

  test.each(["", "-1", "01", "1e3", "0x10", " 1", "1.0", "9007199254740992", "one"])(
    "wholeNumber refuses %j",
    (text) => {
      expect(() => wholeNumber(text, "N")).toThrow(/^N: expected a whole number, got /);
    },
  );
});

describe("the help", () => {
  test.each(COMMANDS.map(({ name }) => name))("of %s has its summary and every option, in lines that fit", (name) => {
    const known = COMMANDS.find((each) => each.name === name);
    if (known === undefined) throw new Error(`no command ${name}`);
    const help = formatHelp(known);
    expect(help.startsWith(`tallystick ${name}`)).toBe(true);
    expect(help).toContain(`\n${known.summary}\n`);
    for (const option of [...Object.keys(known.options), "json", "help"]) expect(help).toContain(`  --${option}`);
    for (const line of help.split("\n")) expect(line.length).toBeLessThanOrEqual(160);
  });
});
