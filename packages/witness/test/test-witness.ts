/** A witness in a folder that the test owns, with a clock that the test sets, asked over HTTP without a network. */
import { onTestFinished } from "vitest";
import { type Verifier, decodeUtf8, parseNote, parseVkey } from "@tallystick/core";
import type { Hono } from "hono";
import {
  type LogConfig,
  type OpenWitnessOptions,
  type Witness,
  type WitnessAppOptions,
  addLog,
  createWitnessApp,
  initWitness,
  openWitness,
} from "../src/index.ts";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";
import type { TestLog } from "./test-log.ts";

export const NAME = "witness.example/w1";
export const START_MS = 1_760_000_000_000;

/** Makes the folder of a witness that knows `logs`. */
export async function witnessFolder(logs: readonly (TestLog | LogConfig)[]): Promise<string> {
  const dir = temporaryFolder();
  await initWitness({ dir, name: NAME });
  for (const log of logs) {
    const { origin } = log;
    if ("vkeys" in log) for (const vkey of log.vkeys) await addLog({ dir, vkey, ...log });
    else for (const { vkey } of log.signers) await addLog({ dir, vkey, origin });
  }
  return dir;
}

export interface Reply {
  readonly status: number;
  readonly type: string | null;
  readonly headers: Headers;
  readonly body: string;
}

export class TestWitness {
  readonly witness: Witness;
  readonly app: Hono;
  readonly clock: { nowMs: number };

  private constructor(witness: Witness, app: Hono, clock: { nowMs: number }) {
    this.witness = witness;
    this.app = app;
    this.clock = clock;
  }

  static async open(dir: string, options: Partial<OpenWitnessOptions & WitnessAppOptions> = {}): Promise<TestWitness> {
    const clock = { nowMs: START_MS };
    const witness = await openWitness({ dir, now: () => clock.nowMs, ...options });
    onTestFinished(() => witness.close());
    return new TestWitness(witness, createWitnessApp(witness, options), clock);
  }

  /** With a folder of its own. */
  static async start(
    logs: readonly (TestLog | LogConfig)[],
    options: Partial<OpenWitnessOptions & WitnessAppOptions> = {},
  ): Promise<TestWitness> {
    return TestWitness.open(await witnessFolder(logs), options);
  }

  get verifiers(): Verifier[] {
    return this.witness.vkeys.map(parseVkey);
  }

  add(body: Uint8Array | string): Promise<Reply> {
    return this.post("/add-checkpoint", body);
  }

  sign(body: Uint8Array | string): Promise<Reply> {
    return this.post("/sign-subtree", body);
  }

  post(path: string, body: Uint8Array | string): Promise<Reply> {
    return this.request(path, { method: "POST", body: typeof body === "string" ? body : new Uint8Array(body) });
  }

  async request(path: string, init: RequestInit = {}): Promise<Reply> {
    const response = await this.app.request(path, init);
    const { status, headers } = response;
    return {
      status,
      type: headers.get("content-type"),
      headers,
      body: decodeUtf8(new Uint8Array(await response.arrayBuffer())),
    };
  }

  /** The checkpoint on the monitoring prefix. */
  async latest(log: TestLog): Promise<Reply> {
    return this.request(`/${log.hash}/checkpoint`);
  }

  /** The size cosigned last. */
  sizeOf(log: TestLog): bigint | undefined {
    return this.witness.status().logs.find(({ origin }) => origin === log.origin)?.size;
  }

  /** Verifies the lines of an answer over the checkpoint that was sent, and gives their times. */
  timesOf(reply: Reply, checkpoint: string): bigint[] {
    const { text } = parseNote(checkpoint);
    const note = parseNote(`${text}\n${reply.body}`);
    return note.signatures.map((signature) => {
      const verifier = this.verifiers.find(({ name, keyId }) => name === signature.name && keyId === signature.keyId);
      const claim = verifier?.verify(note, signature.signature);
      if (claim?.timestamp === undefined) throw new Error(`does not verify: ${signature.line}`);
      return claim.timestamp;
    });
  }
}
