/**
 * Taking up the logs of lists into the configuration.
 *
 * A list only ever adds logs whose origin is new. What it later says of a log that is configured, or that the operator has
 * removed, changes nothing: so whoever maintains the list cannot take a log away or give it another key.
 */
import { isAbsolute, resolve } from "node:path";
import type { Verifier } from "@tallystick/core";
import { type LogConfig, type WitnessConfig, assertOrigin, changeConfig, openLogKey, readConfig } from "./config.ts";
import { WitnessError, messageOf } from "./error.ts";
import { type ListedLogOffer, readLogList } from "./log-list.ts";

/** How a list was read the last time. */
export interface ListStatus {
  /** As configured. */
  readonly path: string;
  /** How many logs it names; undefined where it could not be used. */
  readonly logs: number | undefined;
  /** Why it could not be used. */
  readonly trouble: string | undefined;
}

/** A log of a list that this witness cannot cosign for. */
export interface UnusableOffer {
  readonly origin: string;
  readonly message: string;
}

export interface Discovery {
  readonly config: WitnessConfig;
  readonly lists: readonly ListStatus[];
  /** What was taken up, and is in `config`. */
  readonly added: readonly LogConfig[];
  readonly unusable: readonly UnusableOffer[];
}

export interface DiscoverInput {
  readonly config: WitnessConfig;
  readonly offers: readonly ListedLogOffer[];
  readonly ownVerifiers: readonly Verifier[];
}

/** Decides which logs are new: those with an origin that the configuration knows neither as a log nor as removed. */
export function discoverLogs({ config, offers, ownVerifiers }: DiscoverInput): Pick<Discovery, "added" | "unusable"> {
  const known = new Set([...config.logs.map(({ origin }) => origin), ...config.removed]);
  const added: LogConfig[] = [];
  const unusable: UnusableOffer[] = [];
  for (const { vkey, origin, qpd, contact } of offers) {
    if (known.has(origin)) continue;
    known.add(origin);
    const message = faultOf({ vkey, origin }, ownVerifiers);
    if (message === undefined) {
      added.push({ origin, vkeys: [vkey], qpd, ...(contact === undefined ? {} : { contact }) });
    } else unusable.push({ origin, message });
  }
  return { added, unusable };
}

/**
 * Reads the configuration and the lists that it names, and takes up the logs that are new, durably.
 *
 * A list that cannot be used takes nothing away and does not keep the others from being read.
 *
 * @throws {WitnessError} `config-missing`, `config-malformed`.
 */
export async function takeUpLists(dir: string, ownVerifiers: readonly Verifier[]): Promise<Discovery> {
  const config = await readConfig(dir);
  const read = await Promise.all(config.lists.map((path) => readList(dir, path)));
  const lists = read.map(({ status }) => status);
  const offers = read.flatMap((list) => list.offers);
  const found = discoverLogs({ config, offers, ownVerifiers });
  if (found.added.length === 0) return { config, lists, ...found };
  // Decided again under the lock, since the operator may have changed something in between.
  const changed = await changeConfig(dir, (now) => ({
    ...now,
    logs: [...now.logs, ...discoverLogs({ config: now, offers, ownVerifiers }).added],
  }));
  return { config: changed, lists, ...found };
}

async function readList(dir: string, path: string): Promise<{ status: ListStatus; offers: ListedLogOffer[] }> {
  try {
    const offers = await readLogList(isAbsolute(path) ? path : resolve(dir, path));
    return { status: { path, logs: offers.length, trouble: undefined }, offers };
  } catch (cause) {
    if (!(cause instanceof WitnessError)) throw cause;
    return { status: { path, logs: undefined, trouble: cause.message }, offers: [] };
  }
}

function faultOf(
  { vkey, origin }: Pick<ListedLogOffer, "vkey" | "origin">,
  own: readonly Verifier[],
): string | undefined {
  try {
    openLogKey(vkey, own);
    assertOrigin(origin);
    return undefined;
  } catch (cause) {
    if (cause instanceof WitnessError) return messageOf(cause);
    throw cause;
  }
}
