/** Finds the command, runs it, and turns whatever it throws into words and an exit code. */
import { TallystickError } from "@tallystick/core";
import { type Command, EXIT, type ExitCode, UsageError, formatHelp, parseInvocation } from "./command.ts";
import { COMMANDS } from "./commands/index.ts";
import { type Streams, Terminal } from "./terminal.ts";

/** Runs one command line. Never throws. */
export async function run(args: readonly string[], streams: Streams, signal: AbortSignal): Promise<ExitCode> {
  const terminal = new Terminal(streams, args.includes("--json"));
  const [name, ...rest] = args;
  if (name === undefined || name === "help" || name === "--help" || name === "-h") {
    terminal.write(overview());
    return name === undefined ? EXIT.usage : EXIT.ok;
  }
  const command = COMMANDS.find((known) => known.name === name);
  if (command === undefined) {
    terminal.trouble(`tallystick: there is no command ${JSON.stringify(name)}; tallystick --help lists them`);
    return EXIT.usage;
  }
  if (rest.includes("--help") || rest.includes("-h")) {
    terminal.write(formatHelp(command));
    return EXIT.ok;
  }
  try {
    return await command.run(parseInvocation(command, rest, { terminal, signal }));
  } catch (error) {
    return explain(error, { command, terminal, signal });
  }
}

interface Failure {
  readonly command: Command;
  readonly terminal: Terminal;
  readonly signal: AbortSignal;
}

function explain(error: unknown, { command, terminal, signal }: Failure): ExitCode {
  if (error instanceof UsageError) {
    terminal.trouble(
      `tallystick ${command.name}: ${error.message}\nusage: tallystick ${command.name} ${command.usage}`,
    );
    return EXIT.usage;
  }
  if (signal.aborted && error instanceof Error && error.name === "AbortError") return EXIT.unknown;
  const code = error instanceof TallystickError ? error.code : systemCode(error);
  const message = error instanceof Error ? error.message : String(error);
  terminal.trouble(`tallystick ${command.name}: ${message}${code === undefined ? "" : ` (${code})`}`);
  terminal.value({ error: { code: code ?? "internal", message } });
  return EXIT.unknown;
}

function systemCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
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
