/** What a witness must have before it may serve in production: each point that is not met, and the way to meet it. */
import { isIP } from "node:net";
import { join, resolve } from "node:path";
import { type ExposedPath, findExposed } from "@tallystick/storage";
import { type WitnessConfig, configPath } from "./config.ts";
import { WitnessError } from "./error.ts";

export interface UnmetPoint {
  readonly point: "files-exposed" | "listener-plain";
  readonly message: string;
  /** What to do. */
  readonly remedy: string;
}

export interface AssertProfileOptions {
  readonly dir: string;
  readonly config: WitnessConfig;
  /** Where it will listen. */
  readonly host: string;
}

/**
 * Holds a witness' folder against the profile for production. Opens nothing.
 *
 * @throws {WitnessError} `profile-unmet`: `details.points` names every point that is not met, with its remedy.
 */
export async function assertProduction({ dir, config, host }: AssertProfileOptions): Promise<void> {
  const exposed = await findExposed(guardedPaths(dir, config));
  const points = [...(config.tls === undefined ? plainListener(host) : []), ...exposed.map(exposedFile)];
  if (points.length === 0) return;
  const all = points.map(({ point, message }) => `${point}: ${message}`).join("; ");
  throw new WitnessError("profile-unmet", `not ready for production: ${all}`, {
    details: { profile: "production", points },
  });
}

function guardedPaths(dir: string, { tls }: WitnessConfig): { readonly path: string; readonly isPublic?: boolean }[] {
  const secrets = ["keys", join("keys", "ed25519.key"), join("keys", "mldsa44.key")].map((path) => join(dir, path));
  const open = [dir, configPath(dir), join(dir, "state"), join(dir, "high-water")];
  if (tls !== undefined) {
    secrets.push(resolve(dir, tls.key));
    open.push(resolve(dir, tls.certificate));
  }
  return [...secrets.map((path) => ({ path })), ...open.map((path) => ({ path, isPublic: true }))];
}

function plainListener(host: string): readonly UnmetPoint[] {
  if (isLoopback(host)) return [];
  return [
    {
      point: "listener-plain",
      message: `it would listen on ${host} without TLS`,
      remedy: 'give witness.json "tls": {"certificate", "key"}, or listen on 127.0.0.1 behind a proxy that speaks TLS',
    },
  ];
}

function isLoopback(host: string): boolean {
  return host === "::1" || host === "localhost" || (isIP(host) === 4 && host.startsWith("127."));
}

function exposedFile({ path, mode, expected }: ExposedPath): UnmetPoint {
  const message = `others than its owner may use ${path} (mode ${mode})`;
  return { point: "files-exposed", message, remedy: `chmod ${expected} ${path}` };
}
