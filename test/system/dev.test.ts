/** The main job with real processes: a log, three witnesses, an import, an outage, a second start. */
import { spawnSync } from "node:child_process";
import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { vectorPath, vectorsDir } from "../support/vectors.ts";
import {
  type Dev,
  exitOf,
  removeFolder,
  runCommand,
  startCommand,
  startDev,
  temporaryFolder,
} from "../support/processes.ts";

let folder: string;
let dev: Dev;

beforeAll(async () => {
  folder = await temporaryFolder();
  dev = await startDev(folder);
}, 60_000);

afterAll(async () => {
  await dev.stop();
  await removeFolder(folder);
});

interface Submitted {
  readonly index: number;
  readonly state: string;
}

async function submit(...more: readonly string[]): Promise<{ code: number | null; entries: readonly Submitted[] }> {
  const { code, out } = await runCommand(folder, [
    "submit",
    "--json",
    "--type",
    "auth.login",
    "--outcome",
    "success",
    "--actor",
    "user:u_81",
    ...more,
  ]);
  return { code, entries: JSON.parse(out) as Submitted[] };
}

async function readiness(): Promise<{
  ready: boolean;
  logs: { state: string; reasons: { code: string; message: string }[] }[];
}> {
  const response = await fetch(`${new URL(dev.file.log.url).origin}/readyz`);
  return (await response.json()) as Awaited<ReturnType<typeof readiness>>;
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 200; tries += 1) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error("it did not become so");
}

describe("dev", () => {
  test("says what runs where, what to type, and that witnesses of one's own convince only oneself", () => {
    const text = dev.printed();
    for (const { url } of dev.file.witnesses) expect(text).toContain(url);
    expect(text).toContain(dev.file.log.url);
    expect(text).toContain("submit --type auth.login");
    expect(text).toContain("verify 0.evidence.json");
    expect(text).toContain("convince only oneself");
  });

  test("writes dev.json for its owner alone, as the other commands read it", async () => {
    expect(Object.keys(dev.file)).toEqual(["log", "witnesses", "policy"]);
    expect(dev.file.log.url.endsWith("/")).toBe(false);
    expect(dev.file.log.vkeys[0]).toMatch(/^dev\.localhost\/app\+[0-9a-f]{8}\+A/);
    expect(dev.file.witnesses.map(({ name }) => name)).toEqual(["dev-1", "dev-2", "dev-3"]);
    expect((await stat(join(folder, ".tallystick", "dev.json"))).mode & 0o777).toBe(0o600);
  });
});

describe("a receipt", () => {
  test("C-212 is written to a file that ends in .tlog-proof, where no other name is given", async () => {
    expect((await submit()).entries[0]?.state).toBe("witnessed");
    expect((await runCommand(folder, ["receipt", "0"])).code).toBe(0);
    expect(await readFile(join(folder, "0.tlog-proof"), "utf8")).toMatch(/^c2sp\.org\/tlog-proof@v1\n/);
    expect((await runCommand(folder, ["verify", "0.tlog-proof"])).code).toBe(0);
  });

  test("C-214 verifies without any network, and no file with one flipped bit does", async () => {
    expect((await submit()).entries[0]?.state).toBe("witnessed");
    expect((await runCommand(folder, ["receipt", "0", "--evidence"])).code).toBe(0);
    const offline = spawnSync("unshare", ["-n", "true"]).status === 0 ? ["unshare", "-n"] : [];
    const verified = await runCommand(folder, ["verify", "0.evidence.json"], offline);
    expect(verified.out).toMatch(/^VERIFIED {2}auth\.login success by user:u_81\n/);
    expect(verified.code).toBe(0);
    const bytes = await readFile(join(folder, "0.evidence.json"));
    for (const place of [0.01, 0.2, 0.4, 0.6, 0.8, 0.95]) {
      const spoilt = Buffer.from(bytes);
      const at = Math.floor(bytes.length * place);
      spoilt.writeUInt8(spoilt.readUInt8(at) ^ 1, at);
      await writeFile(join(folder, "spoilt.json"), spoilt);
      const refused = await runCommand(folder, ["verify", "spoilt.json"]);
      expect(refused.code).not.toBe(0);
      expect(refused.out).toMatch(/^REFUTED {2}[a-z-]+: |refused at step quorum/);
    }
  });
});

describe.skipIf(vectorsDir() === undefined)("import of a real OpenSSH log (the shared vectors are needed)", () => {
  test("logs its 2,000 lines once, however often it is run", async () => {
    const before = dev.file.log.url;
    const file = vectorPath("events/openssh/OpenSSH_2k.log");
    const first = JSON.parse((await runCommand(folder, ["import", "--json", file])).out) as {
      added: number;
      unreadable: number;
      types: Record<string, number>;
    };
    expect(first).toMatchObject({ added: 2000, unreadable: 0 });
    expect(first.types).toMatchObject({
      "auth.login failure": 524,
      "auth.login success": 1,
      "ssh.user.invalid failure": 113,
    });
    const again = JSON.parse((await runCommand(folder, ["import", "--json", file])).out) as {
      added: number;
      there: number;
    };
    expect(again).toMatchObject({ added: 0, there: 2000 });
    const audit = await runCommand(folder, ["audit", "--json", before]);
    expect(JSON.parse(audit.out)).toMatchObject({ verdict: "VERIFIED", findings: [] });
    expect(audit.code).toBe(0);
  }, 60_000);
});

describe("an outage of two witnesses", () => {
  test("leaves durable going, says why nothing is witnessed, and ends by itself", async () => {
    const pids = [...dev.printed().matchAll(/dev-[23], process (\d+)/g)].map(([, pid]) => Number(pid));
    expect(pids).toHaveLength(2);
    const published = await (await fetch(`${dev.file.log.url}/checkpoint`)).text();
    for (const pid of pids) process.kill(pid, "SIGKILL");
    const durable = await submit("--wait", "durable");
    expect(durable).toMatchObject({ code: 0, entries: [{ state: "durable" }] });
    const response = await fetch(`${dev.file.log.url}/v1/events?wait=witnessed&timeout=500`, {
      method: "POST",
      headers: { authorization: `Bearer ${dev.file.log.tokens.writer}`, "content-type": "application/json" },
      body: JSON.stringify({
        id: "0198c5d2-7c3a-7f4e-9d1b-2f6a8e0c4b7d",
        time: Date.now(),
        type: "auth.logout",
        actor: { type: "user", id: "u_81" },
      }),
    });
    expect(response.status).toBe(202);
    expect(await response.json()).toMatchObject({ state: "durable" });
    await until(
      async () => (await readiness()).logs[0]?.reasons.some(({ code }) => code === "quorum-not-met") === true,
    );
    expect((await readiness()).logs[0]?.reasons[0]?.message).toMatch(/dev-2|dev-3/);
    expect(await (await fetch(`${dev.file.log.url}/checkpoint`)).text()).toBe(published);
    const [, second] = dev.file.witnesses;
    const witness = startCommand(folder, [
      "witness",
      "serve",
      "--dir",
      ".tallystick/witnesses/dev-2",
      "--listen",
      new URL(second?.url ?? "").host,
    ]);
    await until(async () => (await readiness()).logs[0]?.reasons.length === 0);
    expect(await (await fetch(`${dev.file.log.url}/checkpoint`)).text()).not.toBe(published);
    witness.kill("SIGTERM");
    await exitOf(witness);
  }, 60_000);
});

describe("a second start", () => {
  test("finds the same log and goes on", async () => {
    const { size } = await sizeOf();
    expect(await dev.stop()).toBe(0);
    dev = await startDev(folder);
    expect(dev.file.log.vkeys[0]).toMatch(/^dev\.localhost\/app\+/);
    expect((await sizeOf()).size).toBeGreaterThanOrEqual(size);
    expect((await submit()).entries[0]?.state).toBe("witnessed");
    expect((await runCommand(folder, ["verify", "0.evidence.json"])).code).toBe(0);
  }, 60_000);
});

async function sizeOf(): Promise<{ size: number }> {
  const text = await (await fetch(`${dev.file.log.url}/checkpoint`)).text();
  return { size: Number(text.split("\n")[1]) };
}
