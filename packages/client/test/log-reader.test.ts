/** What is asked of a log, and what is made of its answers: by the reader alone, and by the client that follows heads. */
import {
  ENTRY_BYTES_MAX,
  decodeEntryBundle,
  encodeEntryBundle,
  entriesPath,
  parseCheckpoint,
  parseNote,
  parsePolicy,
  tilePath,
  tilesForSize,
} from "@tallystick/core";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { gzipSync } from "node:zlib";
import { describe, expect, onTestFinished, test } from "vitest";
import { rejectionCode } from "../../../test/support/errors.ts";
import { auditLog, createHttpLogReader } from "../src/index.ts";
import { LogDouble } from "./support/log-double.ts";
import { login, startClient } from "./support/setup.ts";

/** A reader of a log that answers these paths and nothing else. */
function readerOf(answers: Readonly<Record<string, Uint8Array<ArrayBuffer> | number>>): {
  readonly reader: ReturnType<typeof createHttpLogReader>;
  readonly asked: string[];
} {
  const asked: string[] = [];
  const fetch = async (input: URL | Request | string): Promise<Response> => {
    const path = new URL(input instanceof Request ? input.url : input).pathname.slice(1);
    asked.push(path);
    const answer = answers[path] ?? 404;
    return typeof answer === "number" ? new Response(null, { status: answer }) : new Response(answer);
  };
  return { reader: createHttpLogReader({ url: "https://log.example", fetch }), asked };
}

const full = Uint8Array.from({ length: 8192 }, (_, i) => i % 251);
const bundle = new Uint8Array(encodeEntryBundle(Array.from({ length: 256 }, (_, i) => new Uint8Array(i % 7).fill(i))));

describe("createHttpLogReader", () => {
  test.each([1, 2, 100, 255])(
    "C-110 takes the first %i hashes of the full tile where the partial one is gone",
    async (width) => {
      const { reader, asked } = readerOf({ "tile/0/000": full });
      expect(await reader.tile({ level: 0, index: 0, width })).toEqual(full.slice(0, 32 * width));
      expect(asked).toEqual([`tile/0/000.p/${width}`, "tile/0/000"]);
    },
  );

  test.each([1, 2, 100, 255])(
    "C-110 takes the first %i entries of the full bundle where the partial one is gone",
    async (width) => {
      const { reader, asked } = readerOf({ "tile/entries/000": bundle });
      const entries = decodeEntryBundle(await reader.entryBundle({ index: 0, width }), width);
      expect(entries).toEqual(decodeEntryBundle(bundle, 256).slice(0, width));
      expect(asked).toEqual([`tile/entries/000.p/${width}`, "tile/entries/000"]);
    },
  );

  test("C-110 takes neither in place of another answer than 404, nor the other way round", async () => {
    for (const status of [410, 429, 500, 503]) {
      const { reader, asked } = readerOf({ "tile/0/000.p/3": status, "tile/0/000": full });
      expect(await rejectionCode(reader.tile({ level: 0, index: 0, width: 3 }))).toBe("audit-unavailable");
      expect(asked).toEqual(["tile/0/000.p/3"]);
    }
    const { reader, asked } = readerOf({ "tile/0/000.p/255": full.slice(32) });
    expect(await rejectionCode(reader.tile({ level: 0, index: 0, width: 256 }))).toBe("log-answer-malformed");
    expect(asked).toEqual(["tile/0/000"]);
  });

  test("C-94 C-95 refuses tiles of another length, behind the full one's path too", async () => {
    for (const length of [0, 32, 95, 97, 128, 8192]) {
      const { reader } = readerOf({ "tile/0/000.p/3": new Uint8Array(length) });
      expect(await rejectionCode(reader.tile({ level: 0, index: 0, width: 3 }))).toBe("log-answer-malformed");
    }
    for (const length of [0, 96, 8191, 8193]) {
      const { reader } = readerOf({ "tile/0/000": new Uint8Array(length) });
      for (const width of [3, 256]) {
        expect(await rejectionCode(reader.tile({ level: 0, index: 0, width }))).toBe("log-answer-malformed");
      }
    }
  });

  test("C-107 refuses a full bundle that ends before the entries that are asked for", async () => {
    for (const length of [0, 1, 2, 5]) {
      const { reader } = readerOf({ "tile/entries/000": bundle.slice(0, length) });
      expect(await rejectionCode(reader.entryBundle({ index: 0, width: 9 }))).toBe("log-answer-malformed");
    }
  });

  test("C-109 reads no more than the largest bundle and the largest tile can have", async () => {
    const most = 256 * (ENTRY_BYTES_MAX + 2);
    for (const [length, code] of [
      [most, undefined],
      [most + 1, "log-answer-malformed"],
    ] as const) {
      const { reader } = readerOf({ "tile/entries/000": new Uint8Array(length) });
      expect(await rejectionCode(reader.entryBundle({ index: 0, width: 256 }))).toBe(code);
    }
    const endless = new Response(
      new ReadableStream({
        pull: (controller) => {
          controller.enqueue(new Uint8Array(65_536));
        },
      }),
    );
    const reader = createHttpLogReader({ url: "https://log.example", fetch: async () => endless });
    expect(await rejectionCode(reader.tile({ level: 0, index: 0, width: 256 }))).toBe("log-answer-malformed");
  });
});

describe("compressed answers", () => {
  /** A server that answers with these octets behind `Content-Encoding: gzip`. */
  async function serveGzip(
    octets: Uint8Array,
  ): Promise<{ readonly url: string; readonly accepted: (string | undefined)[] }> {
    const accepted: (string | undefined)[] = [];
    const server = createServer((request, response) => {
      accepted.push(request.headers["accept-encoding"]?.toString());
      response.writeHead(200, { "content-encoding": "gzip" }).end(octets);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => {
      server.closeAllConnections();
      server.close();
    });
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, accepted };
  }

  test("C-109 are asked for as gzip, and unfolded", async () => {
    const { url, accepted } = await serveGzip(gzipSync(bundle));
    const reader = createHttpLogReader({ url });
    expect(await reader.entryBundle({ index: 0, width: 256 })).toEqual(bundle);
    expect(accepted).toEqual(["gzip, identity"]);
  });

  test("C-109 that unfold to more than a bundle can have are refused, and so is what is no gzip", async () => {
    const most = 256 * (ENTRY_BYTES_MAX + 2);
    const bomb = await serveGzip(gzipSync(new Uint8Array(most + 1)));
    const failed = createHttpLogReader(bomb).entryBundle({ index: 0, width: 256 });
    expect(await rejectionCode(failed)).toBe("log-answer-malformed");
    const largest = await serveGzip(gzipSync(new Uint8Array(most)));
    expect(await createHttpLogReader(largest).entryBundle({ index: 0, width: 256 })).toHaveLength(most);
    const plain = await serveGzip(bundle);
    expect(await rejectionCode(createHttpLogReader(plain).entryBundle({ index: 0, width: 256 }))).toBe(
      "audit-unavailable",
    );
  });
});

describe("a client that follows a log", () => {
  test("C-110 C-111 asks for the tiles of heads that it has seen, partial ones too, and for no bundle", async () => {
    const log = new LogDouble();
    const asked: { readonly path: string; readonly heads: readonly number[] }[] = [];
    const heads: number[] = [];
    log.hooks.intercept = ({ path }) => {
      if (path === "checkpoint") heads.push(log.publishedSize);
      else if (path.startsWith("tile/")) asked.push({ path, heads: [...heads] });
      return undefined;
    };
    const { client } = startClient(log);
    for (const count of [1, 2, 250, 7, 300]) {
      await Promise.all(Array.from({ length: count }, async (_, n) => client.record(login(`u_${n}`))));
      await client.flush();
    }
    expect(log.leaves.length).toBeGreaterThan(560);
    expect(asked.length).toBeGreaterThan(5);
    expect(asked.some(({ path }) => path.startsWith("tile/0/") && path.includes(".p/"))).toBe(true);
    for (const { path, heads: seen } of asked) {
      expect([path, seen.some((size) => tilesForSize(size).some((tile) => tilePath(tile) === path))]).toEqual([
        path,
        true,
      ]);
    }
  });

  test("C-110 C-111 an audit asks for the tiles and bundles of the one head that it verified, the partial ones with the rest", async () => {
    const log = new LogDouble();
    const { client } = startClient(log);
    await Promise.all(Array.from({ length: 299 }, async (_, n) => client.record(login(`u_${n}`))));
    await client.flush();
    const asked = new Set<string>();
    log.hooks.intercept = ({ path }) => {
      if (path.startsWith("tile/")) asked.add(path);
      return undefined;
    };
    const reader = createHttpLogReader({ url: log.url, fetch: log.fetch });
    const { size } = await auditLog({ reader, policy: parsePolicy(log.policyText) });
    expect(BigInt(size)).toBe(parseCheckpoint(parseNote(log.checkpoint()).text).size);
    const tiles = tilesForSize(size);
    const bundles = tiles.filter(({ level }) => level === 0).map(({ index, width }) => entriesPath({ index, width }));
    expect(asked).toEqual(new Set([...tiles.map(tilePath), ...bundles]));
  });
});
