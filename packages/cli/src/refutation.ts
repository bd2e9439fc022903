/** Evidence that was refused: which check refused it, and why. */
import { ClientError } from "@tallystick/client";
import type { TallystickError } from "@tallystick/core";
import { EXIT, type ExitCode } from "./command.ts";
import { type Terminal, bold } from "./terminal.ts";

/** Says `REFUTED`, the step and the reason. */
export function showRefutation(terminal: Terminal, error: TallystickError, step: string = stepOf(error)): ExitCode {
  const message = error.message.startsWith(`${step}: `) ? error.message.slice(step.length + 2) : error.message;
  terminal.line(bold("REFUTED"), `  ${step}: ${message}`);
  if (isUntrusted(error)) for (const line of UNTRUSTED_HINT) terminal.line(line);
  terminal.value({ verdict: "REFUTED", step, code: error.code, message });
  return EXIT.refuted;
}

/** Nobody's key signed it whom the policy names as the log; a signature of such a key that does not hold is another matter. */
function isUntrusted(error: TallystickError): boolean {
  return error.code === "signature-untrusted" || error.details["code"] === "signature-untrusted";
}

const UNTRUSTED_HINT = [
  "  or the policy is of another time: a log replaces its keys now and then, and a receipt holds under a policy of its own",
  "  time; the log's operator has older ones, policies/NAME.before-….txt in the folder of the server",
];

function stepOf(error: TallystickError): string {
  const step = error instanceof ClientError ? error.details["step"] : undefined;
  return typeof step === "string" ? step : "format";
}
