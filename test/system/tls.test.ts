/** A log and a witness as processes of their own that speak nothing but TLS, under an authority that only they are told of. */
import type { ChildProcess } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createHttpsFetch } from "@tallystick/client";
import { initServer } from "@tallystick/server";
import { addLog, initWitness } from "@tallystick/witness";
import { expect, test, vi } from "vitest";
import { TestAuthority, writeCertificate } from "../support/certificates.ts";
import { exitOf, removeFolder, runCommand, startCommand, temporaryFolder } from "../support/processes.ts";

const EVENT = ["--type", "auth.login", "--outcome", "success", "--actor", "user:u_81"];

/** Waits for the address that a process prints first. */
async function addressOf(child: ChildProcess): Promise<string> {
  let printed = "";
  return new Promise((resolve, reject) => {
    const take = (part: Buffer): void => {
      printed += part.toString();
      const [address] = /https?:\/\/[^\s"]+/.exec(printed) ?? [];
      if (address !== undefined) resolve(address);
    };
    child.stdout?.on("data", take);
    child.stderr?.on("data", (part: Buffer) => (printed += part.toString()));
    child.once("close", (code) => reject(new Error(`ended with ${code}: ${printed}`)));
  });
}

/** Lets the folder of a server or a witness speak TLS. */
async function giveTls(dir: string, config: string, authority: TestAuthority): Promise<void> {
  const { certificate, key } = writeCertificate(authority.issue(config), { dir });
  const before = JSON.parse(await readFile(join(dir, config), "utf8")) as object;
  await writeFile(join(dir, config), JSON.stringify({ ...before, tls: { certificate, key } }));
}

test("an event is witnessed, all of it over TLS, and both end in order", { timeout: 60_000 }, async () => {
  const folder = await temporaryFolder();
  const authority = new TestAuthority();
  const ca = join(folder, "ca.pem");
  await writeFile(ca, authority.certificate);
  vi.stubEnv("NODE_EXTRA_CA_CERTS", ca);
  const children: ChildProcess[] = [];
  try {
    const [witnessDir, logDir] = [join(folder, "witness"), join(folder, "log")];
    const { vkeys } = await initWitness({ dir: witnessDir, name: "w.example" });
    await giveTls(witnessDir, "witness.json", authority);
    const witnessing = startCommand(folder, ["witness", "serve", "--dir", witnessDir, "--listen", "127.0.0.1:0"]);
    children.push(witnessing);
    const witnessUrl = await addressOf(witnessing);
    const witnesses = [{ name: "w", vkeys, url: witnessUrl }];
    const made = await initServer({ dir: logDir, name: "app", origin: "log.example/app", witnesses });
    for (const vkey of made.vkeys) await addLog({ dir: witnessDir, vkey });
    await giveTls(logDir, "server.json", authority);
    const serving = startCommand(folder, ["serve", "--dir", logDir, "--listen", "127.0.0.1:0"]);
    children.push(serving);
    const url = await addressOf(serving);
    expect([url, witnessUrl].map((address) => new URL(address).protocol)).toEqual(["https:", "https:"]);
    const ready = new URL("/readyz", url);
    const fetch = createHttpsFetch({ ca: authority.certificate });
    // Until its witness has answered, the log takes nothing.
    await vi.waitFor(async () => expect((await fetch(ready)).status).toBe(200), { timeout: 30_000, interval: 100 });
    const submit = ["submit", ...EVENT, "--log", url, "--token", made.tokens.writer];
    expect(await runCommand(folder, submit)).toMatchObject({ code: 0, out: expect.stringContaining("witnessed") });
    for (const child of children) child.kill("SIGTERM");
    expect(await Promise.all(children.map(exitOf))).toEqual([0, 0]);
  } finally {
    vi.unstubAllEnvs();
    for (const child of children) child.kill("SIGKILL");
    await removeFolder(folder);
  }
});
