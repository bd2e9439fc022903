import { once } from "node:events";
import { chmodSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { type TLSSocket, connect, createServer } from "node:tls";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { TestAuthority, writeCertificate } from "../../../test/support/certificates.ts";
import { rejectionCode } from "../../../test/support/errors.ts";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";
import { TlsFiles, type TlsFilesOptions, type TlsPaths } from "../src/index.ts";

const DAY_MS = 86_400_000;
const authority = new TestAuthority();

interface Opened {
  readonly files: TlsFiles;
  readonly told: string[];
}

async function open(paths: TlsPaths, options: Partial<TlsFilesOptions> = {}): Promise<Opened> {
  const told: string[] = [];
  const onTrouble = (message: string, details: object): number => told.push(`${message} ${JSON.stringify(details)}`);
  const files = await TlsFiles.open(paths, { intervalMs: 10, ...options, onTrouble });
  onTestFinished(() => files.close());
  return { files, told };
}

/** A server with these files, and a way to connect to it. */
async function listen(files: TlsFiles): Promise<(options?: object) => Promise<TLSSocket>> {
  const server = createServer(files.context, (socket) => {
    socket.on("error", () => undefined);
    socket.pipe(socket);
  });
  files.follow(server);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  return async (options = {}) => {
    const socket = connect({ port, host: "127.0.0.1", ca: authority.certificate, ...options });
    onTestFinished(() => void socket.destroy());
    await once(socket, "secureConnect");
    return socket;
  };
}

function nameOf(socket: TLSSocket): string {
  return socket.getPeerX509Certificate()?.subject ?? "none";
}

describe("TlsFiles", () => {
  test("a client speaks TLS 1.3, or 1.2 where it has no more, and nothing older", async () => {
    const { files } = await open(writeCertificate(authority.issue("first")));
    const to = await listen(files);
    expect((await to()).getProtocol()).toBe("TLSv1.3");
    expect((await to({ maxVersion: "TLSv1.2" })).getProtocol()).toBe("TLSv1.2");
    const old = to({ minVersion: "TLSv1", maxVersion: "TLSv1.1", ciphers: "DEFAULT@SECLEVEL=0" });
    await expect(old).rejects.toThrow("alert protocol version");
    await expect(to({ maxVersion: "TLSv1.2", ciphers: "AES128-SHA" })).rejects.toThrow("alert handshake failure");
  });

  test("a new pair is taken up, and a connection that is open goes on", async () => {
    const dir = temporaryFolder();
    const { files, told } = await open(writeCertificate(authority.issue("first"), { dir }));
    const to = await listen(files);
    const before = await to();
    writeCertificate(authority.issue("second"), { dir });
    await vi.waitFor(async () => expect(nameOf(await to())).toBe("CN=second"), { timeout: 10_000 });
    before.write("still here");
    const [part] = (await once(before, "data")) as [Buffer];
    expect([part.toString(), nameOf(before)]).toEqual(["still here", "CN=first"]);
    expect(told).toEqual([]);
  });

  test("certificate and key that change one after the other are taken up when they are a pair", async () => {
    const dir = temporaryFolder();
    const { files } = await open(writeCertificate(authority.issue("first"), { dir }));
    const to = await listen(files);
    const next = authority.issue("second");
    writeFileSync(join(dir, "tls.pem"), next.certificate);
    await vi.waitFor(async () => expect(nameOf(await to())).toBe("CN=first"));
    writeFileSync(join(dir, "tls.key"), next.key);
    await vi.waitFor(async () => expect(nameOf(await to())).toBe("CN=second"), { timeout: 10_000 });
  });

  test.each([
    ["cut off", (text: string) => text.slice(0, 200), "holds no certificate"],
    ["of other bytes", (text: string) => text.replace(/\nMII.../, "\nMIIAAA"), "does not parse"],
    ["empty", () => "", "holds no certificate"],
    ["of another key", () => authority.issue("second").certificate, "holds another key"],
  ])("a new certificate that is %s is complained of once, and the old one stays", async (_, change, words) => {
    const dir = temporaryFolder();
    const first = authority.issue("first");
    const { files, told } = await open(writeCertificate(first, { dir }));
    const to = await listen(files);
    writeFileSync(join(dir, "tls.pem"), change(first.certificate));
    await vi.waitFor(() => expect(told).toHaveLength(1), { timeout: 10_000 });
    expect(told[0]).toContain(words);
    expect(nameOf(await to())).toBe("CN=first");
    writeCertificate(authority.issue("third"), { dir });
    await vi.waitFor(async () => expect(nameOf(await to())).toBe("CN=third"), { timeout: 10_000 });
    expect(told).toHaveLength(1);
  });

  test("a new certificate that has ended does not replace one that holds", async () => {
    const dir = temporaryFolder();
    const { files, told } = await open(writeCertificate(authority.issue("first"), { dir }));
    writeCertificate(authority.issue("late", { days: -1 }), { dir });
    await vi.waitFor(() => expect(told).toHaveLength(1), { timeout: 10_000 });
    expect(told[0]).toContain("ended at");
    expect(files.expiresAt).toBeGreaterThan(Date.now());
  });

  test.each([
    { days: 15, words: undefined },
    { days: 13, words: "ends soon" },
    { days: -1, words: "has ended" },
  ])("of a certificate of $days days it is told: $words", async ({ days, words }) => {
    const { told } = await open(writeCertificate(authority.issue("first", { days })));
    expect(told.map((line) => line.includes(words ?? "nothing"))).toEqual(words === undefined ? [] : [true]);
  });

  test("that a certificate ends soon is told again each day", async () => {
    const clock = { now: Date.now() };
    const { told } = await open(writeCertificate(authority.issue("first", { days: 10 })), { now: () => clock.now });
    expect(told).toHaveLength(1);
    clock.now += DAY_MS;
    await vi.waitFor(() => expect(told).toHaveLength(2), { timeout: 10_000 });
  });

  test("the server's own certificate tells when it ends, not those behind it", async () => {
    const issued = authority.issue("first", { days: 20 });
    const chain = { ...issued, certificate: issued.certificate + authority.certificate };
    const { files } = await open(writeCertificate(chain));
    expect(Math.abs(files.expiresAt - Date.now() - 20 * DAY_MS)).toBeLessThan(60_000);
  });

  test("what cannot be used is refused at the start, and no message holds a key", async () => {
    const dir = temporaryFolder();
    const issued = authority.issue("first");
    const paths = writeCertificate(issued, { dir });
    const refusal = async (change: Partial<TlsPaths>): Promise<string | undefined> =>
      rejectionCode(open({ ...paths, ...change }));
    expect(await refusal({ certificate: paths.key })).toBe("tls-unusable");
    expect(await refusal({ key: paths.certificate.replace("tls.pem", "none.key") })).toBe("storage-unavailable");
    expect(await refusal({ clientCa: paths.key })).toBe("tls-unusable");
    writeFileSync(paths.key, issued.key.slice(0, 100));
    const error: unknown = await open(paths).catch((cause: unknown) => cause);
    expect(error).toMatchObject({ code: "tls-unusable" });
    const line = issued.key.split("\n")[1] ?? "";
    expect(JSON.stringify([error, String(error), (error as Error).stack])).not.toContain(line.slice(0, 20));
    chmodSync(paths.key, 0o640);
    expect(await refusal({})).toBe("secret-file-exposed");
  });
});
