import { describe, expect, test } from "vitest";
import { errorCode, rejectionCode } from "../../../test/support/errors.ts";
import { type ServerConfig, parseConfig, readConfig } from "../src/index.ts";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";

const log = { name: "app", origin: "log.example/app" };

function parse(value: unknown): ServerConfig {
  return parseConfig(JSON.stringify(value), "server.json");
}

function messageOf(value: unknown): string {
  try {
    parse(value);
  } catch (error) {
    return error instanceof Error ? error.message : "";
  }
  return "";
}

describe("parseConfig", () => {
  test("fills in what is left out", () => {
    const config = parse({ logs: [log] });
    expect(config).toMatchObject({
      listen: { host: "127.0.0.1", port: 7420 },
      rateLimit: { requestsPerSecond: 2000, burst: 4000 },
      graceMs: 5000,
      logs: [{ ...log, witnesses: [], senderKeys: [], pinFirstSenderKey: false, publicEntries: false }],
    });
    expect(parse({ listen: { port: 0 }, rateLimit: { burst: 5 }, logs: [log] })).toMatchObject({
      listen: { host: "127.0.0.1", port: 0 },
      rateLimit: { requestsPerSecond: 2000, burst: 5 },
    });
  });

  test.each([
    ["no logs", { logs: [] }, "logs"],
    ["an unknown field", { logs: [log], colour: "red" }, "colour"],
    ["an unknown field of a log", { logs: [{ ...log, orgin: "x" }] }, "logs.0"],
    ["a name with a slash", { logs: [{ ...log, name: "a/b" }] }, "logs.0.name"],
    ["a name of the server's own", { logs: [{ ...log, name: "metrics" }] }, "logs.0.name"],
    ["an empty origin", { logs: [{ ...log, origin: "" }] }, "logs.0.origin"],
    ["a port beyond all ports", { listen: { port: 65_536 }, logs: [log] }, "listen.port"],
    ["a port in text", { listen: { port: "80" }, logs: [log] }, "listen.port"],
    ["a wait of nothing", { logs: [{ ...log, publishIntervalMs: 0 }] }, "logs.0.publishIntervalMs"],
    ["no rate", { rateLimit: { requestsPerSecond: 0 }, logs: [log] }, "rateLimit.requestsPerSecond"],
    [
      "a sender key in capitals",
      { logs: [{ ...log, senderKeys: [{ publicKey: "AB".repeat(32) }] }] },
      "logs.0.senderKeys.0.publicKey",
    ],
    [
      "a witness without a key",
      { logs: [{ ...log, witnesses: [{ name: "w", vkeys: [], url: "http://w" }] }] },
      "logs.0.witnesses.0.vkeys",
    ],
    [
      "a witness' key that is none",
      { logs: [{ ...log, witnesses: [{ name: "w", vkeys: ["x"], url: "http://w" }] }] },
      "logs.0.witnesses.0.vkeys.0",
    ],
    [
      "a witness' address with a slash at the end",
      { logs: [{ ...log, witnesses: [{ name: "w", vkeys: [], url: "http://w/" }] }] },
      "logs.0.witnesses.0.url",
    ],
    [
      "a witness' address that is a file",
      { logs: [{ ...log, witnesses: [{ name: "w", vkeys: [], url: "file:///w" }] }] },
      "logs.0.witnesses.0.url",
    ],
    ["two logs of one name", { logs: [log, { ...log, origin: "other" }] }, "logs"],
    ["two logs of one origin", { logs: [log, { ...log, name: "other" }] }, "logs"],
  ])("refuses %s, and names the field", (_, value, path) => {
    expect(errorCode(() => parse(value))).toBe("config-malformed");
    expect(messageOf(value)).toContain(path);
    expect(messageOf(value)).toMatch(/^server\.json: /);
  });

  test("names everything that is wrong at once", () => {
    const message = messageOf({ listen: { port: -1 }, logs: [{ ...log, name: "A" }] });
    expect(message).toContain("listen.port");
    expect(message).toContain("logs.0.name");
  });

  test.each(["", "{", '{"logs":[],"logs":[]}', "// x"])(
    "refuses %j, which is not JSON or says a thing twice",
    (text) => {
      expect(errorCode(() => parseConfig(text, "server.json"))).toBe("config-malformed");
    },
  );
});

test("a folder without a server says how to get one", async () => {
  const missing = readConfig(`${temporaryFolder()}/server.json`);
  await expect(missing).rejects.toThrow("--init");
  expect(await rejectionCode(readConfig(`${temporaryFolder()}/server.json`))).toBe("config-malformed");
});
