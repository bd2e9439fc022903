import { describe, expect, test } from "vitest";
import {
  TlogError,
  concatBytes,
  evaluateQuorum,
  formatPolicy,
  formatVkey,
  parsePolicy,
  parseVkey,
  smallestWitnessSet,
  utf8,
} from "../src/index.ts";
import { errorCode } from "../../../test/support/errors.ts";
import { describeWithVectors, readVectorBytes, readVectorJson, readVectorText } from "../../../test/support/vectors.ts";
import { signerOf } from "./signed-notes.ts";

const logKey = signerOf("log.example/one").vkey;
const witnessKey = (name: string): string => signerOf(name, "ed25519-cosigner").vkey;
const witnessLines = (...names: readonly string[]): string =>
  names.map((name) => `witness ${name} ${witnessKey(`${encodeURIComponent(name)}.example`)}\n`).join("");

const refuses = (policy: string | Uint8Array): void => {
  expect(errorCode(() => parsePolicy(policy))).toBe("policy-malformed");
};
const takes = (policy: string | Uint8Array): void => {
  expect(errorCode(() => parsePolicy(policy))).toBeUndefined();
};

const EXAMPLE = `log ${logKey}

${witnessLines("X1", "X2", "X3")}group X-witnesses 2 X1 X2 X3

${witnessLines("Y1", "Y2", "Y3")}group Y-witnesses any Y1 Y2 Y3

group X-and-Y all X-witnesses Y-witnesses
quorum X-and-Y
`;

describe("parsePolicy", () => {
  test("C-182 takes the specification's example; all 64 subsets are judged as it says", () => {
    const policy = parsePolicy(EXAMPLE);
    expect(policy.groups.map(({ name, threshold }) => [name, threshold])).toEqual([
      ["X-witnesses", 2],
      ["Y-witnesses", 1],
      ["X-and-Y", 2],
    ]);
    const names = ["X1", "X2", "X3", "Y1", "Y2", "Y3"];
    let met = 0;
    for (let subset = 0; subset < 64; subset += 1) {
      const chosen = new Set(names.filter((_, i) => Math.floor(subset / 2 ** i) % 2 === 1));
      const of = (letter: string): number => [...chosen].filter((name) => name.startsWith(letter)).length;
      const expected = of("X") >= 2 && of("Y") >= 1;
      const verdict = evaluateQuorum(policy, chosen);
      expect(verdict.met).toBe(expected);
      expect(verdict.missing).toEqual(expected ? [] : names.filter((name) => !chosen.has(name)));
      expect(smallestWitnessSet(policy, chosen)?.length).toBe(expected ? 3 : undefined);
      if (expected) met += 1;
    }
    expect(met).toBe(28);
  });

  test("C-183 separates at spaces and tabs only", () => {
    takes(`\t witness \t W\t\t${witnessKey("w")}  \n \t\nquorum\tW\t\n`);
    takes(`witness a\u00a0b ${witnessKey("w")}\nquorum a\u00a0b\n`);
    refuses(`witness\u00a0W ${witnessKey("w")}\nquorum W\n`);
    refuses(`witness W ${witnessKey("w")}\u3000https://w.example\nquorum W\n`);
  });

  test("C-183 refuses every other control character, wherever it stands, in comments too", () => {
    for (let octet = 0; octet < 0x80; octet += 1) {
      const control = octet < 0x20 || octet === 0x7f;
      if (octet === 0x09 || octet === 0x0a || !control) continue;
      const character = String.fromCodePoint(octet);
      for (const line of [`# ${character}`, character, `quorum none${character}`]) refuses(`${line}\nquorum none\n`);
    }
    refuses("quorum none\r\n");
    takes("# \u0080 \u0085 \u00ff\nquorum none\n");
  });

  test("C-184 knows comment lines, not comments at the end of a line", () => {
    takes(`# a\n \t# b\n#c\n#\nquorum none\n`);
    refuses(`quorum none # note\n`);
    refuses(`${witnessLines("W")}quorum W #\n`);
    refuses(`witness W ${witnessKey("w")} https://w.example # note\nquorum W\n`);
    takes(`witness #W ${witnessKey("w")}\nquorum #W\n`);
  });

  test("C-184 C-185 takes a comment of which the first word is not UTF-8", () => {
    takes(concatBytes(utf8(" \t#"), Uint8Array.of(0xff), utf8(" a\nquorum none\n")));
  });

  test("C-185 octets above 7f are opaque: no UTF-8 is asked for, and look-alikes differ", () => {
    const line = (...octets: readonly number[]): Uint8Array =>
      concatBytes(utf8("witness "), Uint8Array.from(octets), utf8(` ${witnessKey(`w${octets.join()}`)}\n`));
    const quorum = (...octets: readonly number[]): Uint8Array =>
      concatBytes(utf8("quorum "), Uint8Array.from(octets), utf8("\n"));
    const names = [
      [0xff],
      [0xfe],
      [0xc3],
      [0xef, 0xbf, 0xbd],
      [0xef, 0xbb, 0xbf],
      [0xe2, 0x84, 0xaa],
      [0x4b],
      [0xc3, 0xa9],
    ];
    const witnesses = concatBytes(...names.map((name) => line(...name)));
    for (const name of names) {
      const policy = parsePolicy(concatBytes(witnesses, quorum(...name)));
      expect(policy.witnesses.findIndex((witness) => witness.name === policy.quorum)).toBe(names.indexOf(name));
    }
    refuses(concatBytes(witnesses, quorum(0xfd)));
    refuses(concatBytes(line(0xff), line(0xff, 0xff), line(0xff)));
    takes(concatBytes(utf8("# "), Uint8Array.of(0xff, 0x80), utf8("\nquorum none\n")));
  });

  test("C-186 refuses a policy without a quorum line, and one with two", () => {
    refuses("");
    refuses(witnessLines("W"));
    refuses("quorum none\nquorum none\n");
    refuses(`${witnessLines("W")}quorum W\nquorum none\n`);
    refuses("quorum\n");
    refuses("quorum none none\n");
  });

  test("C-187 none is a quorum, never a member nor a name", () => {
    takes("quorum none\n");
    refuses(`${witnessLines("W")}group G any W none\nquorum G\n`);
    refuses(`witness none ${witnessKey("w")}\nquorum none\n`);
    refuses(`${witnessLines("W")}group none any W\nquorum none\n`);
  });

  test("C-188 names refer to lines before", () => {
    refuses("quorum W\n");
    refuses(`quorum W\n${witnessLines("W")}`);
    refuses(`group G any W\n${witnessLines("W")}quorum G\n`);
    refuses(`${witnessLines("W")}group G any G\nquorum G\n`);
    refuses(`${witnessLines("W", "V")}group G any H W\ngroup H any V\nquorum G\n`);
  });

  test("C-189 witnesses and groups share one namespace", () => {
    refuses(`${witnessLines("W")}witness W ${witnessKey("v")}\nquorum W\n`);
    refuses(`${witnessLines("W", "V")}group W any V\nquorum W\n`);
    refuses(`${witnessLines("W", "V")}group G any W\nwitness G ${witnessKey("g")}\nquorum G\n`);
    refuses(`${witnessLines("W", "V")}group G any W\ngroup G any V\nquorum G\n`);
  });

  test("C-76 C-190 refuses one key for two witnesses or two logs, under another name, ID or type", () => {
    const { publicKey } = parseVkey(witnessKey("w"));
    const vkey = (name: string, type: 1 | 4): string => formatVkey({ name, type, publicKey });
    refuses(`witness A ${vkey("a", 4)}\nwitness B ${vkey("b", 4)}\nquorum none\n`);
    refuses(`log ${vkey("a", 1)}\nlog ${vkey("b", 1)}\nquorum none\n`);
    takes(`log ${vkey("a", 1)}\nwitness A ${vkey("a", 4)}\nquorum none\n`);
    const mldsa = signerOf("a", "mldsa44").verifier.publicKey;
    const mldsaKey = (name: string): string => formatVkey({ name, type: 6, publicKey: mldsa });
    refuses(`witness A ${mldsaKey("a")}\nwitness B ${mldsaKey("b")}\nquorum none\n`);
    refuses(`log ${mldsaKey("a")}\nlog ${mldsaKey("b")}\nquorum none\n`);
  });

  test("C-191 a name is a member once over all groups", () => {
    refuses(`${witnessLines("W")}group G any W W\nquorum G\n`);
    refuses(`${witnessLines("W", "V")}group G any W\ngroup H any W V\nquorum H\n`);
    refuses(`${witnessLines("W", "V")}group G any W\ngroup H any G V\ngroup I any G\nquorum H\n`);
  });

  test.each(["0", "4", "+1", "01", "-1", "1.0", "1e0", "0x1", "1".repeat(20), "9".repeat(1000), "Any", "ALL", "", "١"])(
    "C-192 refuses the threshold %j for three members",
    (threshold) => {
      refuses(`${witnessLines("A", "B", "C")}group G ${threshold} A B C\nquorum G\n`);
    },
  );

  test("C-192 any is 1, all is the number of members; a group has members", () => {
    const threshold = (text: string): number | undefined =>
      parsePolicy(`${witnessLines("A", "B", "C")}group G ${text} A B C\nquorum G\n`).groups[0]?.threshold;
    expect(["any", "all", "1", "2", "3"].map(threshold)).toEqual([1, 3, 1, 2, 3]);
    for (const line of ["group", "group G", "group G any", "group G 1"])
      refuses(`${witnessLines("A")}${line}\nquorum A\n`);
  });

  test("C-193 the words of the grammar may be names", () => {
    const names = ["any", "all", "2", "quorum", "log", "witness", "group"];
    const policy = parsePolicy(`${witnessLines(...names)}group g any any\nquorum g\n`);
    expect(policy.groups).toEqual([{ name: "g", threshold: 1, members: ["any"] }]);
    takes(`${witnessLines(...names)}group 3 2 all 2 quorum\nquorum 3\n`);
  });

  test("C-194 the name of a log's key is its origin", () => {
    expect(parsePolicy(`log ${logKey} https://log.example/\nquorum none\n`).logs).toMatchObject([
      { origin: "log.example/one", url: "https://log.example/" },
    ]);
  });

  test("C-195 a log's key is of type 1 or 6, a witness's of type 4 or 6", () => {
    takes(`log ${signerOf("a", "mldsa44").vkey}\nquorum none\n`);
    refuses(`log ${witnessKey("a")}\nquorum none\n`);
    takes(`witness A ${signerOf("a", "mldsa44").vkey}\nquorum A\n`);
    refuses(`witness A ${logKey}\nquorum A\n`);
    refuses(`log a+00000000+AjAA\nquorum none\n`);
  });

  test("C-196 a URL may follow, nothing after it; other keywords are refused", () => {
    takes(`log ${logKey} u\nwitness W ${witnessKey("w")} u\nquorum W\n`);
    refuses(`log ${logKey} u v\nquorum none\n`);
    refuses(`witness W ${witnessKey("w")} u v\nquorum W\n`);
    for (const line of ["mirror a", "Log", "log", "witness", "witness W", "QUORUM none", "\u00a0", "log none"]) {
      refuses(`${line}\nquorum none\n`);
    }
  });

  test("C-197 takes 32 logs, witnesses and groups, nested 32 deep", () => {
    const names = Array.from({ length: 32 }, (_, i) => `W${i}`);
    const logs = names.map((name) => `log ${signerOf(name, "mldsa44").vkey}\n`).join("");
    const groups = names.map((name, i) => `group G${i} all ${name}${i === 0 ? "" : ` G${i - 1}`}\n`).join("");
    const policy = parsePolicy(`${logs}${witnessLines(...names)}${groups}quorum G31\n`);
    expect([policy.logs.length, policy.witnesses.length, policy.groups.length]).toEqual([32, 32, 32]);
    expect(evaluateQuorum(policy, new Set(names)).met).toBe(true);
    expect(evaluateQuorum(policy, new Set(names.slice(1)))).toEqual({ met: false, missing: ["W0"] });
  });

  test("C-197 groups nested 30,000 deep need no stack, and many witnesses no square of time", () => {
    const start = performance.now();
    const deep = Array.from({ length: 30_000 }, (_, i) => `group ${i} 1 ${i === 0 ? "W" : i - 1}\n`).join("");
    const policy = parsePolicy(`${witnessLines("W")}${deep}quorum 29999\n`);
    expect(evaluateQuorum(policy, new Set())).toEqual({ met: false, missing: ["W"] });
    expect(smallestWitnessSet(policy, new Set(["W"]))).toEqual(["W"]);
    const { publicKey } = parseVkey(witnessKey("w"));
    const many = Array.from({ length: 8_000 }, (_, i) => {
      const key = publicKey.slice();
      new DataView(key.buffer).setUint32(0, i);
      return `witness ${i} ${formatVkey({ name: "w", type: 4, publicKey: key })}\n`;
    });
    const names = many.map((_, i) => String(i));
    const wide = parsePolicy(`${many.join("")}group all all ${names.join(" ")}\nquorum all\n`);
    expect(smallestWitnessSet(wide, new Set(names))).toEqual(names);
    expect(evaluateQuorum(wide, new Set()).missing).toEqual(names);
    expect(performance.now() - start).toBeLessThan(5_000);
  });

  test("C-198 takes a last line without its newline, and refuses an empty file", () => {
    takes(`${witnessLines("W")}quorum W`);
    for (const empty of ["", "\n", " ", "#", "\n\n\n"]) refuses(empty);
  });

  test("refuses a policy above a megabyte", () => {
    takes(`${"\n".repeat(1_048_576 - 12)}quorum none\n`);
    refuses(`${"\n".repeat(1_048_576 - 11)}quorum none\n`);
  });

  test("names the line that is wrong", () => {
    expect(() => parsePolicy(`# a\n\nquorum x\n`)).toThrow('policy line 3: quorum "x" is not defined on a line before');
    expect(() => parsePolicy(`log ${"a".repeat(64)}\nquorum none\n`)).toThrow(/^policy line 1: a bare key, not a vkey/);
  });
});

describe("formatPolicy", () => {
  const logs = [{ vkey: logKey, url: "https://log.example/" }];
  const both = [witnessKey("w"), signerOf("w", "mldsa44").vkey];

  test("C-80 a witness of two keys counts once", () => {
    const text = formatPolicy({
      logs,
      witnesses: [
        { name: "W", vkeys: both, url: "https://w.example/" },
        { name: "V", vkeys: [witnessKey("v")] },
      ],
      quorum: 2,
    });
    const policy = parsePolicy(text);
    expect(policy.groups).toEqual([
      { name: "W", threshold: 1, members: ["W/ed25519", "W/mldsa44"] },
      { name: "witnesses", threshold: 2, members: ["W", "V"] },
    ]);
    expect(evaluateQuorum(policy, new Set(["W/ed25519", "W/mldsa44"]))).toEqual({ met: false, missing: ["V"] });
    expect(evaluateQuorum(policy, new Set(["W/mldsa44", "V"])).met).toBe(true);
  });

  test("names no group by a keyword, which Tessera refuses", () => {
    const text = formatPolicy({ logs, witnesses: [{ name: "W", vkeys: both }], quorum: 1 });
    expect(text).toMatch(/^group witnesses 1 W\nquorum witnesses\n$/m);
    const names = parsePolicy(text).groups.map(({ name }) => name);
    for (const keyword of ["log", "witness", "group", "any", "all", "quorum"]) expect(names).not.toContain(keyword);
  });

  test("writes quorum none", () => {
    expect(formatPolicy({ logs, witnesses: [], quorum: "none" })).toBe(
      `log ${logKey} https://log.example/\nquorum none\n`,
    );
  });

  test("writes no name, key or URL that would become another line or word", () => {
    const vkeys = [witnessKey("w")];
    for (const name of ["a b", "a\nquorum none", "a\tb", ""]) {
      expect(errorCode(() => formatPolicy({ logs, witnesses: [{ name, vkeys }], quorum: 1 }))).toBe("TypeError");
    }
    for (const url of ["u v", "u\n", ""]) {
      expect(errorCode(() => formatPolicy({ logs: [{ vkey: logKey, url }], witnesses: [], quorum: "none" }))).toBe(
        "TypeError",
      );
    }
  });

  test.each([0, 2, -1, 0.5, Number.NaN])("refuses a quorum of %d of one witness", (quorum) => {
    const policy = { logs, witnesses: [{ name: "W", vkeys: both }], quorum };
    expect(errorCode(() => formatPolicy(policy))).toBe("policy-malformed");
  });

  test("refuses a witness without a key, with two keys of one type, or called none", () => {
    for (const witness of [
      { name: "W", vkeys: [] },
      { name: "W", vkeys: [witnessKey("w"), witnessKey("v")] },
      { name: "none", vkeys: [witnessKey("w")] },
    ]) {
      expect(errorCode(() => formatPolicy({ logs, witnesses: [witness], quorum: 1 }))).toBe("policy-malformed");
    }
    expect(errorCode(() => formatPolicy({ logs, witnesses: [{ name: "W", vkeys: ["x", "y"] }], quorum: 1 }))).toBe(
      "vkey-malformed",
    );
  });
});

interface PolicyVector {
  readonly name: string;
  readonly policy: string;
  readonly expect: "ok" | "refuse" | "open";
  readonly logs?: number;
  readonly witnesses?: number;
  readonly quorum?: readonly { witnesses: readonly string[]; met: boolean }[];
}

describeWithVectors("policies of others", () => {
  const vectors = readVectorJson<readonly PolicyVector[]>("policy/policy-cases.json");
  /** The witness keys of one source are of type 1, which a witness cannot have. */
  const isOfType1 = ({ policy }: PolicyVector): boolean =>
    /^\s*witness\s+\S+\s+\S+\+[0-9a-f]{8}\+A[Q-Za-f]/m.test(policy);
  const asType4 = (policy: string): string =>
    policy.replaceAll(/^(\s*witness\s+\S+\s+)(\S+)/gm, (_, start: string, vkey: string) => {
      const { name, publicKey } = parseVkey(vkey);
      return `${start}${formatVkey({ name, type: 4, publicKey })}`;
    });

  test("C-182 to C-199 takes or refuses all 32; a witness may be called all", () => {
    expect(vectors).toHaveLength(32);
    const verdicts = vectors.map((vector) => {
      const code = errorCode(() => parsePolicy(isOfType1(vector) ? asType4(vector.policy) : vector.policy));
      return [vector.name, code];
    });
    expect(verdicts).toEqual(
      vectors.map((vector) => [vector.name, vector.expect === "refuse" ? "policy-malformed" : undefined]),
    );
  });

  test("C-195 witness keys of type 1 are what is wrong with the policies that have them", () => {
    const ofType1 = vectors.filter(isOfType1);
    expect(ofType1.length).toBeGreaterThan(2);
    for (const { policy } of ofType1) refuses(policy);
    for (const { policy } of ofType1.filter((vector) => vector.expect === "ok")) {
      expect(() => parsePolicy(policy)).toThrow(/a witness's key has signature type 4 or 6, this one has 1$/);
    }
  });

  test("C-182 C-200 has the same logs, witnesses and quorums", () => {
    const rows = vectors.flatMap((vector) => {
      if (vector.expect !== "ok") return [];
      const policy = parsePolicy(isOfType1(vector) ? asType4(vector.policy) : vector.policy);
      expect([policy.logs.length, policy.witnesses.length]).toEqual([vector.logs, vector.witnesses]);
      return (vector.quorum ?? []).map(({ witnesses, met }) => ({ policy, witnesses, met }));
    });
    expect(rows.length).toBeGreaterThan(20);
    for (const { policy, witnesses, met } of rows) {
      expect([witnesses, evaluateQuorum(policy, new Set(witnesses)).met]).toEqual([witnesses, met]);
    }
  });

  test.each(["sigsum-test-2025-3", "sigsum-test1-2025"])("takes the policy of a public log: %s", (name) => {
    const policy = parsePolicy(readVectorBytes(`policy/${name}.tlog-policy.txt`));
    expect([policy.logs.length > 0, policy.witnesses.length > 0]).toEqual([true, true]);
    const everyone = new Set(policy.witnesses.map((witness) => witness.name));
    expect(evaluateQuorum(policy, everyone).met).toBe(true);
    expect(evaluateQuorum(policy, new Set()).met).toBe(false);
    expect(() => parsePolicy(readVectorText(`policy/${name}.sigsum.txt`))).toThrow(TlogError);
    expect(() => parsePolicy(readVectorText(`policy/${name}.sigsum.txt`))).toThrow(/a bare key, not a vkey/);
  });
});
