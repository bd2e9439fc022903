/** Policies: parsed by us, and by Tessera, which makes of them the groups of witnesses that it asks. */
import { type Policy, encodeHex, formatKeyId, parsePolicy, utf8 } from "@tallystick/core";
import type { Input, Kind, Subject } from "../kind.ts";
import { bytesOf, canonicalDecimal, looseBase64, octetsOf } from "../octets.ts";
import { LOG, PQ_WITNESS, WITNESS, signerOf } from "../signers.ts";
import { verdictOf } from "./verdict.ts";
import {
  type VkeyParts,
  asType,
  isLongMldsa44Name,
  joinVkey,
  keyOf,
  splitVkey,
  withCanonicalBase64,
  withRightId,
} from "./vkey.ts";

function ours([octets = new Uint8Array()]: Input): string {
  return verdictOf(() => quorumOf(parsePolicy(octets)));
}

/** The quorum with all that is below it: "2(<witness> 1(<witness> <witness>))". */
function quorumOf(policy: Policy): string {
  if (policy.quorum === "none") return "0()";
  const below = new Map<string, string>();
  for (const { name, verifier } of policy.witnesses) {
    below.set(name, `${encodeHex(utf8(verifier.name))}:${formatKeyId(verifier.keyId)}`);
  }
  for (const { name, threshold, members } of policy.groups) {
    below.set(name, `${threshold}(${members.map((member) => below.get(member)).join(" ")})`);
  }
  const quorum = below.get(policy.quorum) ?? "";
  return policy.groups.some(({ name }) => name === policy.quorum) ? quorum : `1(${quorum})`;
}

/** The words of each line. */
type Lines = readonly (readonly string[])[];

/** Go's unicode.IsSpace, in octets of UTF-8. */
const GO_SPACES =
  /[\t\v\f\r ]|\u00c2[\u0085\u00a0]|\u00e1\u009a\u0080|\u00e2\u0080[\u0080-\u008a\u00a8\u00a9\u00af]|\u00e2\u0081\u009f|\u00e3\u0080\u0080/g;

/** The words as we read them. */
function wordsOf([octets = new Uint8Array()]: Input): Lines {
  return octetsOf(octets)
    .split("\n")
    .map((line) => line.split(/[ \t]+/).filter((word) => word !== ""))
    .map((words) => (words[0]?.startsWith("#") === true ? [] : words));
}

/** The words as Tessera reads them: nothing from # on, and more spaces than space and tab. */
function tesseraWordsOf(input: Input): Lines {
  const [octets = new Uint8Array()] = input;
  return wordsOf([
    bytesOf(
      octetsOf(octets)
        .replaceAll(GO_SPACES, " ")
        .replaceAll(/#[^\n]*/g, ""),
    ),
  ]);
}

type WordsOf = (input: Input) => Lines;

function holdsFor(holds: (lines: Lines) => boolean, words: WordsOf = wordsOf): (input: Input) => boolean {
  return (input) => holds(words(input));
}

/** Mends lines as words. A line that `mend` gives back as the array it got stays as it stood. */
function mendLines(input: Input, mend: (lines: Lines) => Lines, words: WordsOf = wordsOf): Input {
  const [octets = new Uint8Array()] = input;
  const stood = octetsOf(octets).split("\n");
  const lines = words(input);
  const mended = mend(lines).map((line) => stood[lines.indexOf(line)] ?? line.join(" "));
  return [bytesOf(mended.join("\n"))];
}

/** Mends the vkey of each witness. */
function mendVkeys(input: Input, mend: (parts: VkeyParts) => VkeyParts): Input {
  return mendLines(input, (lines) =>
    lines.map((words) => {
      const [keyword, , vkey = ""] = words;
      const parts = keyword === "witness" ? splitVkey(vkey) : undefined;
      const mended = parts === undefined ? vkey : joinVkey(mend(parts));
      return mended === vkey ? words : words.with(2, mended);
    }),
  );
}

function vkeysOf(lines: Lines): VkeyParts[] {
  return lines.flatMap(([keyword, , vkey = ""]) => {
    const parts = keyword === "witness" ? splitVkey(vkey) : undefined;
    return parts === undefined ? [] : [parts];
  });
}

function groupsOf(lines: Lines): { readonly threshold: string; readonly members: readonly string[] }[] {
  return lines.flatMap(([keyword, name, threshold, ...members]) =>
    keyword === "group" && name !== undefined && threshold !== undefined ? [{ threshold, members }] : [],
  );
}

/** All names that lines define, list as members or ask for. */
function namesOf(lines: Lines): string[] {
  return lines.flatMap(([keyword, first, , ...members]) => {
    if (first === undefined) return [];
    return keyword === "group" ? [first, ...members] : keyword === "witness" ? [first] : [];
  });
}

function hasRepeat(words: readonly string[]): boolean {
  return new Set(words).size < words.length;
}

const KEYWORDS: ReadonlySet<string> = new Set(["witness", "group", "any", "all", "none", "quorum", "log"]);

/** Without log lines that we cannot take: of those Tessera takes any. */
function dropBadLogs(lines: Lines): Lines {
  const keys: string[] = [];
  return lines.filter(([keyword, vkey = "", ...rest]) => {
    if (keyword !== "log") return true;
    const line = [keyword, vkey, ...rest].join(" ");
    if (ours([bytesOf(`${line}\nquorum none\n`)]) === "refused") return false;
    const key = encodeHex(keyOf(splitVkey(vkey) ?? { name: "", id: "", encoded: "" })?.publicKey ?? new Uint8Array());
    keys.push(key);
    return keys.indexOf(key) === keys.length - 1;
  });
}

/** With the last of the quorum lines at the end, and no other. */
function lastQuorumLast(lines: Lines): Lines {
  const isQuorum = (words: readonly string[]): boolean => words[0] === "quorum" && words.length === 2;
  const quorums = lines.filter(isQuorum);
  const last = quorums.at(-1);
  if (last === undefined || (quorums.length === 1 && isDefinedBefore(lines, last))) return lines;
  return [...lines.filter((words) => !isQuorum(words)), last];
}

function isDefinedBefore(lines: Lines, quorum: readonly string[]): boolean {
  const name = quorum[1];
  const before = lines.slice(0, lines.indexOf(quorum));
  return (
    name === "none" || before.some(([keyword, first]) => keyword !== "log" && keyword !== "quorum" && first === name)
  );
}

const OTHER = signerOf("differential.example/other", "ed25519-cosigner");
const W1 = `witness w1 ${WITNESS.vkey} http://w1`;
const W2 = `witness w2 ${PQ_WITNESS.vkey} http://w2`;
const example = (...lines: readonly string[]): Input => [bytesOf(lines.map((line) => `${line}\n`).join(""))];
const altered = (alter: (parts: VkeyParts) => VkeyParts): Input => mendVkeys(example(W1, "quorum w1"), alter);

const KINDS: readonly Kind[] = [
  {
    name: "policy-control-character",
    covers: "C-183",
    of: ["tessera"],
    form: "we-refuse",
    // oxlint-disable-next-line no-control-regex -- what the kind is about
    holds: ([octets = new Uint8Array()]) => /[\0-\x08\x0b-\x1f\x7f]/.test(octetsOf(octets)),
    example: example("# \u0001", W1, "quorum w1"),
  },
  {
    name: "policy-comment-after-words",
    covers: "C-184",
    of: ["tessera"],
    form: "read-differently",
    mend: ([octets = new Uint8Array()]) => [
      bytesOf(octetsOf(octets).replaceAll(/^([\t ]*[^#\t \n][^#\n]*)#[^\n]*$/gm, "$1")),
    ],
    example: example(W1, "quorum w1 # one is enough"),
  },
  {
    name: "policy-unicode-space",
    covers: "C-183",
    of: ["tessera"],
    form: "read-differently",
    mend: ([octets = new Uint8Array()]) => [
      bytesOf(octetsOf(octets).replaceAll(GO_SPACES, (space) => (space === "\t" ? space : " "))),
    ],
    example: example(W1, "quorum\u00c2\u00a0w1"),
  },
  {
    name: "policy-log-lines-unread",
    covers: "C-190 C-196",
    of: ["tessera"],
    form: "they-tolerate",
    mend: (input) => mendLines(input, dropBadLogs),
    example: example("log anything goes here", W1, "quorum w1"),
  },
  {
    name: "base64-not-canonical",
    covers: "C-21",
    of: ["tessera"],
    form: "they-tolerate",
    mend: (input) => mendVkeys(input, withCanonicalBase64),
    example: example(looseBase64(W2), "quorum w2"),
  },
  {
    name: "policy-witness-of-type-1",
    covers: "C-195",
    of: ["tessera"],
    form: "they-tolerate",
    mend: (input) => mendVkeys(input, (parts) => (keyOf(parts)?.type === 1 ? asType(parts, 4) : parts)),
    example: altered((parts) => asType(parts, 1)),
  },
  {
    name: "vkey-id-unchecked",
    covers: "C-35",
    of: ["tessera"],
    form: "they-tolerate",
    mend: (input) => mendVkeys(input, withRightId),
    example: altered((parts) => ({ ...parts, id: "not-hex!" })),
  },
  {
    name: "mldsa44-name-over-255-bytes",
    covers: "C-72",
    of: ["tessera"],
    form: "we-refuse",
    holds: holdsFor((lines) => vkeysOf(lines).some(isLongMldsa44Name)),
    example: mendVkeys(example(W2, "quorum w2"), (parts) => withRightId({ ...parts, name: "n".repeat(256) })),
  },
  {
    name: "policy-quorum-line",
    covers: "C-186 C-188",
    of: ["tessera"],
    form: "they-tolerate",
    mend: (input) => mendLines(input, lastQuorumLast),
    example: example("quorum none", "quorum w1", W1),
  },
  {
    name: "policy-threshold-0",
    covers: "C-192",
    of: ["tessera"],
    form: "we-refuse",
    holds: holdsFor((lines) =>
      groupsOf(lines).some(({ threshold, members }) => /^0+$/.test(threshold) || members.length === 0),
    ),
    example: example(W1, "group g 0 w1", "quorum g"),
  },
  {
    name: "leading-zeros",
    covers: "C-192",
    of: ["tessera"],
    form: "they-tolerate",
    mend: (input) =>
      mendLines(input, (lines) =>
        lines.map((words) => {
          const [keyword, , threshold = ""] = words;
          const mended = canonicalDecimal(threshold);
          return keyword !== "group" || mended === threshold ? words : words.with(2, mended);
        }),
      ),
    example: example(W1, W2, "group g 02 w1 w2", "quorum g"),
  },
  {
    name: "policy-member-twice",
    covers: "C-191",
    of: ["tessera"],
    form: "we-refuse",
    holds: holdsFor((lines) => hasRepeat(groupsOf(lines).flatMap(({ members }) => members))),
    example: example(W1, W2, "group g 2 w1 w2 w1", "quorum g"),
  },
  {
    name: "policy-key-twice",
    covers: "C-190",
    of: ["tessera"],
    form: "we-refuse",
    holds: holdsFor((lines) =>
      hasRepeat(vkeysOf(lines).map((parts) => encodeHex(keyOf(parts)?.publicKey ?? utf8(joinVkey(parts))))),
    ),
    example: example(W1, W1.replace("w1", "w2"), "quorum w1"),
  },
  {
    name: "policy-url-required",
    covers: "C-196",
    of: ["tessera"],
    form: "they-refuse",
    holds: holdsFor((lines) => lines.some((words) => words[0] === "witness" && words.length === 3), tesseraWordsOf),
    example: example(`log ${LOG.vkey}`, `witness w1 ${WITNESS.vkey}`, "quorum w1"),
  },
  {
    name: "policy-url-unparsable",
    covers: "C-196",
    of: ["tessera"],
    form: "they-refuse-unless",
    mend: (input) =>
      mendLines(
        input,
        (lines) =>
          lines.map((words) => (words[0] === "witness" && words.length === 4 ? words.with(3, "http://w") : words)),
        tesseraWordsOf,
      ),
    example: example(W1.replace("http://w1", "http://%zz"), "quorum w1"),
  },
  {
    name: "policy-keyword-as-name",
    covers: "C-193",
    of: ["tessera"],
    form: "they-refuse",
    holds: holdsFor((lines) => namesOf(lines).some((name) => KEYWORDS.has(name)), tesseraWordsOf),
    example: example(W1.replace("w1", "all"), `witness w2 ${OTHER.vkey} http://w2`, "group g any all w2", "quorum g"),
  },
  {
    name: "line-over-64-kib",
    covers: "C-197",
    of: ["tessera"],
    form: "they-refuse",
    holds: ([octets = new Uint8Array()]) =>
      octetsOf(octets)
        .split("\n")
        .some((line) => line.length > 65_535),
    example: example(`# ${"x".repeat(65_536)}`, W1, "quorum w1"),
  },
];

export const POLICY: Subject = { name: "policy", code: "p", share: 15, ours, kinds: KINDS };
