/** Folders and clients that a test leaves nothing of. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { type Report, type Tallystick, type TallystickOptions, createTallystick } from "../../src/index.ts";
import { type LogDouble, TOKEN } from "./log-double.ts";

export async function createFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "tallystick-client-"));
  onTestFinished(async () => rm(folder, { recursive: true, force: true }));
  return folder;
}

export interface Started {
  readonly client: Tallystick;
  /** What onError was told. */
  readonly errors: Error[];
}

/** A client of the double; closed when the test is over. */
export function startClient(log: LogDouble, options: TallystickOptions = {}): Started {
  const errors: Error[] = [];
  const client = createTallystick({
    url: log.url,
    token: TOKEN,
    policy: log.policyText,
    outbox: "none",
    fetch: log.fetch,
    onError: (error) => errors.push(error),
    ...options,
  });
  onTestFinished(async () => client.close({ timeoutMs: 0 }).catch(() => undefined));
  return { client, errors };
}

export function login(id: string = "u_81", more: Partial<Report> = {}): Report {
  return { type: "auth.login", outcome: "success", actor: { type: "user", id }, auth: { method: "password" }, ...more };
}

/** Waits until something holds; fails after ten seconds. */
export async function until(holds: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`still not: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
