import {
  type ClassRule,
  LogError,
  type RulesDefect,
  defaultRulesText,
  formatRulesDefect,
  parseRules,
  ruleOf,
  rulesDigest,
} from "@tallystick/log";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";

const parse = (text: string) => parseRules(text, { where: "rules.yaml" });

function refusalOf(text: string): LogError {
  try {
    parse(text);
  } catch (error) {
    if (error instanceof LogError) return error;
    throw error;
  }
  throw new Error(`was taken: ${text}`);
}

/** `line 3, column 5: path: message` of every defect. */
function defectsOf(text: string): string[] {
  return (refusalOf(text).details["defects"] as RulesDefect[]).map(formatRulesDefect);
}

const SIGNS = "{ } [ ] : , - ? ! & * # | > ' \" % @ ` a 1".split(" ").concat(" ", "\n", "\t");
const KEY = "0123456789abcdef".repeat(4);

describe("parseRules", () => {
  test("reads every key there is", () => {
    const rules = parse(`version: 1
classes:
  auth:    { keep: 1y, atLeast: 1y, erase: on-request, basis: "PCI DSS 10.5.1" }
  session: { keep: 90d }
  access:  { keep: 6y, erase: at-expiry }
  log:     { keep: for-ever, basis: proof }
other: { keep: for-ever, atLeast: 10y }
reads: { purpose: required }
twoPersons: [erasure, rules]
senderKeys:
  - { publicKey: ${KEY}, from: 0, to: 1000 }
  - { publicKey: ${KEY}, from: 1000 }
identity:
  - issuer: https://id.example.com
    audience: tallystick
    jwksUri: https://id.example.com/jwks?v=1
    grants:
      - { claim: groups, has: auditors, role: auditor }
      - { claim: role, has: customer, role: reader, subjectFrom: sub }
`);
    expect(rules).toEqual({
      version: 1,
      classes: new Map<string, ClassRule>([
        ["auth", { keepDays: 365, atLeastDays: 365, erase: "on-request", basis: "PCI DSS 10.5.1" }],
        ["session", { keepDays: 90, atLeastDays: 0, erase: "on-request" }],
        ["access", { keepDays: 2190, atLeastDays: 0, erase: "at-expiry" }],
        ["log", { keepDays: "for-ever", atLeastDays: 0, erase: "on-request", basis: "proof" }],
      ]),
      other: { keepDays: "for-ever", atLeastDays: 3650, erase: "on-request" },
      reads: { purpose: "required" },
      twoPersons: ["erasure", "rules"],
      senderKeys: [
        { publicKey: KEY, from: 0, to: 1000 },
        { publicKey: KEY, from: 1000 },
      ],
      identity: [
        {
          issuer: "https://id.example.com",
          audience: "tallystick",
          jwksUri: "https://id.example.com/jwks?v=1",
          grants: [
            { claim: "groups", has: "auditors", role: "auditor" },
            { claim: "role", has: "customer", role: "reader", subjectFrom: "sub" },
          ],
        },
      ],
    });
  });

  test("reads JSON as it reads YAML", () => {
    const json = '{\n\t"version": 1,\n\t"classes": { "auth": { "keep": "2y" } }\n}\n';
    expect(parse(json)).toEqual(parse("version: 1\nclasses:\n  auth:\n    keep: 2y\n"));
  });

  test("gives the defaults where a file says nothing: those that the default text spells out", () => {
    const rules = parse("version: 1");
    expect(parse(defaultRulesText)).toEqual(rules);
    const kept = [...rules.classes].map(([name, { keepDays }]) => [name, keepDays]);
    expect(Object.fromEntries(kept)).toEqual({
      session: 90,
      activity: 90,
      auth: 365,
      account: 365,
      access: 2190,
      log: "for-ever",
    });
    expect(rules.other.keepDays).toBe(365);
  });

  test("takes a list of classes in place of the default one, and log is among them all the same", () => {
    const rules = parse("version: 1\nclasses: { invoice: { keep: 10y } }\nother: { keep: 7d }");
    expect([...rules.classes.keys()]).toEqual(["invoice", "log"]);
    expect(ruleOf(rules, "invoice").keepDays).toBe(3650);
    expect(ruleOf(rules, "auth").keepDays).toBe(7);
    expect(ruleOf(rules, "log").keepDays).toBe("for-ever");
    expect(ruleOf(rules, "constructor").keepDays).toBe(7);
  });

  test.each([
    ["1d", 1],
    ["9999d", 9999],
    ["1y", 365],
    ["6y", 2190],
    ["100y", 36_500],
    ["for-ever", "for-ever"],
  ])("keep: %s is %j days", (keep, days) => {
    expect(parse(`version: 1\nother: { keep: ${keep} }`).other.keepDays).toBe(days);
  });

  test.each([
    ["90", 'such as 90d; got the number "90"'],
    ["90 days", 'such as 90d; got "90 days"'],
    ["P90D", 'such as 90d; got "P90D"'],
    ["6m", 'such as 184d; got "6m"'],
    ["24 months", 'such as 2y; got "24 months"'],
    ["2w", 'such as 14d; got "2w"'],
    ["forever", 'such as for-ever; got "forever"'],
    ["0d", 'or for-ever; got "0d"'],
    ["-1d", 'or for-ever; got "-1d"'],
    ["10000d", 'or for-ever; got "10000d"'],
    ["101y", 'or for-ever; got "101y"'],
    ["1.5y", 'or for-ever; got "1.5y"'],
    ["1y6m", 'or for-ever; got "1y6m"'],
    ["", "or for-ever; got nothing"],
    ["[1y]", "or for-ever; got a list of 1"],
  ])("refuses keep: %s, and says what was likely meant", (keep, words) => {
    const [defect, ...more] = defectsOf(`version: 1\nother: { keep: ${keep} }`);
    expect([defect?.endsWith(words), more]).toEqual([true, []]);
    expect(defect).toMatch(/^line 2, column \d+: other\.keep: expected days \(1d to 9999d\) or years/);
  });

  test("tells every defect at once, with its line, its column and what to write", () => {
    const text = `version: 2
clases: {}
classes:
  auth: { keep: 1y, erase: never }
  Auth: { keep: 1y }
  log: { keep: 1y }
  a: { kep: 1y }
  b: { keep: 1y, atLeast: 2y }
  c: { keep: for-ever, erase: at-expiry }
  c: { keep: 1y }
  1: { keep: 1y }
  d:
reads: { purpose: yes }
twoPersons: [rules, rule]
`;
    expect(defectsOf(text)).toEqual([
      'line 1, column 10: version: expected 1; got the number "2"',
      "line 2, column 1: clases: is no key here: did you mean classes?",
      'line 4, column 28: classes.auth.erase: expected on-request, at-expiry; got "never"',
      "line 5, column 3: classes.Auth: expected a retention class: 1 to 32 of a-z, 0-9 and -, and not hold- with 8 hex digits as key",
      'line 6, column 16: classes.log.keep: expected for-ever alone; got "1y"',
      "line 7, column 6: classes.a: expected keep, which is missing",
      "line 7, column 8: classes.a.kep: is no key here: did you mean keep?",
      "line 8, column 27: classes.b.atLeast: expected at most keep, which is 1y; got 2y: keep it longer, or promise less",
      "line 9, column 31: classes.c.erase: expected on-request where keep is for-ever, as such contents never expire: give keep a time, 100y at most",
      "line 10, column 3: classes.c: stands on line 9 already: keep one of the two",
      'line 11, column 3: classes: expected a text as key, got "1": put it in quotes',
      "line 12, column 5: classes.d: expected a map of keep, atLeast, erase, basis; got nothing",
      'line 13, column 19: reads.purpose: expected optional, required; got "yes"',
      'line 14, column 21: twoPersons[1]: expected erasure, hold, rules: did you mean rules?; got "rule"',
    ]);
    expect(refusalOf(text).message).toBe(
      'rules.yaml: line 1, column 10: version: expected 1; got the number "2" (and 13 more)',
    );
    expect(refusalOf(text)).toMatchObject({ code: "rules-malformed", details: { line: 1, column: 10 } });
  });

  test("refuses the class of a hold, which is the log's own, and takes what only begins like it", () => {
    const text = "version: 1\nclasses:\n  hold-0123abcd: { keep: 1y }\n  hold-0123abcde: { keep: 1y }\n";
    expect(defectsOf(text)).toEqual([
      "line 3, column 3: classes.hold-0123abcd: expected a retention class: 1 to 32 of a-z, 0-9 and -, and not hold- with 8 hex digits as key",
    ]);
  });

  test("names a key by what others call it", () => {
    expect(defectsOf("version: 1\nother:\n  duration: 1y")).toContain(
      "line 3, column 3: other.duration: is no key here: did you mean keep?",
    );
  });

  test.each([
    ["other: &a { keep: 1y }", "line 2, column 8: an anchor (&)"],
    ["other: *a", "line 2, column 8: an alias (*)"],
    ["other: !x { keep: 1y }", "line 2, column 8: a tag (!)"],
    ["other: { keep: !!str 1y }", "line 2, column 16: a tag (!)"],
    ["? !x a\n: 1", "line 2, column 3: a tag (!)"],
    ["<<: { other: { keep: 1y } }", 'line 2, column 1: ["<<"]: is no key here'],
    ["other: { keep: 1y }\n---\nversion: 1", "line 3, column 1: expected one document"],
    ["other: { keep: 1y, keep: 2y }", "line 2, column 20: other.keep: stands on line 2 already"],
    ["version: 1", "line 2, column 1: version: stands on line 1 already"],
    ["? [a]\n: 1", "line 2, column 3: expected a text as key, got a list or a map"],
    ["other: { keep: 1y", "line 2, column 18: expected YAML or JSON: "],
    ["other: keep: 1y", "line 2, column 8: expected YAML or JSON: "],
    ["\tother: 1", "line 2, column 1: expected YAML or JSON: "],
  ])("refuses %j, which says something else than it seems to, or nothing", (text, words) => {
    expect(defectsOf(`version: 1\n${text}`)[0]).toContain(words);
  });

  test("takes no other version of YAML, in which yes and no are other values", () => {
    expect(defectsOf("%YAML 1.1\n---\nversion: 1")).toEqual([
      "line 1, column 1: a directive (%) is not taken: begin with version: 1",
    ]);
  });

  test("refuses what is no text, even in a comment: it has no bytes, and so no digest", () => {
    expect(defectsOf("version: 1 # \uD800")).toEqual([
      "line 1, column 1: expected text, got half a character (a lone surrogate)",
    ]);
  });

  test.each([
    ["a bare CR, which ends a line in an editor", "# x\rtwoPersons: [rules]", "line 2, column 4", "U+000D"],
    ["a line separator", "# x\u2028twoPersons: [rules]", "line 2, column 4", "U+2028"],
    ["a next line", "# x\u0085twoPersons: [rules]", "line 2, column 4", "U+0085"],
    ["what steers a terminal", "other: { keep: 1d } # \u001B[1A", "line 2, column 23", "U+001B"],
    ["another direction of writing", 'other: { basis: "\u202E", keep: 1d }', "line 2, column 18", "U+202E"],
    ["a mark of byte order within", "# \uFEFF", "line 2, column 3", "U+FEFF"],
  ])("refuses %s, in comments too: people would read another file than the log", (_, text, place, code) => {
    expect(defectsOf(`version: 1\n${text}\n`)).toEqual([
      `${place}: a character that cannot be seen (${code}) is not taken, in comments neither`,
    ]);
  });

  test("takes line ends of Windows, tabs behind a key, and a mark of byte order before all", () => {
    expect(parse("\uFEFFversion: 1\r\nother:\t{ keep: 3d }\r\n").other.keepDays).toBe(3);
  });

  test("knows a sign from a text that only has it", () => {
    const { basis } = parse('version: 1\nother: { keep: 1y, basis: "&a *b !c %d <<" } # &x *y !z').other;
    expect(basis).toBe("&a *b !c %d <<");
  });

  test.each(["", "\n", "# nothing", "null", "~", "1", "text", "[]", "---\n"])("refuses %j as a whole", (text) => {
    expect(defectsOf(text)[0]).toMatch(/^line \d, column \d: expected a map of version, classes, other/);
  });

  test.each([
    ["[".repeat(1000), "deep"],
    ["- ".repeat(1000), "deep"],
    [`${"{a: ".repeat(17)}1${"}".repeat(17)}`, "deep by one level"],
    [",".repeat(100_000), "of signs"],
    [`version: 1 #${"x".repeat(262_144)}`, "long"],
    [`basis: "${"é".repeat(131_072)}"`, "long in bytes"],
    [Array.from({ length: 20_000 }, (_, at) => `k${at}: 1`).join("\n"), "of many keys"],
    [`version: 1\nsenderKeys: [${"{},".repeat(1025)}]`, "of too many sender keys"],
    [`version: 1\nclasses: { ${Array.from({ length: 257 }, (_, at) => `c${at}: { keep: 1y }`).join()} }`, "of classes"],
  ])("refuses a text that is too much: %#", (text) => {
    const defects = defectsOf(text);
    expect(defects.length).toBeGreaterThan(0);
    expect(defects.length).toBeLessThanOrEqual(100);
    expect(defects.join("").length).toBeLessThan(50_000);
  });

  test("takes 256 classes and 1,024 sender keys", () => {
    const classes = Object.fromEntries(Array.from({ length: 256 }, (_, at) => [`c${at}`, { keep: "1y" }]));
    const senderKeys = Array.from({ length: 1024 }, (_, at) => ({ publicKey: at.toString(16).padStart(64, "0") }));
    const rules = parse(JSON.stringify({ version: 1, classes, senderKeys }));
    expect([rules.classes.size, rules.senderKeys.length]).toEqual([257, 1024]);
  });

  describe("of sender keys", () => {
    const keysDefects = (...keys: readonly object[]): string[] =>
      defectsOf(JSON.stringify({ version: 1, senderKeys: keys })).map((defect) => defect.replace(/^.*?: /, ""));

    test("refuses what is no key, and shows nothing of it: it could be a secret one", () => {
      const secret = `${KEY.slice(1)}S`;
      const [defect = ""] = keysDefects({ publicKey: secret });
      expect(defect).toBe(
        "senderKeys[0].publicKey: expected an Ed25519 public key of 64 hex digits in lower case; got 64 characters",
      );
      expect(refusalOf(JSON.stringify({ version: 1, senderKeys: [{ publicKey: secret }] })).message).not.toContain(
        "abc",
      );
    });

    test("refuses an end that is not above the beginning, and numbers that are not written as such", () => {
      expect(keysDefects({ publicKey: KEY, from: 7, to: 7 })).toEqual([
        "senderKeys[0].to: expected an index above from, which is 7; got 7",
      ]);
      const written = defectsOf(`version: 1\nsenderKeys: [{ publicKey: ${KEY}, from: 0x10, to: 1e3 }]`);
      expect(written.map((defect) => defect.slice(defect.indexOf("got")))).toEqual([
        'got the number "0x10"',
        'got the number "1e3"',
      ]);
    });

    test("refuses one key twice at the same indexes, in whatever order, and takes it twice one after the other", () => {
      const [first, second] = [
        { publicKey: KEY, from: 5, to: 10 },
        { publicKey: KEY, to: 6 },
      ];
      for (const keys of [
        [first, second],
        [second, first],
      ])
        expect(keysDefects(...keys)).toEqual([
          "senderKeys[1]: overlaps with senderKeys[0], the same key: join the two",
        ]);
      expect(parse(JSON.stringify({ version: 1, senderKeys: [first, { ...second, to: 5 }] })).senderKeys).toHaveLength(
        2,
      );
    });
  });

  describe("of identity", () => {
    const rule = { issuer: "https://id.example.com", audience: "a", grants: [] };
    const identityDefects = (...identity: readonly object[]): string[] =>
      defectsOf(JSON.stringify({ version: 1, identity })).map((defect) => defect.replace(/^.*?: /, ""));

    test.each([
      "http://id.example.com",
      "https://user:password@id.example.com",
      "https://id.example.com?x",
      "https://id.example.com#x",
      "https://id.example.com:99999",
      "https://",
      "https://-a",
      "//id.example.com",
      "file:///etc/passwd",
      "http://127.0.0.1.example.com",
      "http://localhost@id.example.com",
      "https://id.example.com\\@evil.example",
    ])("refuses the issuer %s", (issuer) => {
      expect(identityDefects({ ...rule, issuer })).toEqual([
        expect.stringMatching(/^identity\[0\]\.issuer: expected an address/),
      ]);
    });

    test.each([
      "https://id.example.com/realms/a",
      "https://[2001:db8::1]:8443",
      "http://127.0.0.1:3000",
      "http://[::1]:1/",
    ])("takes the issuer %s", (issuer) => {
      expect(parse(JSON.stringify({ version: 1, identity: [{ ...rule, issuer }] })).identity[0]?.issuer).toBe(issuer);
    });

    test("gives no reader's role without saying whose events, and no other role with it", () => {
      const grants = [
        { claim: "a", has: "b", role: "reader" },
        { claim: "a", has: "b", role: "auditor", tenantFrom: "org" },
      ];
      expect(identityDefects({ ...rule, grants })).toEqual([
        "identity[0].grants[0]: expected subjectFrom or tenantFrom: a reader sees the events of one person, or of one tenant",
        "identity[0].grants[1]: expected no subjectFrom and tenantFrom for the role auditor: only readers have them",
      ]);
    });

    test("refuses an issuer and audience twice, and takes one issuer for two audiences", () => {
      expect(identityDefects(rule, rule)).toEqual([
        "identity[1]: is the issuer and audience of identity[0]: join the two",
      ]);
      expect(parse(JSON.stringify({ version: 1, identity: [rule, { ...rule, audience: "b" }] })).identity).toHaveLength(
        2,
      );
    });

    test("tells that a claim's value needs quotes", () => {
      const text = `version: 1\nidentity: [{ issuer: "http://localhost", audience: a, grants: [{ claim: admin, has: true, role: officer }] }]`;
      expect(defectsOf(text)[0]).toContain("on one line, in quotes; got the boolean");
    });
  });

  test("of any text gives rules, or defects that stand within it", () => {
    const mangled = fc
      .tuple(fc.nat({ max: defaultRulesText.length }), fc.nat({ max: 20 }), fc.string({ maxLength: 8, unit: "binary" }))
      .map(([at, cut, put]) => `${defaultRulesText.slice(0, at)}${put}${defaultRulesText.slice(at + cut)}`);
    const any = fc.oneof(mangled, fc.string({ unit: fc.constantFrom(...SIGNS) }));
    fc.assert(
      fc.property(any, (text) => {
        const lines = text.split(/\n/);
        for (const { line, column } of defectPlaces(text)) {
          expect(line).toBeLessThanOrEqual(lines.length);
          expect(column).toBeLessThanOrEqual((lines[line - 1] ?? "").length + 1);
        }
      }),
      { numRuns: 300 },
    );
  });

  function defectPlaces(text: string): readonly RulesDefect[] {
    try {
      parse(text);
      return [];
    } catch (error) {
      if (!(error instanceof LogError)) throw error;
      return error.details["defects"] as readonly RulesDefect[];
    }
  }
});

describe("rulesDigest", () => {
  test("is SHA-256 of the bytes: a comment more is another file", () => {
    expect(rulesDigest(new Uint8Array())).toBe("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  });
});
