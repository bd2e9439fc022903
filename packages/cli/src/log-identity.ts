/** Which log answers at an address, and how far it is: what was kept of one log must not be taken for another. */
import { ClientError } from "@tallystick/client";
import { TallystickError, decodeUtf8, parseCheckpoint, parseNote, parsePolicy } from "@tallystick/core";
import { requestLog } from "./log-request.ts";
import type { Target } from "./target.ts";

export interface LogIdentity {
  /** The log's keys, as its policy names them. */
  readonly keys: string;
  /** Entries that it has published. */
  readonly size: number;
}

/**
 * Asks the log. `undefined` where what answers does not say.
 *
 * @throws {ClientError} `audit-unavailable`: nothing answers.
 */
export async function identityOf(target: Target, signal: AbortSignal): Promise<LogIdentity | undefined> {
  try {
    const policy = parsePolicy((await requestLog(target, { path: "v1/policy", signal })).body);
    const keys = policy.logs.map(({ verifier }) => verifier.vkey).toSorted();
    return { keys: keys.join(" "), size: await publishedSize(target, signal) };
  } catch (error) {
    const isSilent = error instanceof ClientError && error.code === "audit-unavailable";
    if (!(error instanceof TallystickError) || isSilent) throw error;
    return undefined;
  }
}

async function publishedSize(target: Target, signal: AbortSignal): Promise<number> {
  try {
    const { body } = await requestLog(target, { path: "checkpoint", signal });
    return Number(parseCheckpoint(parseNote(decodeUtf8(body)).text).size);
  } catch (error) {
    // Before its first head a log has none.
    if (error instanceof ClientError && error.details["status"] === 404) return 0;
    throw error;
  }
}
