import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { connect as connectTcp } from "node:net";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { createHttpsFetch } from "../../client/src/index.ts";
import { TestAuthority, writeCertificate } from "../../../test/support/certificates.ts";
import { rejectionCode } from "../../../test/support/errors.ts";
import { type ServeWitnessOptions, type ServedWitness, addLog, openWitness, serveWitness } from "../src/index.ts";
import { TestLog } from "./test-log.ts";
import { witnessFolder } from "./test-witness.ts";

const authority = new TestAuthority();
const fetch = createHttpsFetch({ ca: authority.certificate });

/** A witness' folder with TLS files in it; the configuration names them from there. */
async function tlsFolder(
  logs: readonly TestLog[] = [],
  tls: unknown = { certificate: "tls.pem", key: "tls.key" },
): Promise<string> {
  const dir = await witnessFolder(logs);
  writeCertificate(authority.issue("first"), { dir });
  const path = join(dir, "witness.json");
  writeFileSync(path, JSON.stringify({ ...(JSON.parse(readFileSync(path, "utf8")) as object), tls }));
  return dir;
}

async function serve(options: ServeWitnessOptions): Promise<ServedWitness> {
  const served = await serveWitness(options);
  onTestFinished(() => served.close());
  return served;
}

async function subjectAt(url: string): Promise<string | undefined> {
  const { port } = new URL(url);
  const socket = connectTls({ port: Number(port), host: "127.0.0.1", ca: authority.certificate });
  await once(socket, "secureConnect");
  const subject = socket.getPeerX509Certificate()?.subject;
  socket.destroy();
  return subject;
}

describe("a witness with TLS", () => {
  test("is at an https address, cosigns, and says in every answer that it is only to be reached so", async () => {
    const log = new TestLog();
    const { url } = await serve({ dir: await tlsFolder([log]) });
    expect(url).toMatch(/^https:\/\/127\.0\.0\.1:\d+$/);
    const body = new Uint8Array(log.request(0, 5));
    const cosigned = await fetch(`${url}/add-checkpoint`, { method: "POST", body });
    const conflict = await fetch(`${url}/add-checkpoint`, { method: "POST", body });
    const others = await Promise.all(
      ["healthz", "metrics", "none", "add-checkpoint"].map((path) => fetch(`${url}/${path}`)),
    );
    const answers = [cosigned, conflict, ...others];
    expect(answers.map(({ status }) => status)).toEqual([200, 409, 200, 200, 404, 405]);
    for (const { headers } of answers) expect(headers.get("strict-transport-security")).toBe("max-age=31536000");
    const [, seconds = ""] =
      /^tallystick_witness_tls_certificate_expiry_seconds (\S+)$/m.exec((await others[1]?.text()) ?? "") ?? [];
    expect(Math.abs(Number(seconds) - Date.now() / 1000 - 30 * 86_400)).toBeLessThan(120);
  });

  test("one without TLS says no such thing", async () => {
    const { url } = await serve({ dir: await witnessFolder([]) });
    const { headers } = await globalThis.fetch(`${url}/healthz`);
    expect(headers.get("strict-transport-security")).toBeNull();
  });

  test("takes up a renewed certificate while a connection is open, and the log that is added later keeps it", async () => {
    const log = new TestLog();
    const dir = await tlsFolder();
    const { url } = await serve({ dir, configIntervalMs: 50 });
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
    writeCertificate(authority.issue("second"), { dir });
    await vi.waitFor(async () => expect(await subjectAt(url)).toBe("CN=second"), { timeout: 20_000, interval: 100 });
    // Over the connection that was opened with the first.
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
    await addLog({ dir, vkey: log.vkey });
    expect(JSON.parse(readFileSync(join(dir, "witness.json"), "utf8"))).toMatchObject({
      tls: { certificate: "tls.pem", key: "tls.key" },
    });
  });

  test("closes without waiting for a handshake that is not over", async () => {
    const served = await serve({ dir: await tlsFolder() });
    const half = connectTcp(Number(new URL(served.url).port), "127.0.0.1");
    half.on("error", () => undefined);
    await once(half, "connect");
    // Behind it in the queue of connections: when this one is through, the server knows of the other.
    expect((await fetch(`${served.url}/healthz`)).status).toBe(200);
    const began = performance.now();
    const ended = once(half, "close");
    await served.close();
    await ended;
    expect(performance.now() - began).toBeLessThan(4000);
  });

  test.each([
    { tls: { certificate: "tls.pem", key: "tls.pem" }, code: "secret-file-exposed" },
    { tls: { certificate: "none.pem", key: "tls.key" }, code: "storage-unavailable" },
    { tls: { certificate: "tls.key", key: "tls.key" }, code: "tls-unusable" },
    { tls: { certificate: "tls.pem" }, code: "config-malformed" },
    { tls: { certificate: "", key: "tls.key" }, code: "config-malformed" },
    { tls: { certificate: "tls.pem", key: "tls.key", clientCa: "ca.pem" }, code: "config-malformed" },
    { tls: true, code: "config-malformed" },
  ])("does not start with $tls, and lets the folder go", async ({ tls, code }) => {
    const dir = await tlsFolder([], tls);
    expect(await rejectionCode(serveWitness({ dir }))).toBe(code);
    if (code !== "config-malformed") await (await openWitness({ dir })).close();
  });
});
