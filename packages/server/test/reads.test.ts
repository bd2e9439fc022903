import * as fc from "fast-check";
import { setTimeout } from "node:timers/promises";
import { describe, expect, test, vi } from "vitest";
import {
  decodeBase64,
  decodeEntryBundle,
  formatTlogProof,
  hashLeaf,
  parseCheckpoint,
  parseNote,
  parsePolicy,
  parseTlogProof,
  tilePath,
  tilesForSize,
  treeHash,
  verifyConsistency,
  verifyInclusion,
  verifyTlogProof,
} from "@tallystick/core";
import { computeCommitment, decodeEvent, decodeLeaf, decodeOpening } from "@tallystick/events";
import { runs } from "./runs.ts";
import { LOG, TestServer, login, sharedServer } from "./test-server.ts";

const IMMUTABLE = "public, max-age=604800, immutable";

async function paths(server: TestServer, candidates: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for (const path of candidates) if ((await server.ask(`/${LOG}/${path}`)).status === 200) found.push(path);
  return found;
}

// For tests that change nothing.
const [withEntries1, withEntries3, withEntries5] = [sharedServer(1), sharedServer(3), sharedServer(5)];

describe("checkpoint", () => {
  test("C-84 C-85 is text that is not cached", async () => {
    const server = await TestServer.start();
    await server.fill(1);
    const reply = await server.ask(`/${LOG}/checkpoint`);
    expect([reply.status, reply.headers.get("content-type"), reply.headers.get("cache-control")]).toEqual([
      200,
      "text/plain; charset=utf-8",
      "no-cache",
    ]);
    expect(parseNote(reply.text).text.split("\n")[0]).toBe("log.example/app");
  });

  test("C-98 of size 0 is served, and no tile exists", async () => {
    const server = await TestServer.start({ witnesses: 0 });
    await vi.waitUntil(() => server.log.checkpoint() !== undefined);
    const { status, text } = await server.ask(`/${LOG}/checkpoint`);
    expect([status, parseCheckpoint(parseNote(text).text).size]).toEqual([200, 0n]);
    for (const path of ["tile/0/000", "tile/0/000.p/0", "tile/0/000.p/1", "tile/entries/000.p/1"]) {
      expect((await server.ask(`/${LOG}/${path}`, { role: "auditor" })).status).toBe(404);
    }
  });
});

describe("checkpoint of a log that grows", () => {
  test("C-61 never shrinks from one answer to the next, whoever asks", async () => {
    const server = await TestServer.start();
    const grown = new AbortController();
    const follow = async (sizes: bigint[], pauseMs: number): Promise<void> => {
      while (!grown.signal.aborted) {
        const { status, text } = await server.ask(`/${LOG}/checkpoint`);
        if (status === 200) sizes.push(parseCheckpoint(parseNote(text).text).size);
        await setTimeout(pauseMs);
      }
    };
    const seen: readonly bigint[][] = [[], [], []];
    const following = [0, 1, 7].map(async (pauseMs, at) => follow(seen[at] ?? [], pauseMs));
    for (const count of [1, 3, 300, 2, 1, 50]) {
      await server.fill(count);
      const size = BigInt(server.log.publishedSize());
      await vi.waitUntil(() => seen.every((sizes) => Number(sizes.at(-1)) >= Number(size)), 10_000);
    }
    server.network.up = false;
    await server.post([login()]);
    grown.abort();
    await Promise.all(following);
    for (const sizes of seen) {
      expect(sizes).toEqual(sizes.toSorted((a, b) => Number(a - b)));
      expect(new Set(sizes).size).toBeGreaterThanOrEqual(6);
    }
  });
});

describe("tiles", () => {
  test("C-86 C-87 C-94 C-97 C-99 exactly the tiles of the formula are served, as immutable bytes", async () => {
    const server = await TestServer.start({ witnesses: 0 });
    await server.fill(256);
    const size = server.log.publishedSize();
    const expected = tilesForSize(size).map(tilePath);
    const widths = Array.from({ length: 256 }, (_, width) => width);
    const near = [0, 1, 2].flatMap((level) =>
      ["000", "001"].flatMap((index) => [
        `tile/${level}/${index}`,
        ...widths.map((width) => `tile/${level}/${index}.p/${width}`),
      ]),
    );
    // Those of earlier heads stay.
    const heads = await server.log.checkpoints({ limit: 1000 });
    const all = new Set(heads.flatMap((head) => tilesForSize(head.size).map(tilePath)));
    expect(new Set(await paths(server, near))).toEqual(all);
    for (const path of expected) {
      const reply = await server.ask(`/${LOG}/${path}`);
      const width = Number(/\.p\/(\d+)$/.exec(path)?.[1] ?? 256);
      expect([reply.headers.get("content-type"), reply.headers.get("cache-control"), reply.bytes.length]).toEqual([
        "application/octet-stream",
        IMMUTABLE,
        32 * width,
      ]);
    }
  });

  test("C-101 C-102 C-113 the tiles of every published head stay, and none goes beyond the newest", async () => {
    const server = await TestServer.start();
    await server.fill(3);
    await server.fill(4);
    server.network.up = false;
    await server.post([login(), login()]);
    const sizes = (await server.log.checkpoints()).map(({ size }) => size);
    expect(sizes).toContain(3);
    for (const size of sizes.filter((each) => each > 0))
      expect((await server.ask(`/${LOG}/tile/0/000.p/${size}`)).bytes).toHaveLength(32 * size);
    expect(server.log.size()).toBeGreaterThan(server.log.publishedSize());
    expect((await server.ask(`/${LOG}/tile/0/000.p/${server.log.size()}`)).status).toBe(404);
    const beyond = await server.ask(`/${LOG}/tile/entries/000.p/${server.log.size()}`, { role: "auditor" });
    expect(beyond.status).toBe(404);
  });

  test.each([
    ..."00 01 64 -1 +1 1e1".split(" ").map((level) => `tile/${level}/000`),
    ..."0 00 1000 x000/001 001/000 x001/x000 X001/000 x01/000 x001//000 000/ -01".split(" ").map((n) => `tile/0/${n}`),
    ...".p/0 .p/256 .p/01 .p/ .p/-1 .p/1/ .p".split(" ").map((partial) => `tile/0/000${partial}`),
    "tile/0/x001/x001/x001/x001/x001/x001/x001/x001/001",
    "tile/0/999999999999999999999",
    "tile/",
    "tile/0/",
    "tile/entries/",
    "tile/entries/0",
  ])("C-88 C-89 C-91 C-92 C-93 C-103 %s is nothing, and that is not cached", async (path) => {
    const server = await withEntries1();
    const reply = await server.ask(`/${LOG}/${path}`, { role: "auditor" });
    expect(reply.status).toBe(404);
    expect(reply.headers.get("cache-control")).toBe("no-store");
    expect(reply.headers.get("content-encoding")).toBeNull();
    expect(reply.headers.get("content-type")).toBe("application/problem+json");
  });

  test("C-109 C-117 bundles ask for the auditor, are private, and hold the entries of their tile", async () => {
    const server = await TestServer.start({ witnesses: 0 });
    await server.fill(3);
    const path = `/${LOG}/tile/entries/000.p/${server.log.publishedSize()}`;
    for (const [role, status] of [
      ["none", 401],
      ["writer", 403],
      ["operator", 403],
    ] as const) {
      const refused = await server.ask(path, { role });
      expect([refused.status, refused.headers.get("cache-control")]).toEqual([status, "no-store"]);
    }
    const reply = await server.ask(path, { role: "auditor", headers: { "accept-encoding": "gzip, identity" } });
    expect([reply.status, reply.headers.get("cache-control"), reply.headers.get("content-encoding")]).toEqual([
      200,
      "private, max-age=604800, immutable",
      null,
    ]);
    const entries = decodeEntryBundle(reply.bytes, server.log.publishedSize());
    const tile = await server.ask(path.replace("entries", "0"));
    expect(Buffer.concat(entries.map(hashLeaf))).toEqual(Buffer.from(tile.bytes));
  });

  test("C-117 bundles are public only where the configuration says so", async () => {
    const server = await TestServer.start({ witnesses: 0, publicEntries: true });
    await server.fill(1);
    const reply = await server.ask(`/${LOG}/tile/entries/000.p/1`);
    expect([reply.status, reply.headers.get("cache-control")]).toEqual([200, IMMUTABLE]);
    expect((await server.ask(`/${LOG}/v1/events/0`)).status).toBe(401);
  });
});

describe("C-114 conditions and parts", () => {
  test("HEAD has the headers of GET and no body", async () => {
    const server = await TestServer.start({ witnesses: 0 });
    await server.fill(1);
    for (const path of ["checkpoint", "tile/0/000.p/1"]) {
      const get = await server.ask(`/${LOG}/${path}`);
      const head = await server.ask(`/${LOG}/${path}`, { method: "HEAD" });
      expect([head.status, head.bytes.length]).toEqual([200, 0]);
      expect(Object.fromEntries(head.headers)).toEqual(Object.fromEntries(get.headers));
      expect(head.headers.get("content-length")).toBe(String(get.bytes.length));
    }
  });

  test("If-None-Match answers 304 to whoever has it, and only to them", async () => {
    const server = await TestServer.start({ witnesses: 0 });
    await server.fill(1);
    const path = `/${LOG}/tile/0/000.p/1`;
    const etag = (await server.ask(path)).headers.get("etag") ?? "";
    for (const known of [etag, `W/${etag}`, `"other", ${etag}`, "*"]) {
      const reply = await server.ask(path, { headers: { "if-none-match": known } });
      expect([reply.status, reply.bytes.length, reply.headers.get("etag")]).toEqual([304, 0, etag]);
    }
    expect((await server.ask(path, { headers: { "if-none-match": '"other"' } })).status).toBe(200);
    expect((await server.ask(path, { headers: { "if-modified-since": new Date().toUTCString() } })).status).toBe(200);
  });

  test.each([
    ["bytes=0-31", 0, 31],
    ["bytes=32-", 32, 95],
    ["bytes=-10", 86, 95],
    ["bytes=90-500", 90, 95],
    ["bytes=-500", 0, 95],
  ])("Range %s gives that part", async (range, first, last) => {
    const server = await withEntries3();
    const path = `/${LOG}/tile/0/000.p/3`;
    const whole = await server.ask(path);
    const part = await server.ask(path, { headers: { range } });
    expect([part.status, part.headers.get("content-range")]).toEqual([206, `bytes ${first}-${last}/96`]);
    expect(part.bytes).toEqual(whole.bytes.slice(first, last + 1));
    expect(part.headers.get("content-length")).toBe(String(part.bytes.length));
  });

  test.each(["bytes=96-", "bytes=5-1", "bytes=-0", "bytes=-", "bytes=0-1,3-4", "lines=0-1", "bytes=a-b"])(
    "Range %s makes no sense here, and the whole is given",
    async (range) => {
      const server = await withEntries3();
      const reply = await server.ask(`/${LOG}/tile/0/000.p/3`, { headers: { range } });
      expect([reply.status, reply.bytes.length]).toEqual([200, 96]);
    },
  );

  test("a part of something that changed meanwhile is not given", async () => {
    const server = await TestServer.start({ witnesses: 0 });
    await server.fill(1);
    const headers = { range: "bytes=0-3", "if-range": '"of an older head"' };
    expect((await server.ask(`/${LOG}/checkpoint`, { headers })).status).toBe(200);
  });
});

describe("C-115 paths", () => {
  test.each([
    `/${LOG}/../metrics`,
    `/${LOG}/%2e%2e/%2e%2e/etc/passwd`,
    `/${LOG}//checkpoint`,
    `//${LOG}/checkpoint`,
    `/${LOG}/checkpoint/`,
    `/${LOG}/CHECKPOINT`,
    `/${LOG}/tile%2F0%2F000.p%2F1`,
    `/${LOG}/tile/0/%30%30%30.p/1`,
    `/${LOG}/tile/0/000.p/1%00`,
    `/${LOG}`,
    `/${LOG}/`,
    "/",
    "/v1/events",
    "/other/checkpoint",
    "/__proto__/checkpoint",
    "/constructor/checkpoint",
  ])("%s is not found", async (path) => {
    const server = await withEntries1();
    const reply = await server.ask(path.startsWith("//") ? `http://localhost${path}` : path);
    expect([401, 404]).toContain(reply.status);
    expect(reply.headers.get("content-type")).toBe("application/problem+json");
  });

  test("a query on a tile changes nothing", async () => {
    const server = await TestServer.start({ witnesses: 0 });
    await server.fill(1);
    const [plain, queried] = [
      await server.ask(`/${LOG}/tile/0/000.p/1`),
      await server.ask(`/${LOG}/tile/0/000.p/1?v=../2`),
    ];
    expect([queried.status, queried.text]).toEqual([200, plain.text]);
  });

  test("no path whatever causes more than 404", async () => {
    const server = await TestServer.start({ witnesses: 0 });
    const path = fc.oneof(
      fc.webPath(),
      fc.webPath().map((rest) => `/${LOG}${rest}`),
      fc.string({ maxLength: 60 }).map((text) => `/${LOG}/tile/0/${encodeURIComponent(text.toWellFormed())}`),
      fc.string({ maxLength: 60 }).map((text) => `/${LOG}/v1/${encodeURIComponent(text.toWellFormed())}`),
    );
    await fc.assert(
      fc.asyncProperty(path, async (at) => {
        expect((await server.ask(`http://localhost${at}`)).status).toBe(404);
      }),
      runs,
    );
  });
});

describe("C-116 browsers", () => {
  test("may read everything public from anywhere, without credentials", async () => {
    const server = await TestServer.start({ witnesses: 0 });
    await server.fill(1);
    for (const path of ["checkpoint", "tile/0/000.p/1", "v1/policy", "v1/checkpoints", "nothing"]) {
      const { headers } = await server.ask(`/${LOG}/${path}`, { headers: { origin: "https://auditor.example" } });
      expect(headers.get("access-control-allow-origin")).toBe("*");
      expect(headers.get("access-control-allow-credentials")).toBeNull();
    }
  });

  test("are told beforehand that they may send a token", async () => {
    const server = await TestServer.start({ witnesses: 0 });
    const reply = await server.ask(`/${LOG}/v1/events/0`, {
      method: "OPTIONS",
      headers: {
        origin: "https://auditor.example",
        "access-control-request-method": "GET",
        "access-control-request-headers": "authorization",
      },
    });
    expect(reply.status).toBe(204);
    expect(reply.headers.get("access-control-allow-headers")).toContain("authorization");
    expect(reply.headers.get("access-control-allow-methods")).toBe("GET, HEAD, POST");
  });

  test("public reads do not look at an Authorization header, whatever it says", async () => {
    const server = await TestServer.start({ witnesses: 0 });
    await server.fill(1);
    for (const authorization of ["Bearer wrong", "Basic eDp5", "\u00ff"]) {
      expect((await server.ask(`/${LOG}/checkpoint`, { headers: { authorization } })).status).toBe(200);
    }
  });
});

describe("proofs and receipts", () => {
  test("every inclusion and consistency proof of a published size verifies", async () => {
    const server = await TestServer.start({ witnesses: 0 });
    await server.fill(5);
    await server.fill(8);
    const size = server.log.publishedSize();
    const leafHashes = await Promise.all(
      Array.from({ length: size }, async (_, index) => hashLeaf(await server.log.readLeaf(index))),
    );
    const rootHash = treeHash(leafHashes);
    for (let index = 0; index < size; index += 1) {
      const { hashes, ...named } = (await server.ask(`/${LOG}/v1/proofs/inclusion?index=${index}&size=${size}`)).json<{
        hashes: string[];
      }>();
      expect(named).toEqual({ index, size });
      const leafHash = leafHashes[index] ?? new Uint8Array();
      verifyInclusion({ index, size, leafHash, rootHash, proof: hashes.map((hash) => decodeBase64(hash)) });
    }
    for (let from = 0; from <= size; from += 1) {
      const { hashes } = (await server.ask(`/${LOG}/v1/proofs/consistency?from=${from}&to=${size}`)).json<{
        hashes: string[];
      }>();
      const fromRootHash = treeHash(leafHashes.slice(0, from));
      const proof = hashes.map((hash) => decodeBase64(hash));
      verifyConsistency({ from, to: size, fromRootHash, toRootHash: rootHash, proof });
    }
  });

  test.each([
    ["inclusion?index=5&size=5", 404, "index-unknown"],
    ["inclusion?index=0&size=9999", 404, "size-unknown"],
    ["inclusion?index=0&size=0", 404, "index-unknown"],
    ["consistency?from=5&to=1", 404, "size-unknown"],
    ["consistency?from=0&to=9999", 404, "size-unknown"],
    ["inclusion", 400, "request-malformed"],
    ["inclusion?index=01", 400, "request-malformed"],
    ["inclusion?index=-1", 400, "request-malformed"],
    ["inclusion?index=1e3", 400, "request-malformed"],
    ["inclusion?index=9007199254740993", 400, "request-malformed"],
    ["inclusion?index=0&index=1", 400, "request-malformed"],
    ["inclusion?index=0&colour=red", 400, "request-malformed"],
    ["inclusion?index=0&__proto__=1", 400, "request-malformed"],
    ["consistency?from=0", 400, "request-malformed"],
  ])("proofs/%s answers %i %s", async (query, status, code) => {
    const server = await withEntries5();
    const reply = await server.ask(`/${LOG}/v1/proofs/${query}`);
    expect([reply.status, reply.json()["code"]]).toEqual([status, code]);
  });

  test("a receipt verifies under the policy that the log gives", async () => {
    const server = await TestServer.start();
    await server.fill(2);
    const policy = parsePolicy((await server.ask(`/${LOG}/v1/policy`)).text);
    for (const signatures of ["minimal", "all"]) {
      const reply = await server.ask(`/${LOG}/v1/receipts/1?signatures=${signatures}`, { role: "writer" });
      expect(reply.headers.get("content-type")).toBe("text/plain; charset=utf-8");
      const proof = parseTlogProof(reply.text);
      expect(formatTlogProof(proof)).toBe(reply.text);
      const leafHash = hashLeaf(proof.extra ?? new Uint8Array());
      expect(verifyTlogProof({ proof, leafHash, policy }).index).toBe(1n);
    }
  });

  test("a receipt that is not ready yet says so, and when to ask again", async () => {
    const server = await TestServer.start();
    server.network.up = false;
    await server.post(login());
    const reply = await server.ask(`/${LOG}/v1/receipts/0`, { role: "writer" });
    expect([reply.status, reply.json()["code"], reply.json()["state"]]).toEqual([404, "receipt-not-ready", "durable"]);
    expect(Number(reply.headers.get("retry-after"))).toBeGreaterThan(0);
    expect((await server.ask(`/${LOG}/v1/receipts/7`, { role: "writer" })).json()["code"]).toBe("index-unknown");
  });

  test("published heads are listed, the newest first", async () => {
    const server = await TestServer.start({ witnesses: 0 });
    await server.fill(1);
    await server.fill(1);
    interface Listed {
      checkpoints: { size: number; note: string; rootHash: string; publishedAt: string }[];
    }
    const { checkpoints } = (await server.ask(`/${LOG}/v1/checkpoints`)).json<Listed>();
    const sizes = checkpoints.map(({ size }) => size);
    expect(sizes).toEqual(sizes.toSorted((a, b) => b - a));
    expect(checkpoints[0]?.note).toBe((await server.ask(`/${LOG}/checkpoint`)).text);
    const older = (await server.ask(`/${LOG}/v1/checkpoints?limit=1&before=${sizes[0]}`)).json<Listed>().checkpoints;
    expect(older.map(({ size }) => size)).toEqual(sizes.slice(1, 2));
    expect((await server.ask(`/${LOG}/v1/checkpoints?limit=0`)).status).toBe(400);
    expect((await server.ask(`/${LOG}/v1/checkpoints?limit=1001`)).status).toBe(400);
  });
});

describe("contents", () => {
  test("are given after the read is in the log, and say what was sent", async () => {
    const server = await TestServer.start({ witnesses: 0 });
    const event = login();
    await server.post(event);
    const before = server.log.size();
    const reply = await server.ask(`/${LOG}/v1/events/0?purpose=ticket%207`, { role: "auditor" });
    const { id, type, outcome, actor, tenant } = reply.json<{ event: Record<string, unknown> }>().event;
    expect({ id, type, outcome, actor, tenant }).toEqual({
      id: event["id"],
      type: "auth.login",
      outcome: "success",
      actor: event["actor"],
      tenant: "acme",
    });
    expect(reply.headers.get("cache-control")).toBe("no-store");
    expect(server.log.size()).toBeGreaterThan(before);
    const read = await server.ask(`/${LOG}/v1/events/${server.log.size() - 1}`, { role: "auditor" });
    expect(read.json()["event"]).toMatchObject({ type: "log.read", reason: "ticket 7", context: { indexes: [0] } });
  });

  test("a raw session id is not kept", async () => {
    const server = await TestServer.start({ witnesses: 0 });
    await server.post({ ...login(), session: { id: "raw-session-id" } });
    const { text } = await server.ask(`/${LOG}/v1/events/0`, { role: "auditor" });
    expect(text).not.toContain("raw-session-id");
  });

  test.each(["5", "9007199254740991"])("of index %s are not there", async (index) => {
    const server = await TestServer.start({ witnesses: 0 });
    const before = server.log.size();
    const reply = await server.ask(`/${LOG}/v1/events/${index}`, { role: "auditor" });
    expect([reply.status, reply.json()["code"]]).toEqual([404, "index-unknown"]);
    expect(server.log.size()).toBe(before);
  });

  test.each(["01", "-1", "1e3", "x", "0x1", "9007199254740993", "1/", "%31"])(
    "of an index %s nothing is looked up",
    async (index) => {
      const server = await withEntries1();
      const reply = await server.ask(`/${LOG}/v1/events/${index}`, { role: "auditor" });
      expect([reply.status, reply.json()["code"]]).toEqual([400, "request-malformed"]);
    },
  );
});

describe("contents of a range", () => {
  interface Range {
    readonly openings: readonly { readonly index: number; readonly opening?: string; readonly code?: string }[];
  }

  test("are given after one entry has recorded all of them", async () => {
    const server = await TestServer.start({ witnesses: 0 });
    await server.fill(20);
    const reply = await server.ask(`/${LOG}/v1/openings?from=3&limit=10&purpose=ticket%207`, { role: "auditor" });
    expect([reply.status, reply.headers.get("cache-control")]).toEqual([200, "no-store"]);
    const { openings } = reply.json<Range>();
    expect(openings.map(({ index }) => index)).toEqual([3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    for (const { index, opening } of openings) {
      const { commitment } = decodeLeaf(await server.log.readLeaf(index));
      expect(computeCommitment(decodeOpening(decodeBase64(opening ?? "")))).toEqual(commitment);
    }
    const all = (await server.ask(`/${LOG}/v1/openings?from=0`, { role: "auditor" })).json<Range>();
    const events = all.openings.map(({ opening = "" }) => decodeEvent(decodeOpening(decodeBase64(opening)).event));
    const context = { from: 3, to: 13, count: 10 };
    expect(events.filter(({ type }) => type === "log.read")).toMatchObject([
      { outcome: "success", reason: "ticket 7", context },
    ]);
  });

  test.each([
    ["", 400, "request-malformed"],
    ["?limit=1", 400, "request-malformed"],
    ["?from=-1", 400, "request-malformed"],
    ["?from=00", 400, "request-malformed"],
    ["?from=0&limit=0", 400, "request-malformed"],
    ["?from=0&limit=257", 400, "request-malformed"],
    ["?from=0&limit=1e2", 400, "request-malformed"],
    ["?from=0&count=1", 400, "request-malformed"],
    ["?from=0&from=1", 400, "request-malformed"],
    ["?from=9007199254740991", 404, "index-unknown"],
    ["?from=999", 404, "index-unknown"],
  ])("of %j are refused with %i %s, and nothing is recorded", async (query, status, code) => {
    const server = await withEntries1();
    const before = server.log.size();
    const reply = await server.ask(`/${LOG}/v1/openings${query}`, { role: "auditor" });
    expect([reply.status, reply.json()["code"]]).toEqual([status, code]);
    expect(server.log.size()).toBe(before);
  });

  test("need a purpose where the rules ask for one", async () => {
    const proposedRules = async (): Promise<string> => "version: 1\nreads: { purpose: required }\n";
    const server = await TestServer.start({ witnesses: 0, log: { proposedRules } });
    await server.fill(1);
    const ask = async (query: string): Promise<unknown> => {
      const reply = await server.ask(`/${LOG}/v1/openings?from=0&limit=1${query}`, { role: "auditor" });
      return reply.status === 200 ? 200 : reply.json()["code"];
    };
    expect([await ask(""), await ask("&purpose=review")]).toEqual(["purpose-required", 200]);
  });

  test("say of each entry that does not open why, and name the certificate of what was erased", async () => {
    const server = await TestServer.start({ witnesses: 0 });
    await server.post([{ ...login(), actor: { type: "user", id: "bert" } }, login()]);
    const { ordered } = await server.log.disposition.erase({ subject: "bert", ground: "g", by: "o" });
    const reply = await server.ask(`/${LOG}/v1/openings?from=0&limit=2`, { role: "auditor" });
    const { openings } = reply.json<Range>();
    expect(openings[0]).toEqual({ index: 0, code: "erased", certificate: ordered?.[0] });
    expect(openings[1]).toEqual({ index: 1, opening: expect.any(String) });
  });

  test("are made for a few at a time, and those who wait are answered all the same", async () => {
    const server = await TestServer.start({ witnesses: 0 });
    await server.fill(5);
    const { log } = server;
    const read = log.readOpenings.bind(log);
    let [underWay, most] = [0, 0];
    Object.assign(log, {
      readOpenings: async (input: Parameters<typeof read>[0]) => {
        underWay += 1;
        most = Math.max(most, underWay);
        await setTimeout(1);
        underWay -= 1;
        return read(input);
      },
    });
    const asked = Array.from({ length: 40 }, async () =>
      server.ask(`/${LOG}/v1/openings?from=0&limit=5`, { role: "auditor" }),
    );
    expect(new Set((await Promise.all(asked)).map(({ status }) => status))).toEqual(new Set([200]));
    expect(most).toBeGreaterThan(0);
    expect(most).toBeLessThan(10);
  });
});
