/** Sending an officer's order, which may have to wait for a second person. */
import type { Exchange } from "@tallystick/client";
import { utf8 } from "@tallystick/core";
import { EXIT, type ExitCode, type Invocation } from "./command.ts";
import { commandLine } from "./command-line.ts";
import { jsonOf, objectOf, textOf, timeOf } from "./log-answer.ts";
import { requestLog } from "./log-request.ts";
import type { Target } from "./target.ts";
import { bold } from "./terminal.ts";

/** Sends a value. @throws {ClientError} as `requestLog` */
export async function sendValue(
  target: Target,
  { path, value, signal }: { readonly path: string; readonly value: unknown; readonly signal: AbortSignal },
): Promise<Exchange> {
  const body = utf8(JSON.stringify(value));
  return requestLog(target, { path, method: "POST", contentType: "application/json", body, signal });
}

/**
 * Says that an order awaits a second person, where it does.
 *
 * @throws {ClientError} `log-answer-malformed`
 */
export function showAwaiting({ terminal }: Invocation, answer: Exchange): ExitCode | undefined {
  const value = objectOf(jsonOf(answer), "answer");
  if (value["state"] !== "awaiting-approval") return undefined;
  const approval = textOf(value["approval"], "approval");
  const validUntil = timeOf(value["validUntil"], "validUntil");
  terminal.line(bold("AWAITS APPROVAL"), "  the rules ask for two persons; nothing is done yet");
  terminal.line(`  another officer, until ${validUntil}: ${commandLine()} approve ${approval}`);
  terminal.value(value);
  return EXIT.ok;
}
