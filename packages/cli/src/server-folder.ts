/** Which server, and which of its logs, a command is about. */
import { quote } from "@tallystick/core";
import { type LogConfig, readServer } from "@tallystick/server";
import { type Invocation, UsageError } from "./command.ts";

/** @throws {UsageError} */
export function folderOf(invocation: Invocation): string {
  const dir = invocation.text("dir");
  if (dir === undefined) throw new UsageError("--dir: expected the folder of a server or of a witness");
  return dir;
}

/** The log that `--name` names, or the only one there is. @throws {UsageError} */
export async function logOf(invocation: Invocation): Promise<LogConfig> {
  const { config } = await readServer(folderOf(invocation));
  const name = invocation.text("name");
  const [only, ...others] = config.logs;
  if (name === undefined && only !== undefined && others.length === 0) return only;
  const known = config.logs.map((log) => log.name).join(", ");
  if (name === undefined) throw new UsageError(`--name: expected one of ${known}`);
  const log = config.logs.find((one) => one.name === name);
  if (log === undefined) throw new UsageError(`--name: this server has no log ${quote(name)}, only ${known}`);
  return log;
}
