/**
 * A witness, without HTTP: cosigns a checkpoint only if it extends all that it cosigned before for its log, and remembers
 * it durably before anybody sees the cosignatures. c2sp.org/tlog-witness
 */
import { join } from "node:path";
import type { Signer, Verifier } from "@tallystick/core";
import { type FileSystem, type FolderLock, lockFolder, nodeFileSystem } from "@tallystick/storage";
import { type KnownLog, type WitnessConfig, openLogs, readConfig } from "./config.ts";
import { cosignSubtree } from "./cosign.ts";
import { type Discovery, type ListStatus, takeUpLists } from "./discovery.ts";
import { type RefusalCode, admitCheckpoint, decideSubtree } from "./decide.ts";
import { WitnessError, type WitnessErrorCode, messageOf } from "./error.ts";
import { EvidenceStore } from "./evidence.ts";
import { readKeys } from "./keys.ts";
import { type WitnessLogger, silentLogger } from "./logger.ts";
import { type Decided, OriginWorker, type Shared, type Trouble } from "./origin-worker.ts";
import type { Fetch } from "./published-head.ts";
import { parseAddCheckpoint, parseSignSubtree } from "./request.ts";
import { type StateStore, openStateStore } from "./state.ts";
import { StopStore } from "./stop-store.ts";
import { TurnQueue } from "./turn-queue.ts";

export interface OpenWitnessOptions {
  /** The folder that `initWitness` made. */
  readonly dir: string;
  /** Milliseconds since 1970. Default: the machine's clock. */
  readonly now?: () => number;
  /** Asks logs at start what they have published. Default: the platform's. */
  readonly fetch?: Fetch;
  /** For how long to ask. Default 5000. */
  readonly fetchTimeoutMs?: number;
  /** How many requests for one log may wait. Default 128. */
  readonly waitingPerLogMax?: number;
  /** Default: nobody is told. */
  readonly logger?: WitnessLogger;
  /** By what files are written. Default: the machine's. */
  readonly fileSystem?: FileSystem;
}

/** Codes with which a request can end other than in signatures. */
export type AnswerCode =
  | RefusalCode
  | Extract<
      WitnessErrorCode,
      | "request-malformed"
      | "log-overloaded"
      | "state-rolled-back"
      | "state-corrupt"
      | "clock-behind"
      | "persist-failed"
      | "witness-closed"
    >;

/** What became of a request. */
export type Answer =
  | {
      readonly kind: "signed";
      /** Signature lines, each with its newline. */
      readonly lines: string;
    }
  | {
      readonly kind: "refused";
      readonly code: AnswerCode;
      readonly message: string;
      /** Of the checkpoint cosigned last. Only with `checkpoint-conflict`. */
      readonly size?: bigint;
      /** When asking again can help. Only with `log-overloaded`, where the log has had what it may have in a day. */
      readonly retryAfterSeconds?: number;
    };

/** How a log stands. */
export interface LogStatus {
  readonly origin: string;
  /** False for a log that was removed, and whose state is kept. */
  readonly configured: boolean;
  /** Of the checkpoint cosigned last; undefined before the first. */
  readonly size: bigint | undefined;
  /** Of the last cosignature, in seconds since 1970. */
  readonly time: bigint | undefined;
}

export interface WitnessStatus {
  readonly name: string;
  /** `starting`: logs are being asked what they have published. `degraded`: some logs are not cosigned for. `stopped`: none is. */
  readonly state: "starting" | "ready" | "degraded" | "stopped";
  readonly reasons: readonly Trouble[];
  readonly logs: readonly LogStatus[];
  /** Of each configured list of logs how it was read the last time. */
  readonly lists: readonly ListStatus[];
  /** Files of evidence against logs. */
  readonly evidence: number;
}

export interface Witness {
  readonly name: string;
  /** Ed25519 first, then ML-DSA-44. */
  readonly vkeys: readonly string[];

  /** Takes the body of an `add-checkpoint` request. Never rejects for what is in the body. */
  addCheckpoint(body: Uint8Array): Promise<Answer>;

  /** Takes the body of a `sign-subtree` request. Never rejects for what is in the body. */
  signSubtree(body: Uint8Array): Promise<Answer>;

  /** The newest checkpoint that was cosigned for an origin, with the cosignatures that were returned, as a note. */
  latestCheckpoint(originHash: string): string | undefined;

  status(): WitnessStatus;

  /** Resolves when all logs have been asked what they have published, and so cosigning can begin. */
  ready(): Promise<void>;

  /**
   * Reads the configuration and the lists that it names again, and takes up logs that are new in them.
   *
   * A list that cannot be used changes nothing; the logger and `status` tell.
   *
   * @throws {WitnessError} `config-missing`, `config-malformed`, `log-unusable`: it goes on with the one that it had.
   */
  reload(): Promise<void>;

  /** Lets the requests under way end, turns later ones away, and lets the folder go. Closing twice is allowed. */
  close(): Promise<void>;
}

/**
 * Opens the witness in `dir`, for this process alone.
 *
 * @throws {WitnessError} `config-missing`, `config-malformed`, `key-unusable`, `log-unusable`: what `witness.json` and the
 *   keys say. `state-rolled-back`: part of the folder is an older copy. `state-corrupt`: a file is damaged.
 * @throws {StorageError} `storage-locked`: it is open already. `secret-file-exposed`: others may read a key.
 */
export async function openWitness(options: OpenWitnessOptions): Promise<Witness> {
  const { dir } = options;
  const config = await readConfig(dir);
  const signers = await readKeys(dir, config.name);
  const verifiers = signers.map(({ verifier }) => verifier);
  openLogs(config, verifiers);
  const lock = await lockFolder(join(dir, "state"));
  const opened: Opened = { lock };
  try {
    return await openLocked({ options, config, signers, verifiers, opened });
  } catch (cause) {
    await opened.store?.close();
    await lock.release();
    throw cause;
  }
}

interface Opened {
  readonly lock: FolderLock;
  store?: StateStore;
}

interface Opening {
  readonly options: OpenWitnessOptions;
  readonly config: WitnessConfig;
  readonly signers: readonly Signer[];
  readonly verifiers: readonly Verifier[];
  readonly opened: Opened;
}

async function openLocked({ options, config, signers, verifiers, opened }: Opening): Promise<Witness> {
  const { dir, fileSystem = nodeFileSystem, logger = silentLogger } = options;
  const store = await openStateStore(dir, fileSystem);
  opened.store = store;
  const stops = await StopStore.open(dir, { fileSystem, ownVerifiers: verifiers });
  const evidence = await EvidenceStore.open(dir, fileSystem);
  const closing = new AbortController();
  const shared: Shared = {
    store,
    stops,
    evidence,
    signers,
    now: options.now ?? Date.now,
    fetch: options.fetch ?? globalThis.fetch,
    fetchTimeoutMs: options.fetchTimeoutMs ?? 5000,
    closing: closing.signal,
    logger,
  };
  const witness = new OpenedWitness({ dir, name: config.name, verifiers, shared, closing, lock: opened.lock, options });
  await witness.loadStates();
  await witness.reload();
  return witness;
}

interface OpenedWitnessOptions {
  readonly dir: string;
  readonly name: string;
  readonly verifiers: readonly Verifier[];
  readonly shared: Shared;
  readonly closing: AbortController;
  readonly lock: FolderLock;
  readonly options: OpenWitnessOptions;
}

class OpenedWitness implements Witness {
  readonly name: string;
  readonly vkeys: readonly string[];
  readonly #dir: string;
  readonly #verifiers: readonly Verifier[];
  readonly #shared: Shared;
  readonly #closing: AbortController;
  readonly #lock: FolderLock;
  readonly #waitingMax: number;
  /** By origin. Replaced whole when the configuration changes. */
  #logs: ReadonlyMap<string, KnownLog> = new Map();
  #lists: readonly ListStatus[] = [];
  /** One after the other, so that an older configuration never replaces a newer one. */
  readonly #reloads = new TurnQueue(0);
  /** By origin hash: of all logs that are configured or have a state. */
  readonly #workers = new Map<string, OriginWorker>();
  #closed: Promise<void> | undefined;

  constructor({ dir, name, verifiers, shared, closing, lock, options }: OpenedWitnessOptions) {
    this.name = name;
    this.vkeys = verifiers.map(({ vkey }) => vkey);
    this.#dir = dir;
    this.#verifiers = verifiers;
    this.#shared = shared;
    this.#closing = closing;
    this.#lock = lock;
    this.#waitingMax = options.waitingPerLogMax ?? 128;
  }

  /** Takes up all states, and lifts the stops that they have caught up with. */
  async loadStates(): Promise<void> {
    const { store, stops, logger } = this.#shared;
    for (const originHash of store.originHashes) {
      const state = await store.load(originHash);
      if (state === undefined) continue;
      const { origin } = state;
      this.#workers.set(
        originHash,
        new OriginWorker(this.#shared, { origin, originHash, state, waitingMax: this.#waitingMax }),
      );
      const reason = stops.reasonFor(originHash, state);
      if (reason === undefined) await stops.lift(originHash);
      else logger.error("does not sign for a log: the state is an older copy", { origin, reason });
    }
  }

  /** Takes up a configuration, and asks the logs that are new in it, or have a new URL, what they have published. */
  #configure(logs: ReadonlyMap<string, KnownLog>): void {
    const before = this.#logs;
    this.#logs = logs;
    for (const log of logs.values()) {
      const worker = this.#workerOf(log);
      worker.limit(log);
      if (before.get(log.origin)?.url !== log.url) worker.check(log);
    }
  }

  addCheckpoint(body: Uint8Array): Promise<Answer> {
    return this.#answer(async () => {
      const request = parseAddCheckpoint(body);
      const log = this.#logs.get(request.checkpoint.origin);
      const admission = admitCheckpoint({ request, log, ownVerifiers: this.#verifiers });
      if (admission.kind === "refuse") return admission;
      return this.#workerOf(admission.log).submit({ request, admission });
    });
  }

  signSubtree(body: Uint8Array): Promise<Answer> {
    return this.#answer(async () => {
      const request = parseSignSubtree(body);
      const log = this.#logs.get(request.checkpoint.origin);
      const decision = decideSubtree({ request, log, ownVerifiers: this.#verifiers });
      if (decision.kind === "refuse") return decision;
      await this.#workerOf(decision.log).assertNotAhead({ request, ownLines: decision.ownLines });
      return { kind: "cosigned", lines: cosignSubtree(request, this.#shared.signers) };
    });
  }

  latestCheckpoint(originHash: string): string | undefined {
    return this.#workers.get(originHash)?.state?.note;
  }

  status(): WitnessStatus {
    const workers = [...this.#workers.values()];
    const active = workers.filter(({ origin }) => this.#logs.has(origin));
    const reasons = active.flatMap(({ trouble }) => trouble ?? []);
    const logs = workers.map(({ origin, state }) => ({
      origin,
      configured: this.#logs.has(origin),
      size: state?.checkpoint.size,
      time: state?.time,
    }));
    return {
      name: this.name,
      state: this.#stateOf(active, reasons),
      reasons,
      logs,
      lists: this.#lists,
      evidence: this.#shared.evidence.size,
    };
  }

  async ready(): Promise<void> {
    await Promise.all([...this.#workers.values()].map((worker) => worker.idle()));
  }

  reload(): Promise<void> {
    return this.#reloads.run(() => this.#reload());
  }

  async #reload(): Promise<void> {
    const { name } = await readConfig(this.#dir);
    if (name !== this.name) {
      throw new WitnessError(
        "config-malformed",
        `the name has changed from ${this.name} to ${name}; stop the witness and start it again`,
      );
    }
    const discovery = await takeUpLists(this.#dir, this.#verifiers);
    this.#configure(openLogs(discovery.config, this.#verifiers));
    this.#lists = discovery.lists;
    this.#report(discovery);
  }

  #report({ lists, added, unusable }: Discovery): void {
    const { logger } = this.#shared;
    for (const { path, trouble } of lists) {
      if (trouble !== undefined) logger.error("a list of logs cannot be used", { path, error: trouble });
    }
    for (const { origin, vkeys, qpd, contact } of added) {
      logger.info("took up a log of a list", { origin, vkeys, qpd, contact });
    }
    for (const { origin, message } of unusable) {
      logger.warn("left out a log of a list", { origin, error: message });
    }
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#closing.abort();
    await this.ready();
    await this.#shared.store.close();
    await this.#lock.release();
  }

  #workerOf({ origin, originHash }: KnownLog): OriginWorker {
    const known = this.#workers.get(originHash);
    if (known !== undefined) return known;
    const worker = new OriginWorker(this.#shared, {
      origin,
      originHash,
      state: undefined,
      waitingMax: this.#waitingMax,
    });
    this.#workers.set(originHash, worker);
    return worker;
  }

  #stateOf(active: readonly OriginWorker[], reasons: readonly Trouble[]): WitnessStatus["state"] {
    if (this.#closed !== undefined) return "stopped";
    if (active.some(({ isChecking }) => isChecking)) return "starting";
    if (reasons.length === 0) return "ready";
    return reasons.length < active.length ? "degraded" : "stopped";
  }

  async #answer(decide: () => Promise<Decided>): Promise<Answer> {
    if (this.#closed !== undefined)
      return { kind: "refused", code: "witness-closed", message: "the witness is closed" };
    try {
      const result = await decide();
      if (result.kind === "cosigned") return { kind: "signed", lines: result.lines };
      const { code, message, size } = result;
      return { kind: "refused", code, message, ...(size === undefined ? {} : { size }) };
    } catch (cause) {
      if (cause instanceof WitnessError) return refusalOf(cause);
      this.#shared.logger.error("failed to answer a request", { error: messageOf(cause) });
      throw cause;
    }
  }
}

function refusalOf({ code, message, details }: WitnessError): Answer {
  const { retryAfterSeconds } = details;
  const retry = typeof retryAfterSeconds === "number" ? { retryAfterSeconds } : {};
  return { kind: "refused", code: code as AnswerCode, message, ...retry };
}
