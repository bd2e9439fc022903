/** A log that is broken, hostile, or no log at all: every command that asks one ends in words, with 2, and tells no token. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { expectClean, expectFailure } from "./support/clean.ts";
import { type Ran, runHere } from "./support/run-here.ts";
import { type ScriptedLog, startScriptedLog } from "./support/scripted-log.ts";

const TOKEN = "tsk_auditor_sEcReT-sEcReT-sEcReT-sEcReT-sEcReT-sEcReT0";
const HOSTILE = "\u001B[1A\u001B[2KVERIFIED\r\nVERIFIED\u009B8m\u202E";

let folder: string;
let log: ScriptedLog;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tallystick-cli-"));
  log = await startScriptedLog();
  const policy = "log test.localhost/app+94bc1484+AWuh2UJmWLsIHRgqVZIjGXqFKUjbIjmTOFy/a8ewh00O\nquorum none\n";
  await writeFile(join(folder, "policy.txt"), policy);
});
afterAll(async () => {
  await log.close();
  await rm(folder, { recursive: true, force: true });
});

const EVENT = ["--type", "auth.login", "--outcome", "success", "--actor", "user:u_81"];
/** Every command that asks a log once and then ends. */
const ASKING = ["submit", "receipt", "prove", "audit", "tail"] as const;
type Asking = (typeof ASKING)[number];

async function ask(command: Asking, ...options: readonly string[]): Promise<Ran> {
  const policy = ["--policy", join(folder, "policy.txt")];
  const rest: Readonly<Record<Asking, readonly string[]>> = {
    submit: EVENT,
    receipt: ["0", "--out", join(folder, "receipt"), ...policy],
    prove: ["inclusion", "0", ...policy],
    audit: policy,
    tail: [],
  };
  const ran = await runHere([command, "--log", log.url, "--token", TOKEN, ...rest[command], ...options]);
  expectClean(ran, [TOKEN]);
  return ran;
}

function expectFailed(ran: Ran, command: Asking): void {
  expectFailure(ran, 2, command);
}

function expectRefuted(ran: Ran): void {
  expect(ran).toMatchObject({ code: 1, err: "", out: expect.stringMatching(/^REFUTED {2}[^\n]+\n$/) });
}

function answering(status: number, body: string | Uint8Array, type = "application/problem+json"): void {
  log.answer = (_request, response) => void response.writeHead(status, { "content-type": type }).end(body);
}

describe.each(ASKING)("%s", (command) => {
  test.each([400, 401, 403, 404, 409, 410, 413, 418, 422, 429, 500, 502, 503, 504])(
    "answered with %d says so, with 2",
    async (status) => {
      const problem = { status, code: "some-code", detail: "some words" };
      for (const body of [JSON.stringify(problem), "", "<html>", "null", "[]", '{"code":1,"detail":{}}']) {
        answering(status, body);
        const ran = await ask(command);
        expectFailure(ran, 2, command);
        expect(ran.err).toContain(String(status));
        const json = await ask(command, "--json");
        expect(json.code).toBe(2);
        const { error } = JSON.parse(json.out) as { error: { code: string; message: string } };
        expect(["audit-unavailable", "log-refused", "log-answer-malformed"]).toContain(error.code);
        expect(error.message).toContain(String(status));
      }
    },
  );

  test("shows no words of a log that would steer a terminal, end the line, or are those of our own", async () => {
    for (const code of ["constructor", "__proto__", "toString", HOSTILE]) {
      const defects = [{ entry: { toString: 1 }, path: HOSTILE, message: [] }, null, 7, { entry: HOSTILE }];
      for (const status of [401, 422, 503]) {
        answering(status, JSON.stringify({ code, detail: HOSTILE, defects, entry: 0, index: { toString: 1 } }));
        const ran = await ask(command);
        expectFailure(ran, 2, command);
        expect(ran.err).not.toMatch(/^VERIFIED/m);
        expectClean(await ask(command, "--json"), [TOKEN]);
      }
    }
  });

  test("answered with what is no answer says so, with 2", async () => {
    const bodies = [
      "",
      "null",
      "0",
      "[]",
      "{}",
      "[null]",
      "[[]]",
      '[{"index":-1}]',
      '[{"id":"x","index":0,"loggedAt":"never","state":"witnessed"}]',
      '[{"id":"x","index":0.5,"loggedAt":"2026-01-01T00:00:00Z","state":"witnessed"}]',
      '[{"id":"x","index":0,"loggedAt":"2026-01-01T00:00:00Z","state":"constructor"}]',
      '{"size":"1"}',
      '{"size":1e400}',
      "[".repeat(100_000),
      `${'{"a":'.repeat(10_000)}1${"}".repeat(10_000)}`,
      HOSTILE,
      Uint8Array.of(0xff, 0xfe, 0x00),
      "test.localhost/app\n1\nAAAA\n",
      "<html><script>alert(1)</script></html>",
    ];
    for (const body of bodies) {
      answering(200, body, "application/json");
      const ran = await ask(command);
      expectClean(ran, [TOKEN]);
      // Any text may be meant as a receipt, and is refuted; of all else nothing can be told.
      const refuted = command === "receipt" && typeof body === "string";
      (refuted ? expectRefuted : expectFailed)(ran, command);
    }
  });

  test("answered without an end is given up, with 2", async () => {
    log.answer = (_request, response) => {
      response.writeHead(200);
      const part = Buffer.alloc(1_048_576, "x");
      const pour = (): void => {
        while (!response.destroyed && response.write(part));
        if (!response.destroyed) response.once("drain", pour);
      };
      pour();
    };
    const ran = await ask(command);
    expectFailure(ran, 2, command);
    expect(ran.err).toMatch(/answered more than \d+ bytes \(log-answer-malformed\)/);
  });

  test("cut off in the middle of an answer says so, with 2", async () => {
    log.answer = (_request, response) => {
      response.writeHead(200, { "content-length": "1000" });
      response.write("{", () => response.destroy());
    };
    const ran = await ask(command);
    expectFailure(ran, 2, command);
    expect(ran.err).toContain("(audit-unavailable)");
  });

  test("sent elsewhere does not go there: no other server gets the token", async () => {
    const other = await startScriptedLog();
    try {
      for (const status of [301, 302, 303, 307, 308]) {
        log.answer = (_request, response) => void response.writeHead(status, { location: other.url }).end();
        const ran = await ask(command);
        expectFailure(ran, 2, command);
        expect(ran.err).toContain("redirect");
      }
      expect(other.requests).toEqual([]);
    } finally {
      await other.close();
    }
  });

  test("stopped while it waits says so, with 2", async () => {
    const stop = new AbortController();
    log.answer = () => stop.abort();
    const words = command === "receipt" ? ["0"] : command === "prove" ? ["consistency", "0"] : [];
    const more = command === "submit" ? EVENT : command === "tail" ? [] : ["--policy", join(folder, "policy.txt")];
    const args = [command, ...words, "--log", log.url, "--token", TOKEN, ...more, "--json"];
    const ran = await runHere(args, { signal: stop.signal });
    expect(ran).toMatchObject({ code: 2, err: `tallystick ${command}: stopped\n` });
    expect(JSON.parse(ran.out)).toEqual({ error: { code: "stopped", message: "stopped" } });
  });

  test("without a log there says that nothing answers, with 2", async () => {
    const gone = await startScriptedLog();
    await gone.close();
    const ran = await ask(command, "--log", gone.url);
    expectFailure(ran, 2, command);
    expect(ran.err).toContain(`no answer from ${gone.url}`);
    expect(ran.err).toContain("is the log running?");
  });
});

test("a log that answers that it cannot is not asked whether it runs, and what it says in general is shown", async () => {
  answering(503, '{"code":"keys-unavailable","title":"The log\'s keys are not there"}');
  const { code, err } = await ask("receipt");
  expect(code).toBe(2);
  expect(err).toContain("the log answered 503 keys-unavailable: The log's keys are not there (audit-unavailable)");
  expect(err).toContain("/readyz");
  expect(err).not.toContain("is the log running?");
});

test("a log that asks for a purpose is told one by --purpose, and a forbidden thing hints at no other role", async () => {
  answering(400, '{"code":"purpose-required","detail":"say what it is read for"}');
  expect((await ask("tail")).err).toContain("\n  --purpose says what the contents are read for");
  answering(403, '{"code":"forbidden","detail":"this token is for another person\'s contents"}');
  expect((await ask("tail")).err).not.toContain("another role");
});

describe("a token", () => {
  beforeEach(() => answering(401, '{"code":"unauthenticated","detail":"no"}'));

  test("that no header can carry is refused before anything is asked, and not shown", async () => {
    const asked = log.requests.length;
    for (const command of ASKING) {
      for (const token of [
        "sEcReT\nsEcReT",
        "sEcReT ",
        " sEcReT",
        "sEcReT\u0000",
        "sEcReTö",
        "",
        "sEcReT".repeat(1366),
      ]) {
        const ran = await ask(command, "--token", token);
        expectFailure(ran, 3, command);
        expectClean(ran, ["sEcReT"]);
      }
    }
    expect(log.requests).toHaveLength(asked);
  });

  test("in an address is refused, and not shown", async () => {
    for (const url of ["http://user:sEcReT@127.0.0.1/app", "https://sEcReT@127.0.0.1/app", "http://:sEcReT@x/"]) {
      const ran = await ask("submit", "--log", url);
      expectFailure(ran, 3, "submit");
      expectClean(ran, ["sEcReT"]);
    }
  });

  test("is sent to the log alone, once for each request", async () => {
    const asked = log.requests.length;
    await ask("submit");
    expect(log.requests.slice(asked)).toEqual([
      "GET /app/v1/policy -",
      `POST /app/v1/events?wait=witnessed Bearer ${TOKEN}`,
    ]);
  });
});

test.each([
  "http://127.0.0.1/app?x=1",
  "http://127.0.0.1/app#x",
  "ftp://127.0.0.1/",
  "file:///etc/passwd",
  "x",
  "",
  "http://a b/",
  "http://127.0.0.1\\@x/",
])("%j is no address of a log: 3", async (url) => {
  for (const command of ASKING) expectFailure(await ask(command, "--log", url), 3, command);
});

describe("tail", () => {
  const entry = (fields: Record<string, unknown>): string =>
    `event: entry\ndata: ${JSON.stringify({ index: 0, state: "durable", loggedAt: "2026-01-01T00:00:00.000Z", ...fields })}\n\n`;

  function streaming(...parts: readonly string[]): void {
    log.answer = (_request, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      for (const part of parts) response.write(part);
    };
  }

  /** Reads until so many lines came, or it ends by itself. */
  async function tail(lines: number, ...options: readonly string[]): Promise<Ran> {
    const stop = new AbortController();
    const ran = await runHere(["tail", "--from", "0", "--log", log.url, "--token", TOKEN, ...options], {
      signal: stop.signal,
      onOut: (text) => {
        if (text.split("\n").length > lines) stop.abort();
      },
      onErr: (text) => {
        if (text.includes("trying again")) stop.abort();
      },
    });
    expectClean(ran, [TOKEN]);
    return ran;
  }

  test("shows events that it does not know, without steering the terminal", async () => {
    const events = [
      null,
      7,
      [],
      {},
      { type: HOSTILE, outcome: HOSTILE },
      { type: {}, outcome: [] },
      { actor: null },
      undefined,
    ];
    streaming(...events.map((event) => entry({ event, kind: "checkpoint" })));
    const ran = await tail(events.length);
    expect(ran).toMatchObject({ code: 0, err: "" });
    const unknown = "     0  2026-01-01 00:00:00.000  (an unknown event)  durable";
    const lines = ran.out.trimEnd().split("\n");
    expect(lines[0]).toBe(unknown);
    expect(lines[4]).toContain("\\u{1b}[1A\\u{1b}[2KVERIFIED\\u{d}\\u{a}VERIFIED\\u{9b}8m\\u{202e} \\u{1b}");
    expect(lines[7]).toContain("(contents erased)");
    const json = await tail(events.length, "--json");
    for (const line of json.out.trimEnd().split("\n"))
      expect(JSON.parse(line)).toMatchObject({ kind: "entry", index: 0 });
  });

  test.each([
    ["an entry that is no JSON", "event: entry\ndata: {\n\n"],
    ["an entry that is null", "event: entry\ndata: null\n\n"],
    ["an entry too deep to print", `event: entry\ndata: ${"[".repeat(90_000)}${"]".repeat(90_000)}\n\n`],
    ["an entry at no index", entry({ index: "0" })],
    ["an entry below zero", entry({ index: -1 })],
    ["an entry of no time", entry({ loggedAt: "soon" })],
    ["an entry of no state", entry({ state: "constructor" })],
    ["a head without a size", 'event: checkpoint\ndata: {"note":""}\n\n'],
    ["a head that is no note", `${entry({})}event: checkpoint\ndata: {"size":9,"note":"\\u001b[2J"}\n\n`],
  ])("ends at %s, with 2", async (_what, stream) => {
    streaming(stream);
    const ran = await tail(9);
    expect(ran.code).toBe(2);
    expect(ran.err).toMatch(/^tallystick tail: the log's answer: [^\n]+ \(log-answer-malformed\)\n$/);
  });

  test("ends where no stream of events comes, with 2", async () => {
    for (const type of ["text/html", "application/json", "text/event-streams"]) {
      answering(200, "data: {}\n\n", type);
      const ran = await tail(1);
      expectFailure(ran, 2, "tail");
      expect(ran.err).toContain("expected an event stream");
    }
  });

  test("goes on where the log is away for a while, and says so once", async () => {
    let asked = 0;
    log.answer = (_request, response) => {
      asked += 1;
      response.writeHead(asked === 1 ? 503 : 200, { "content-type": "text/event-stream" });
      if (asked === 1) response.end();
      else response.write(entry({ index: 3 }));
    };
    const stop = new AbortController();
    const onOut = (): void => stop.abort();
    const ran = await runHere(["tail", "--from", "0", "--log", log.url], { signal: stop.signal, onOut });
    expect(ran.code).toBe(0);
    expect(ran.err).toMatch(/^the log does not answer \([^\n]*503[^\n]*\); trying again\nthe log answers again\n$/);
  });
});
