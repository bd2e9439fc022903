import { describe, expect, test } from "vitest";
import { concatBytes, encodeBase64, sha256, utf8 } from "@tallystick/core";
import { errorCode } from "../../../test/support/errors.ts";
import { parseAddCheckpoint, parseSignSubtree } from "../src/index.ts";
import { TestLog, requestBody, subtreeBody } from "./test-log.ts";

const log = new TestLog();
const checkpoint = log.checkpoint(14);
const hash = sha256(utf8("a hash"));
const line = encodeBase64(hash);

function codeOf(
  body: string | Uint8Array,
  parse: (bytes: Uint8Array) => unknown = parseAddCheckpoint,
): string | undefined {
  return errorCode(() => parse(typeof body === "string" ? utf8(body) : body));
}

describe("parseAddCheckpoint", () => {
  test("C-120 takes a size of 0 and of more than 2^53", () => {
    expect(parseAddCheckpoint(requestBody({ old: 0, checkpoint })).oldSize).toBe(0n);
    expect(parseAddCheckpoint(requestBody({ old: 2n ** 63n - 1n, checkpoint })).oldSize).toBe(2n ** 63n - 1n);
  });

  test.each([
    "old 00",
    "old 01",
    "old +5",
    "old -1",
    "old 5 ",
    "old  5",
    "old",
    "old ",
    "Old 5",
    "old 5x",
    "old 0x5",
    "old\t5",
    " old 5",
    "old 5\r",
    "old ٣",
    "old 9223372036854775808",
    "size 5",
  ])("C-120 refuses %j", (first) => {
    expect(codeOf(`${first}\n\n${checkpoint}`)).toBe("request-malformed");
  });

  test("C-121 refuses a missing newline, CRLF, a missing empty line and an empty body", () => {
    const whole = Buffer.from(requestBody({ old: 3, proof: [hash], checkpoint })).toString();
    const bad = [
      "",
      "\n",
      "\n\n",
      "old 3",
      "old 3\n",
      "old 3\n\n",
      whole.slice(0, -1),
      whole.replaceAll("\n", "\r\n"),
      whole.replace("\n\n", "\n"),
      `\n${whole}`,
      `${whole}\n`,
    ];
    for (const body of bad) {
      expect({ body, code: codeOf(body) }).toEqual({ body, code: "request-malformed" });
    }
  });

  test("C-122 takes 63 proof lines and refuses 64", () => {
    const proof = (count: number): Uint8Array[] => Array.from({ length: count }, () => hash);
    expect(parseAddCheckpoint(requestBody({ old: 3, proof: proof(63), checkpoint })).proof).toHaveLength(63);
    expect(codeOf(requestBody({ old: 3, proof: proof(64), checkpoint }))).toBe("request-malformed");
    expect(codeOf(requestBody({ old: 3, proof: proof(1000), checkpoint }))).toBe("request-malformed");
  });

  test.each([
    ["31 bytes", encodeBase64(hash.slice(1))],
    ["33 bytes", encodeBase64(concatBytes(hash, hash.slice(0, 1)))],
    ["no padding", line.slice(0, -1)],
    ["unused bits that are not zero", line.replace(/.=$/, (end) => `${String.fromCharCode(end.charCodeAt(0) + 1)}=`)],
    ["the URL alphabet", `-_${line.slice(2)}`],
    ["a space", ` ${line}`],
    ["hex", Buffer.from(hash).toString("hex")],
    ["a byte that is not ASCII", `é${line.slice(2)}`],
  ])("C-123 refuses a proof line of %s", (_, text) => {
    expect(codeOf(`old 3\n${text}\n\n${checkpoint}`)).toBe("request-malformed");
  });

  test.each([
    ["no signature", checkpoint.split("\n\n")[0] ?? ""],
    ["two lines only", checkpoint.replace(/^[^\n]*\n/, "")],
    ["a size in words", checkpoint.replace("\n14\n", "\nfourteen\n")],
    ["a size with a zero before it", checkpoint.replace("\n14\n", "\n014\n")],
    ["a short root", checkpoint.replace(/\n14\n.{44}\n/, "\n14\nAAAA\n")],
    ["a hyphen for the dash", checkpoint.replace("—", "-")],
    ["a tab", checkpoint.replace("\n14\n", "\n14\t\n")],
  ])("C-124 refuses a checkpoint with %s", (_, text) => {
    expect(codeOf(`old 3\n\n${text}`)).toBe("request-malformed");
  });

  test("C-124 refuses a checkpoint that is not UTF-8", () => {
    expect(codeOf(concatBytes(utf8("old 3\n\n"), Uint8Array.of(0xff, 0x0a), utf8(checkpoint)))).toBe(
      "request-malformed",
    );
    expect(codeOf(concatBytes(utf8("old 3\n\n"), utf8(checkpoint), Uint8Array.of(0xe2, 0x80)))).toBe(
      "request-malformed",
    );
  });

  test("says which line is wrong", () => {
    expect(() => parseAddCheckpoint(utf8(`old 3\n${line}\nnot base64\n\n${checkpoint}`))).toThrow(/line 3/);
  });
});

describe("parseSignSubtree", () => {
  const bodyOf = (range: string): Uint8Array => subtreeBody({ range, hash, checkpoint });

  test.each([
    "subtree",
    "subtree 8",
    "subtree 8 8",
    "subtree 9 8",
    "subtree 08 13",
    "subtree 8 013",
    "subtree 8 13 14",
    "subtree  8 13",
    "subtree 8 13 ",
    "Subtree 8 13",
    "subtree -8 13",
    "subtree 8 1e1",
    "old 8",
  ])("C-156 refuses %j", (range) => {
    expect(codeOf(bodyOf(range), parseSignSubtree)).toBe("request-malformed");
  });

  test.each(["2 6", "1 7", "7 9", "4 10", "12 17", "0 15", "14 15"])("C-157 refuses [%s) of 14", (range) => {
    expect(codeOf(bodyOf(`subtree ${range}`), parseSignSubtree)).toBe("request-malformed");
  });

  test.each(["8 13", "0 13", "4 8", "6 8", "0 14", "13 14", "12 14"])("C-157 takes [%s) of 14", (range) => {
    const { start, end } = parseSignSubtree(bodyOf(`subtree ${range}`));
    expect(`${start} ${end}`).toBe(range);
  });

  test("C-158 takes 63 proof lines and refuses 64", () => {
    const body = (count: number): Uint8Array =>
      subtreeBody({ range: "subtree 8 13", hash, proof: Array.from({ length: count }, () => hash), checkpoint });
    expect(parseSignSubtree(body(63)).proof).toHaveLength(63);
    expect(codeOf(body(64), parseSignSubtree)).toBe("request-malformed");
  });

  test("C-156 refuses a request without a hash", () => {
    expect(codeOf(`subtree 8 13\n\n${checkpoint}`, parseSignSubtree)).toBe("request-malformed");
  });

  test("C-164 parses the example of the specification", () => {
    const lines = [
      "subtree 8 13",
      "mbsQCg+dEIMGlpqeGgk94JutQwKKS2Lo5IuDhKmDjiU=",
      "CD82D2LDm0phY0+xKbHyZfq3Hw21lVkuV7Zis5EFg0k=",
      "h/ghL5nyaXTIBAklqDnisM+SFdbA3izoGZ5oRYMZzc0=",
      "8qtnAAU9sTKQx/zt3E4v8Jt2a9IMQUf0QUawvePF9y0=",
      "KuO5BNOmginG34Lm5G3e2GuiWliGo3K0ebzGpvI0fEg=",
      "",
      "example.com/behind-the-sofa",
      "14",
      "/CcKVZM9n65aH7jLaIZuUB4/MSlEFQ4+ldwUC21rDHM=",
      "",
      `— witness.example/w1 ${encodeBase64(new Uint8Array(2432))}`,
      "",
    ];
    const request = parseSignSubtree(utf8(lines.join("\n")));
    expect(request).toMatchObject({
      start: 8n,
      end: 13n,
      checkpoint: { origin: "example.com/behind-the-sofa", size: 14n },
    });
    expect(request.proof).toHaveLength(4);
  });
});
