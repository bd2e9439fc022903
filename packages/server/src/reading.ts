/** Reads of contents: who reads what for, as the log records it, and which contents they may have. */
import type { ReadFilter } from "@tallystick/log";
import { ServerError } from "./error.ts";
import type { RouteCall } from "./route.ts";
import { isWithin, scopeName } from "./scope.ts";

export interface Reading {
  /** The credential's id. */
  readonly reader: string;
  readonly purpose?: string;
  /** Of those who may have some contents only. */
  readonly filter?: ReadFilter;
}

/**
 * What every route that gives contents hands to the log.
 *
 * @throws {ServerError} `purpose-required`: the log's rules ask for one.
 */
export function readingOf(
  { credential, rules }: Pick<RouteCall<unknown>, "credential" | "rules">,
  purpose: string | undefined,
): Reading {
  if (credential === undefined)
    throw new TypeError("access: expected roles on a route that gives contents, got public");
  if (purpose === undefined && rules().reads.purpose === "required")
    throw new ServerError("purpose-required", "the rules of this log ask for a purpose: say what it is read for");
  const reading = { reader: credential.id, ...(purpose === undefined ? {} : { purpose }) };
  if (credential.role !== "reader") return reading;
  const { scope = {} } = credential;
  return { ...reading, filter: { name: scopeName(scope), admits: (event) => isWithin(scope, event) } };
}
