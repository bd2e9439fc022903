/** What a log is opened with: defaults filled in, and held against each other. */
import { type Policy, evaluateQuorum } from "@tallystick/core";
import type { LogOptions } from "./log-api.ts";
import { createRandom } from "./random.ts";

export type ResolvedOptions = Required<LogOptions>;

/** Fills in the defaults. @throws {RangeError} a number is out of its bounds. */
export function resolveOptions(options: LogOptions): ResolvedOptions {
  const resolved: ResolvedOptions = {
    senderKeys: [],
    pinFirstSenderKey: false,
    publishIntervalMs: 200,
    headIntervalMs: 60_000,
    freshnessIntervalMs: 600_000,
    witnessTimeoutMs: 5000,
    queueEntriesMax: 20_000,
    queueBytesMax: 64 * 1024 * 1024,
    commitEntriesMax: 4096,
    unpublishedEntriesMax: 10_000_000,
    scrubEntriesPerSecond: 200,
    startWithoutWitnesses: false,
    confirmClock: false,
    restored: null,
    finalOn: (now) => new Date(now).toISOString().slice(0, 10),
    proposedRules: async () => undefined,
    now: Date.now,
    random: createRandom(),
    fetch: globalThis.fetch,
    logger: { info: () => undefined, warn: () => undefined },
    ...options,
  };
  for (const name of POSITIVE) {
    const value = resolved[name];
    if (!Number.isSafeInteger(value) || value < 1)
      throw new RangeError(`${name}: expected an integer of 1 or more, got ${value}`);
  }
  return resolved;
}

const POSITIVE = [
  "publishIntervalMs",
  "headIntervalMs",
  "freshnessIntervalMs",
  "witnessTimeoutMs",
  "queueEntriesMax",
  "queueBytesMax",
  "commitEntriesMax",
  "unpublishedEntriesMax",
] as const;

/** @throws {TypeError} keys, witnesses and policy do not fit each other. */
export function assertOptions({ origin, keys, witnesses }: ResolvedOptions, policy: Policy): void {
  const [first] = keys.signers;
  if (first?.type !== "ed25519") throw new TypeError("keys.signers: expected the Ed25519 key of the log first");
  for (const { name } of keys.signers) {
    if (name !== origin) throw new TypeError(`keys.signers: expected the origin ${origin} as the name, got ${name}`);
  }
  if (!policy.logs.some(({ verifier }) => verifier.vkey === first.vkey)) {
    throw new TypeError("policyText: expected a log line with this log's Ed25519 key");
  }
  const asked = new Set(witnesses.flatMap(({ verifiers }) => verifiers.map(({ vkey }) => vkey)));
  const names = new Set(policy.witnesses.filter(({ verifier }) => asked.has(verifier.vkey)).map(({ name }) => name));
  if (!evaluateQuorum(policy, names).met) {
    throw new TypeError(
      "witnesses: those that are asked cannot meet the policy's quorum, so nothing could be published",
    );
  }
}
