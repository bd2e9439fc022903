import { once } from "node:events";
import { readFile, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { expect, test } from "vitest";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";
import { runHere } from "./support/run-here.ts";

test("a log that lacks its key is told, and keeps no other from being served", async () => {
  const dir = join(temporaryFolder(), "server");
  await runHere(["serve", "--dir", dir, "--init", "--name", "good", "--origin", "log.example/good"]);
  const path = join(dir, "server.json");
  const config = JSON.parse(await readFile(path, "utf8")) as { logs: object[] };
  const bad = { ...config.logs[0], name: "bad", origin: "log.example/bad" };
  await writeFile(path, JSON.stringify({ ...config, logs: [...config.logs, bad] }));
  const abort = new AbortController();
  const statuses: number[] = [];
  const ran = await runHere(["serve", "--dir", dir, "--listen", "127.0.0.1:0"], {
    signal: abort.signal,
    onOut: (text) => {
      const [, url] = /(http:\/\/\S+)\/bad {2}not open: .*bad/.exec(text) ?? [];
      if (url === undefined) return;
      void Promise.all(["good", "bad"].map(async (name) => fetch(`${url}/${name}/v1/policy`)))
        .then((answers) => statuses.push(...answers.map(({ status }) => status)))
        .finally(() => abort.abort());
    },
  });
  expect(statuses).toEqual([200, 503]);
  expect(ran).toMatchObject({ code: 0 });
  expect(ran.out).toMatch(/\/good {2}log\.example\/good {2}log\.example\/good\+/);
});

test("a server none of whose logs opens ends, and says why", async () => {
  const dir = join(temporaryFolder(), "server");
  await runHere(["serve", "--dir", dir, "--init", "--name", "app", "--origin", "log.example/app"]);
  await rm(join(dir, "keys", "app.ed25519.key"));
  const ran = await runHere(["serve", "--dir", dir, "--listen", "127.0.0.1:0"]);
  expect(ran).toMatchObject({ code: 2, err: expect.stringContaining("no log could be opened") });
  expect(ran.out).toContain("app.ed25519.key");
  // The line of JSON for whoever collects logs has the reason too.
  const [line = ""] = ran.err.split("\n");
  expect(JSON.parse(line)).toMatchObject({
    level: "warn",
    message: "a log could not be opened",
    error: expect.stringContaining("app.ed25519.key"),
  });
});

test("dev refuses a port that was asked for and is taken", async () => {
  const taken = createServer().listen(0, "127.0.0.1");
  await once(taken, "listening");
  const { port } = taken.address() as AddressInfo;
  const ran = await runHere(["dev", "--dir", temporaryFolder(), "--port", String(port)]);
  taken.close();
  expect(ran).toMatchObject({ code: 3, err: expect.stringContaining(`--port: ${port} is taken`) });
});
