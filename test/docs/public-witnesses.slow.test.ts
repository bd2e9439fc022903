/** docs/guides/public-witnesses.md: its files are what the programs read, and done as it says, a log is witnessed. */
import { type ChildProcess, execFile, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { type Server, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { allCommands } from "@tallystick/cli";
import { originHash, parsePolicy, parseVkey } from "@tallystick/core";
import { type ServedWitness, addList, initWitness, parseLogList, serveWitness } from "@tallystick/witness";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { RequestCounter, formatMetrics } from "../../packages/witness/src/metrics.ts";
import { exitOf, removeFolder, runCommand, startCommand, temporaryFolder } from "../support/processes.ts";

const COMMANDS = await allCommands();

const ROOT = resolve(import.meta.dirname, "../..");
const page = await readFile(join(ROOT, "docs/guides/public-witnesses.md"), "utf8");

/** The blocks of the page in one language that hold `marker`. */
function block(language: string, marker: string): string {
  const blocks = [...page.matchAll(/```(\w+)\n([\s\S]*?)```/g)].filter(
    ([, found, text = ""]) => found === language && text.includes(marker),
  );
  const [, , text] = blocks[0] ?? [];
  if (text === undefined || blocks.length > 1) throw new Error(`${blocks.length} blocks of ${language} with ${marker}`);
  return text;
}

/** The words of the command that begins with `start`; a backslash at the end of a line joins it with the next. */
function commandOf(start: string): string[] {
  const line = page.replaceAll(/\\\n\s*/g, "").match(new RegExp(`^\\$ tallystick (${start}.*)$`, "m"))?.[1];
  if (line === undefined) throw new Error(`no command ${start}`);
  return line.split(" ");
}

const serverFile = block("json", '"publishIntervalMs"');
const policyFile = block("text", "quorum everybody");
const listEntry = block("text", "qpd 10000");
const witnessFile = block("json", "tallystick/witness@1");
const fetchScript = block("sh", "#!/bin/sh");
const knock = block("sh", "47DEQpj8HBSa");
const unit = block("ini", "Description=Tallystick witness");

describe("the files of the page", () => {
  test("name the same witnesses in the command, the configuration and the policy", () => {
    const { logs } = JSON.parse(serverFile) as {
      logs: [{ origin: string; witnesses: { name: string; vkeys: string[]; url: string }[] }];
    };
    const [{ origin, witnesses }] = logs;
    const asked = commandOf("serve --dir /var/lib/tallystick --init").filter(
      (word) => word.includes("=witness.") || word.includes("=tlog."),
    );
    expect(witnesses.map(({ name, vkeys, url }) => `${name}=${vkeys.join(",")}@${url}`)).toEqual(asked);
    const policy = parsePolicy(policyFile);
    expect(policy.witnesses.map(({ name, url, verifier }) => [name, url, verifier.vkey, verifier.type])).toEqual(
      witnesses.map(({ name, url, vkeys }) => [name, url, vkeys[0], 4]),
    );
    expect(policy.logs.map(({ verifier }) => [verifier.name, verifier.type])).toEqual([[origin, 1]]);
    expect(page).toContain(`/${originHash(origin)}/checkpoint`);
  });

  test("what is asked for is what the list says, and what the witness writes down", () => {
    const [log] = parseLogList(`logs/v0\n${listEntry}`);
    const { logs } = JSON.parse(witnessFile) as { logs: object[] };
    expect(logs).toEqual([{ origin: log?.origin, vkeys: [log?.vkey], qpd: log?.qpd, contact: log?.contact }]);
    const request = block("text", "Please add a log");
    for (const value of [log?.origin, log?.vkey, `${log?.qpd} a day`, log?.contact]) expect(request).toContain(value);
  });

  test("the about page has a key of a witness, and the limits of the proxy", () => {
    const about = block("text", "Witness witness.example.org/w1");
    const vkey = /^Key: +(\S+)$/m.exec(about)?.[1] ?? "";
    expect(parseVkey(vkey)).toMatchObject({ name: "witness.example.org/w1", type: 4 });
    const proxy = block("nginx", "limit_req_zone");
    expect(proxy).toContain("rate=50r/s");
    expect(proxy).toContain("client_max_body_size 128k;");
    expect(about).toMatch(/50 requests a second[^\n]*128 KiB/);
    for (const [, url = ""] of fetchScript.matchAll(/(https:\S+)/g)) expect(about).toContain(url);
  });

  test("the proxy lets through what is public, and nothing else", () => {
    const locations = [...block("nginx", "limit_req_zone").matchAll(/location ~ "(.*?)" \{([^}]*)\}/g)];
    const passed = (path: string): boolean =>
      locations.some(([, pattern = "", body = ""]) => new RegExp(pattern).test(path) && body.includes("proxy_pass"));
    for (const path of ["/add-checkpoint", "/sign-subtree", `/${originHash("a")}/checkpoint`]) {
      expect([path, passed(path)]).toEqual([path, true]);
    }
    for (const path of ["/metrics", "/readyz", "/healthz", "/", "/add-checkpoint/", "/A/checkpoint", "/checkpoint"]) {
      expect([path, passed(path)]).toEqual([path, false]);
    }
    expect(block("nginx", "limit_req_zone")).toContain("location / { return 404; }");
  });

  test("every command is one, with options that it has, and every metric is one", () => {
    const lines = page.replaceAll(/\\\n\s*/g, "").match(/(?<=\$ |bin\/)tallystick [a-z][^`\n]*/g) ?? [];
    expect(lines.length).toBeGreaterThan(5);
    for (const line of lines) {
      const command = COMMANDS.find(({ name }) => name === line.split(" ")[1]);
      expect(command?.name).toBe(line.split(" ")[1]);
      const options = [...line.matchAll(/--([a-z-]+)/g)].map(([, option = ""]) => option);
      expect(options.filter((option) => !Object.hasOwn(command?.options ?? {}, option))).toEqual([]);
    }
    const status = { name: "w", state: "ready", reasons: [], logs: [], lists: [], evidence: 0 } as const;
    const metrics = formatMetrics(new RequestCounter(), status);
    const named = [...page.matchAll(/tallystick_[a-z_]+/g)].map(([name]) => name);
    expect(named.length).toBeGreaterThan(4);
    expect(named.filter((name) => !metrics.includes(`# TYPE ${name} `))).toEqual([]);
  });
});

const hasCurl = spawnSync("curl", ["--version"]).status === 0;
if (!hasCurl) process.stderr.write("skipped: the steps of docs/guides/public-witnesses.md need curl\n");

describe.skipIf(!hasCurl)("the steps of the page", () => {
  /** What stands on the page, and what takes its place on this machine: folders, addresses, keys. */
  const places = new Map<string, string>();
  const children: ChildProcess[] = [];
  const served: ServedWitness[] = [];
  let folder: string;
  let lists: Server;
  let listText = "logs/v0\n";

  const here = (text: string): string => {
    let replaced = text;
    for (const [from, to] of places) replaced = replaced.replaceAll(from, to);
    return replaced;
  };
  const run = async (words: readonly string[]): Promise<string> => {
    const { code, out, err } = await runCommand(folder, words.map(here));
    expect({ words, code, err }).toEqual({ words, code: 0, err: "" });
    return out;
  };
  const shell = async (script: string): Promise<string> => {
    const path = join(folder, "script");
    await writeFile(path, here(script));
    return (await promisify(execFile)("sh", [path])).stdout;
  };

  /** Starts a command that serves; gives its process and the address that it prints. */
  async function start(words: readonly string[]): Promise<{ child: ChildProcess; url: string }> {
    const child = startCommand(folder, [...words.map(here), "--listen", "127.0.0.1:0", "--json"]);
    children.push(child);
    if (child.stdout === null) throw new Error("no output");
    const [line] = (await once(child.stdout, "data")) as [Buffer];
    const { url } = JSON.parse(line.toString()) as { url: string };
    return { child, url };
  }

  /** A witness of somebody else, that reads the same list. */
  async function startOther(name: string, pageVkey: string, pageUrl: string): Promise<() => Promise<void>> {
    const dir = join(folder, pageUrl.replaceAll(/\W/g, "-"));
    const { vkeys } = await initWitness({ dir, name });
    places.set(pageVkey, vkeys[0] ?? "");
    const witness = await serveWitness({ dir });
    served.push(witness);
    places.set(pageUrl, witness.url);
    return async () => {
      await writeFile(join(dir, "list"), listText);
      await addList({ dir, path: join(dir, "list") });
      await witness.reload();
    };
  }

  beforeAll(async () => {
    folder = await temporaryFolder();
    lists = createServer((_, response) => response.end(listText)).listen(0, "127.0.0.1");
    await once(lists, "listening");
    const { port } = lists.address() as AddressInfo;
    places.set("/var/lib/tallystick-witness", join(folder, "witness"));
    places.set("/var/lib/tallystick", join(folder, "log"));
    for (const host of ["testing", "staging"]) {
      places.set(`https://${host}.witness-network.org`, `http://127.0.0.1:${port}/${host}`);
    }
  });
  afterAll(async () => {
    for (const child of children) child.kill("SIGTERM");
    await Promise.all(children.map(exitOf));
    for (const witness of served) await witness.close();
    lists.close();
    await removeFolder(folder);
  }, 30_000);

  test("lead from nothing to a log whose heads bear the cosignatures that its policy asks for", async () => {
    const vkeyOf = (name: string): string => new RegExp(`^witness ${name} (\\S+)`, "m").exec(policyFile)?.[1] ?? "";

    // Our witness, without any log yet.
    const init = await run([...commandOf("witness init"), "--json"]);
    places.set(vkeyOf("own"), (JSON.parse(init) as { vkeys: string[] }).vkeys[0] ?? "");
    await mkdir(here("/var/lib/tallystick-witness/lists"));
    await shell(fetchScript);
    await run(commandOf("witness add-list \\S+testing"));
    await run(commandOf("witness add-list \\S+staging"));
    const [, execStart = ""] = /^ExecStart=\S+tallystick (.*) --listen .*$/m.exec(unit) ?? [];
    const own = await start(execStart.split(" "));
    places.set("https://witness.example.org", own.url);

    // Theirs, and our log with all three.
    const others = [
      await startOther("tlog.example.edu/witness", vkeyOf("edu"), "https://tlog.example.edu/witness"),
      await startOther("witness.example.net/w", vkeyOf("net"), "https://witness.example.net"),
    ];
    const made = JSON.parse(await run([...commandOf("serve --dir /var/lib/tallystick --init"), "--json"])) as {
      vkeys: string[];
      policyPath: string;
      tokens: { writer: string; operator: string };
    };
    places.set(/^vkey (.*)$/m.exec(listEntry)?.[1] ?? "", made.vkeys[0] ?? "");
    await writeFile(join(folder, "log", "server.json"), here(serverFile).replace("10000", "100"), { mode: 0o600 });
    await writeFile(made.policyPath, here(policyFile));

    // Nobody knows the log until it is listed, and the lists are read.
    for (const url of ["https://witness.example.org", "https://witness.example.net"]) {
      expect(await shell(knock.replace("https://witness.example.net", url))).toBe("404\n");
    }
    listText = here(`logs/v0\n\n${listEntry}`);
    await shell(fetchScript);
    expect(/^ExecReload=\S*kill -(\w+) \$MAINPID$/m.exec(unit)?.[1]).toBe("HUP");
    own.child.kill("SIGHUP");
    for (const readList of others) await readList();
    for (const url of ["https://witness.example.org", "https://witness.example.net"]) {
      const asked = knock.replace("https://witness.example.net", url);
      await expect.poll(() => shell(asked), { timeout: 20_000, interval: 100 }).toBe("403\n");
    }
    const configured = JSON.parse(await readFile(here("/var/lib/tallystick-witness/witness.json"), "utf8")) as object;
    expect(configured).toEqual(JSON.parse(here(witnessFile)));

    // The log starts, and what it takes is witnessed.
    const log = await start(commandOf("serve --dir /var/lib/tallystick$"));
    const event = ["--type", "auth.login", "--outcome", "success", "--actor", "user:u_81"];
    const submit = ["submit", ...event, "--log", `${log.url}/app`, "--token", made.tokens.writer];
    await expect.poll(async () => (await runCommand(folder, submit)).code, { timeout: 30_000, interval: 200 }).toBe(0);
    const head = await (await fetch(`${log.url}/app/checkpoint`)).text();
    expect(head).toMatch(/^— witness\.example\.org\/w1 /m);
    expect(head).toMatch(/^— (witness\.example\.net\/w|tlog\.example\.edu\/witness) /m);
    const monitored = await fetch(`${own.url}/${originHash("log.example.com/app")}/checkpoint`);
    expect(await monitored.text()).toMatch(/^log\.example\.com\/app\n[1-9]/);
    const headers = { authorization: `Bearer ${made.tokens.operator}` };
    const states = async (): Promise<string[]> => {
      const status = (await (await fetch(`${log.url}/app/v1/status`, { headers })).json()) as {
        witnesses: { name: string; state: string }[];
      };
      return status.witnesses.map(({ name, state }) => `${name} ${state}`);
    };
    await expect.poll(states, { timeout: 20_000, interval: 100 }).toEqual(["own ok", "net ok", "edu ok"]);
  }, 120_000);
});
