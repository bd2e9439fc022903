/** Evidence that was refused: which check refused it, and why. */
import { ClientError } from "@tallystick/client";
import type { TallystickError } from "@tallystick/core";
import { EXIT, type ExitCode } from "./command.ts";
import { type Terminal, bold } from "./terminal.ts";

/** Says `REFUTED`, the step and the reason. */
export function showRefutation(terminal: Terminal, error: TallystickError, step: string = stepOf(error)): ExitCode {
  const message = error.message.startsWith(`${step}: `) ? error.message.slice(step.length + 2) : error.message;
  terminal.line(bold("REFUTED"), `  ${step}: ${message}`);
  terminal.value({ verdict: "REFUTED", step, code: error.code, message });
  return EXIT.refuted;
}

function stepOf(error: TallystickError): string {
  const step = error instanceof ClientError ? error.details["step"] : undefined;
  return typeof step === "string" ? step : "format";
}
