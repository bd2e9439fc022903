import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { TestAuthority, writeCertificate } from "../../../test/support/certificates.ts";
import { WitnessError, openWitness, serveWitness } from "../src/index.ts";
import { witnessFolder } from "./test-witness.ts";

const authority = new TestAuthority();

async function tlsFolder(): Promise<string> {
  const dir = await witnessFolder([]);
  writeCertificate(authority.issue("witness"), { dir });
  const path = join(dir, "witness.json");
  const tls = { certificate: "tls.pem", key: "tls.key" };
  writeFileSync(path, JSON.stringify({ ...(JSON.parse(readFileSync(path, "utf8")) as object), tls }));
  return dir;
}

/** The error that keeps a witness from starting. */
async function refusal(dir: string, host: string): Promise<WitnessError> {
  const starting = serveWitness({ dir, host, profile: "production" }).then(async (served) => served.close());
  const error: unknown = await starting.catch((cause: unknown) => cause);
  if (error instanceof WitnessError) return error;
  throw new Error("it started, or failed otherwise", { cause: error });
}

describe("serveWitness with the profile for production", () => {
  test.each([
    { host: "0.0.0.0", folder: tlsFolder },
    { host: "127.0.0.1", folder: async () => witnessFolder([]) },
    { host: "localhost", folder: async () => witnessFolder([]) },
  ])("starts on $host where every point is met", async ({ host, folder }) => {
    const served = await serveWitness({ dir: await folder(), host, profile: "production" });
    onTestFinished(async () => served.close());
    expect(served.witness.status().state).toBe("ready");
  });

  test("without TLS off loopback, and with files that others may use, it does not, and names all of it", async () => {
    const dir = await witnessFolder([]);
    chmodSync(join(dir, "keys", "mldsa44.key"), 0o644);
    chmodSync(join(dir, "witness.json"), 0o666);
    const { code, details, message } = await refusal(dir, "192.0.2.9");
    expect([code, details["profile"]]).toEqual(["profile-unmet", "production"]);
    expect(details["points"]).toEqual([
      {
        point: "listener-plain",
        message: "it would listen on 192.0.2.9 without TLS",
        remedy: expect.stringContaining('witness.json "tls"'),
      },
      { point: "files-exposed", message: expect.any(String), remedy: `chmod 600 ${join(dir, "keys", "mldsa44.key")}` },
      { point: "files-exposed", message: expect.any(String), remedy: `chmod 644 ${join(dir, "witness.json")}` },
    ]);
    for (const word of ["192.0.2.9", "mldsa44.key", "witness.json"]) expect(message).toContain(word);
    // Nothing is held: once the key is nobody else's, the witness opens.
    chmodSync(join(dir, "keys", "mldsa44.key"), 0o600);
    await (await openWitness({ dir })).close();
  });

  test.each(["::", "128.0.0.1", "witness.example"])("on %s without TLS it does not start", async (host) => {
    expect((await refusal(await witnessFolder([]), host)).message).toContain(`listen on ${host} without TLS`);
  });
});
