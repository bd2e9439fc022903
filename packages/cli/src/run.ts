/** Finds the command, runs it, and turns whatever it throws into words and an exit code. */
import { readFileSync } from "node:fs";
import { quote } from "@tallystick/core";
import {
  type Command,
  EXIT,
  type ExitCode,
  USAGE_CODE,
  UsageError,
  formatHelp,
  parseInvocation,
  usageFor,
} from "./command.ts";
import { allCommands, findCommand } from "./commands/index.ts";
import { describeFailure } from "./failure.ts";
import { type Streams, Terminal } from "./terminal.ts";

const HELP = ["help", "--help", "-h"];

/** Runs one command line. Never throws. */
export async function run(args: readonly string[], streams: Streams, signal: AbortSignal): Promise<ExitCode> {
  const end = args.indexOf("--");
  const options = end === -1 ? args : args.slice(0, end);
  const terminal = new Terminal(streams, options.includes("--json"));
  const [name, ...rest] = args;
  if (name === undefined) {
    for (const line of (await overview()).trimEnd().split("\n")) terminal.trouble(line);
    return EXIT.usage;
  }
  if (name === "--version") {
    terminal.write(`${version()}\n`);
    return EXIT.ok;
  }
  const asked = HELP.includes(name);
  const wanted = asked ? rest[0] : name;
  if (wanted === undefined) {
    terminal.write(await overview());
    return EXIT.ok;
  }
  const command = await findCommand(wanted);
  if (command === undefined) {
    const message = `there is no command ${quote(wanted)}; tallystick --help lists them`;
    terminal.trouble(`tallystick: ${message}`);
    terminal.value({ error: { code: USAGE_CODE, message } });
    return EXIT.usage;
  }
  if (asked || HELP.some((word) => word !== "help" && options.includes(word))) {
    terminal.write(formatHelp(command));
    return EXIT.ok;
  }
  try {
    return await command.run(parseInvocation(command, rest, { terminal, signal }));
  } catch (error) {
    return explain(error, { command, args: rest, terminal, signal });
  }
}

interface Circumstances {
  readonly command: Command;
  readonly args: readonly string[];
  readonly terminal: Terminal;
  readonly signal: AbortSignal;
}

function explain(error: unknown, { command, args, terminal, signal }: Circumstances): ExitCode {
  if (error instanceof UsageError) {
    terminal.trouble(`tallystick ${command.name}: ${error.message}`);
    terminal.trouble(`usage: tallystick ${command.name} ${usageFor(command, args)}`);
    terminal.value({ error: { code: USAGE_CODE, message: error.message } });
    return EXIT.usage;
  }
  if (signal.aborted) {
    terminal.trouble(`tallystick ${command.name}: stopped`);
    terminal.value({ error: { code: "stopped", message: "stopped" } });
    return EXIT.unknown;
  }
  const { code, message, more } = describeFailure(error);
  terminal.trouble(`tallystick ${command.name}: ${message}${code === undefined ? "" : ` (${code})`}`);
  for (const line of more) terminal.trouble(`  ${line}`);
  terminal.value({ error: { code: code ?? "internal", message } });
  return EXIT.unknown;
}

function version(): string {
  const text = readFileSync(new URL("../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { readonly version: string }).version;
}

async function overview(): Promise<string> {
  const commands = await allCommands();
  const width = Math.max(...commands.map(({ name }) => name.length));
  const lines = commands.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`);
  return [
    "tallystick COMMAND [options]: an audit log that nobody can alter unnoticed",
    "",
    ...lines,
    "",
    "tallystick COMMAND --help says more. Exit codes: 0 verified or done, 1 refuted, 2 cannot tell, 3 wrong usage.",
    "",
  ].join("\n");
}
