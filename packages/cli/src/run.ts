/** Finds the command, runs it, and turns whatever it throws into words and an exit code. */
import { readFileSync } from "node:fs";
import { type Command, EXIT, type ExitCode, UsageError, formatHelp, parseInvocation } from "./command.ts";
import { COMMANDS } from "./commands/index.ts";
import { describeFailure } from "./failure.ts";
import { type Streams, Terminal } from "./terminal.ts";

const HELP = ["help", "--help", "-h"];

/** Runs one command line. Never throws. */
export async function run(args: readonly string[], streams: Streams, signal: AbortSignal): Promise<ExitCode> {
  const terminal = new Terminal(streams, args.includes("--json"));
  const [name, ...rest] = args;
  if (name === undefined) {
    terminal.trouble(overview().trimEnd());
    return EXIT.usage;
  }
  if (name === "--version") {
    terminal.write(`${version()}\n`);
    return EXIT.ok;
  }
  const asked = HELP.includes(name);
  const wanted = asked ? rest[0] : name;
  if (wanted === undefined) {
    terminal.write(overview());
    return EXIT.ok;
  }
  const command = COMMANDS.find((known) => known.name === wanted);
  if (command === undefined) {
    terminal.trouble(`tallystick: there is no command ${JSON.stringify(wanted)}; tallystick --help lists them`);
    return EXIT.usage;
  }
  if (asked || HELP.some((word) => word !== "help" && rest.includes(word))) {
    terminal.write(formatHelp(command));
    return EXIT.ok;
  }
  try {
    return await command.run(parseInvocation(command, rest, { terminal, signal }));
  } catch (error) {
    return explain(error, { command, terminal, signal });
  }
}

interface Circumstances {
  readonly command: Command;
  readonly terminal: Terminal;
  readonly signal: AbortSignal;
}

function explain(error: unknown, { command, terminal, signal }: Circumstances): ExitCode {
  if (error instanceof UsageError) {
    terminal.trouble(
      `tallystick ${command.name}: ${error.message}\nusage: tallystick ${command.name} ${command.usage}`,
    );
    return EXIT.usage;
  }
  if (signal.aborted) {
    terminal.trouble(`tallystick ${command.name}: stopped`);
    return EXIT.unknown;
  }
  const { code, message, wayOut } = describeFailure(error);
  const next = wayOut === undefined ? "" : `\n  ${wayOut}`;
  terminal.trouble(`tallystick ${command.name}: ${message}${code === undefined ? "" : ` (${code})`}${next}`);
  terminal.value({ error: { code: code ?? "internal", message } });
  return EXIT.unknown;
}

function version(): string {
  const text = readFileSync(new URL("../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { readonly version: string }).version;
}

function overview(): string {
  const width = Math.max(...COMMANDS.map(({ name }) => name.length));
  const lines = COMMANDS.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`);
  return [
    "tallystick COMMAND [options]: an audit log that nobody can alter unnoticed",
    "",
    ...lines,
    "",
    "tallystick COMMAND --help says more. Exit codes: 0 verified or done, 1 refuted, 2 cannot tell, 3 wrong usage.",
    "",
  ].join("\n");
}
