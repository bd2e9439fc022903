/** The command as a library: what there is, and how to run it. */
export { type Command, type ExitCode, type Invocation, type OptionSpec, formatHelp } from "./command.ts";
export { allCommands } from "./commands/index.ts";
export type { DevFile } from "./dev-file.ts";
export { run } from "./run.ts";
export { type Streams, Terminal } from "./terminal.ts";
