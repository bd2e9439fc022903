/** The SDK's options, with their defaults, checked once at the door. */
import { HAS_DISK, variable } from "#platform";
import { assertOptionNames } from "@tallystick/events";
import type { Fetch } from "./http.ts";
import { type OutageRules, type ResolvedOutageRules, resolveOutageRules } from "./outage.ts";
import type { KeptData } from "./personal-data.ts";

/** How far an event has come. `queued`: synced in the outbox; `durable`: synced by the log under an index; `published`
 *  and `witnessed`: a receipt has verified, under a policy without or with a quorum of witnesses. */
export type RecordState = "queued" | "durable" | "published" | "witnessed";

export interface TallystickOptions {
  /** The log's prefix, such as `http://127.0.0.1:7420/app`. Else TALLYSTICK_URL. */
  readonly url?: string | undefined;
  /** A writer's token. Else TALLYSTICK_TOKEN. */
  readonly token?: string | undefined;
  /** Whom to trust: a tlog-policy, as text (it has line ends) or as a path. Else TALLYSTICK_POLICY. */
  readonly policy?: string | undefined;
  /** Which log of the policy; needed where it names more than one. */
  readonly origin?: string | undefined;
  /** Where events wait: a folder of this process alone (".tallystick-outbox" by default), or "none" for memory, which is the default without a disk. */
  readonly outbox?: string | undefined;
  /**
   * The Ed25519 seed that signs: 32 bytes, or the path of a file of 64 hex digits, made where there is none. Several
   * outboxes of one application may share it. Else a key of its own in the outbox folder, or for this process alone.
   */
  readonly senderKey?: Uint8Array | string | undefined;
  /** How much may wait, each event with 512 bytes for its bookkeeping; 256 MiB by default. */
  readonly outboxBytesMax?: number | undefined;
  /** How much disk verified receipts take; 128 MiB by default. */
  readonly receiptBytesMax?: number | undefined;
  /** What `record` waits for where the call does not say; "queued" by default, "durable" without a disk. */
  readonly until?: RecordState | undefined;
  /** For one request to the log; 15,000 by default. */
  readonly requestTimeoutMs?: number | undefined;
  /** How long the log may owe the proof of what it acknowledged until `onError` is told; 600,000 by default, 0 for ever. */
  readonly proofDeadlineMs?: number | undefined;
  /** Silence after which the stream reports that it is alive; 900,000 by default, 0 for never. */
  readonly beatIntervalMs?: number | undefined;
  /** 32 bytes or more: keys the hashes of session ids. Without it, a key in the outbox folder. */
  readonly sessionSecret?: Uint8Array | undefined;
  /** What may be done while events cannot get to the log; all but exports and grants by default. */
  readonly onOutage?: OutageRules | undefined;
  /** Names, e-mail addresses and unproved login names are left out or hashed; those that are named here stay. None by default. */
  readonly keep?: readonly KeptData[] | undefined;
  /** Context that is longer in JSON is cut and marked; 8,192 by default. */
  readonly contextBytesMax?: number | undefined;
  /** Failures of one account from one address that a minute has as events of their own, the others being counted; 10 by default, 0 for all. */
  readonly failuresPerMinute?: number | undefined;
  /** Told of everything that goes wrong in the background. By default a process warning for what somebody has to see to. */
  readonly onError?: ((error: Error) => void) | undefined;
  readonly fetch?: Fetch | undefined;
  /** Ms since 1970. */
  readonly now?: (() => number) | undefined;
}

type Optional = "sessionSecret" | "senderKey" | "origin" | "onError";
type Changed = "onOutage" | "keep";

/** Every option but those that may stay away, which are `undefined` then. */
export type ResolvedOptions = {
  readonly [K in Exclude<keyof TallystickOptions, Optional | Changed>]-?: NonNullable<TallystickOptions[K]>;
} & {
  readonly [K in Optional]: TallystickOptions[K] | undefined;
} & {
  readonly outage: ResolvedOutageRules;
  readonly keep: ReadonlySet<KeptData>;
  /** Who names the policy. */
  readonly policyFrom: "the options" | "TALLYSTICK_POLICY";
};

/** All there are: one that is missing here does not compile. */
const NAMES: Readonly<Record<keyof TallystickOptions, true>> = {
  url: true,
  token: true,
  policy: true,
  origin: true,
  outbox: true,
  senderKey: true,
  outboxBytesMax: true,
  receiptBytesMax: true,
  until: true,
  requestTimeoutMs: true,
  proofDeadlineMs: true,
  beatIntervalMs: true,
  sessionSecret: true,
  onOutage: true,
  keep: true,
  contextBytesMax: true,
  failuresPerMinute: true,
  onError: true,
  fetch: true,
  now: true,
};

export const STATES: readonly RecordState[] = ["queued", "durable", "published", "witnessed"];
/** Timers take no more. */
const TIMER_MS_MAX = 2 ** 31 - 1;
const SECRET_BYTES_MIN = 32;

/**
 * Completes the options from the environment and the defaults.
 *
 * @throws {TypeError} one is missing, or is not what it should be. @throws {RangeError} a number is out of range.
 */
export function resolveOptions(options: TallystickOptions): ResolvedOptions {
  assertOptionNames("", options, NAMES);
  const { sessionSecret, senderKey } = options;
  if (senderKey instanceof Uint8Array && senderKey.length !== SECRET_BYTES_MIN) {
    throw new RangeError(`senderKey: expected ${SECRET_BYTES_MIN} bytes, got ${senderKey.length}`);
  }
  if (sessionSecret !== undefined && sessionSecret.length < SECRET_BYTES_MIN) {
    throw new RangeError(`sessionSecret: expected ${SECRET_BYTES_MIN} bytes or more, got ${sessionSecret.length}`);
  }
  return {
    url: urlOf(settingOf(options, "url")),
    token: tokenOf(settingOf(options, "token")),
    policy: settingOf(options, "policy"),
    policyFrom: options.policy === undefined ? "TALLYSTICK_POLICY" : "the options",
    origin: options.origin,
    outbox: options.outbox ?? (HAS_DISK ? ".tallystick-outbox" : "none"),
    outboxBytesMax: within("outboxBytesMax", options.outboxBytesMax ?? 256 * 1024 * 1024, { min: 65_536 }),
    receiptBytesMax: within("receiptBytesMax", options.receiptBytesMax ?? 128 * 1024 * 1024, { min: 65_536 }),
    until: stateOf(options.until ?? (HAS_DISK ? "queued" : "durable")),
    requestTimeoutMs: within("requestTimeoutMs", options.requestTimeoutMs ?? 15_000, { min: 1, max: TIMER_MS_MAX }),
    proofDeadlineMs: within("proofDeadlineMs", options.proofDeadlineMs ?? 600_000, { max: TIMER_MS_MAX }),
    beatIntervalMs: within("beatIntervalMs", options.beatIntervalMs ?? 900_000, { max: TIMER_MS_MAX }),
    outage: resolveOutageRules(options.onOutage),
    keep: keptOf(options.keep ?? []),
    contextBytesMax: within("contextBytesMax", options.contextBytesMax ?? 8192, { min: 256, max: 32_768 }),
    failuresPerMinute: within("failuresPerMinute", options.failuresPerMinute ?? 10),
    sessionSecret,
    senderKey,
    onError: options.onError,
    fetch: options.fetch ?? globalThis.fetch,
    now: options.now ?? Date.now,
  };
}

/** @throws {TypeError} */
export function stateOf(until: RecordState): RecordState {
  if (STATES.includes(until)) return until;
  throw new TypeError(`until: expected ${STATES.join(", ")}, got ${JSON.stringify(until)}`);
}

/** @throws {RangeError} */
export function timeoutOf(timeoutMs: number): number {
  return within("timeoutMs", timeoutMs, { max: TIMER_MS_MAX });
}

const KEPT: readonly KeptData[] = ["names", "emails", "logins"];

function keptOf(keep: readonly KeptData[]): ReadonlySet<KeptData> {
  const unknown = keep.find((each) => !KEPT.includes(each));
  if (unknown !== undefined)
    throw new TypeError(`keep: expected some of ${KEPT.join(", ")}, got ${JSON.stringify(unknown)}`);
  return new Set(keep);
}

function settingOf(options: TallystickOptions, name: "url" | "token" | "policy"): string {
  const inEnvironment = `TALLYSTICK_${name.toUpperCase()}`;
  const value = options[name] ?? variable(inEnvironment);
  if (value !== undefined && value !== "") return value;
  throw new TypeError(`${name}: expected it in the options or in ${inEnvironment}, got neither`);
}

/** What no header can carry would be shown by whoever refuses it later, at each try. */
function tokenOf(text: string): string {
  if (/^[\x21-\x7e]+$/.test(text)) return text;
  throw new TypeError("token: expected ASCII characters, without blanks and line ends");
}

function urlOf(text: string): string {
  const url = text.replace(/\/+$/, "");
  const { username, password } = URL.parse(url) ?? { username: "", password: "" };
  if (username !== "" || password !== "")
    throw new TypeError("url: expected the log's address without user and password: token takes the token");
  if (/^https?:\/\//.test(url) && URL.canParse(url) && !/[?#]/.test(url)) return url;
  throw new TypeError(`url: expected the log's http(s) address, without a query, got ${JSON.stringify(text)}`);
}

function within(
  name: string,
  value: number,
  { min = 0, max = Number.MAX_SAFE_INTEGER }: { min?: number; max?: number } = {},
): number {
  if (Number.isSafeInteger(value) && value >= min && value <= max) return value;
  throw new RangeError(`${name}: expected a whole number from ${min} to ${max}, got ${value}`);
}
