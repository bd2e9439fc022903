/** docs/reference/verifier.py takes real evidence, and says of every change of it what our own verifier says. */
import { isUtf8 } from "node:buffer";
import { spawnSync } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { verifyReceipt } from "@tallystick/client";
import {
  TallystickError,
  createSigner,
  decodeBase64,
  encodeBase64,
  formatCheckpoint,
  formatTlogProof,
  hashLeaf,
  parsePolicy,
  signNote,
} from "@tallystick/core";
import {
  type CborValue,
  computeCommitment,
  encodeCbor,
  encodeLeaf,
  encodeOpening,
  formatEvidence,
  parseEvidence,
} from "@tallystick/events";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type SmallLog, createSmallLog } from "../support/small-log.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const PROGRAM = fileURLToPath(new URL("../../docs/reference/verifier.py", import.meta.url));

/** Says of many pairs of files, in one process, which step refuses them, if any. */
const MANY = `
import base64, json, sys
sys.path.insert(0, sys.argv[1])
import verifier
def say(evidence, policy):
    try: verifier.verify(base64.b64decode(evidence), base64.b64decode(policy))
    except verifier.Refused as refused: return str(refused).split(":")[0]
    return "accepted"
print(json.dumps([say(*json.loads(line)) for line in sys.stdin]))
`;

interface Files {
  readonly evidence: Uint8Array;
  readonly policy: Uint8Array;
}

function python(args: readonly string[], input = ""): { status: number | null; out: string; err: string } {
  const run = spawnSync("python3", ["-B", ...args], { input, encoding: "utf8", timeout: 60_000, maxBuffer: 2 ** 26 });
  return { status: run.status, out: run.stdout, err: run.stderr };
}

const hasPython = python(["-c", "import sys; sys.exit(sys.version_info < (3, 11))"]).status === 0;

function pythonVerdicts(all: readonly Files[]): string[] {
  const lines = all.map(({ evidence, policy }) => JSON.stringify([encodeBase64(evidence), encodeBase64(policy)]));
  const { out, err } = python(["-c", MANY, dirname(PROGRAM)], lines.join("\n"));
  expect(err).toBe("");
  return JSON.parse(out) as string[];
}

const FILE_ERRORS: Readonly<Record<string, string>> = {
  "policy-malformed": "policy",
  "evidence-malformed": "evidence",
};

function ourVerdict({ evidence, policy }: Files): string {
  try {
    const parsed = parsePolicy(policy);
    if (!isUtf8(evidence)) return "evidence";
    verifyReceipt({ ...parseEvidence(new TextDecoder().decode(evidence)), policy: parsed });
    return "accepted";
  } catch (error) {
    if (!(error instanceof TallystickError)) throw error;
    return FILE_ERRORS[error.code] ?? String((error.details as { readonly step?: string }).step ?? error.code);
  }
}

/** Where the two verdicts differ: none should be left. And how many both accept. */
function compare(all: readonly (Files & { readonly name: string })[]): { differences: unknown[]; accepted: number } {
  const theirs = pythonVerdicts(all);
  const verdicts = all.map((files, i) => ({ name: files.name, ours: ourVerdict(files), python: theirs[i] }));
  return {
    differences: verdicts.filter(({ ours, python: their }) => ours !== their),
    accepted: verdicts.filter(({ ours }) => ours === "accepted").length,
  };
}

function flipped(bytes: Uint8Array, bit: number): Uint8Array {
  const copy = Uint8Array.from(bytes);
  copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7));
  return copy;
}

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

test("the program is short: fewer than 200 lines", async () => {
  expect((await readFile(PROGRAM, "utf8")).split("\n").length).toBeLessThanOrEqual(200);
});

test.runIf(hasPython)("finds python3 of version 3.11 or newer (skipped without it)", () => {});

describe.skipIf(!hasPython)("verifier.py (python3 of version 3.11 is needed)", () => {
  test("says of a plain receipt that it takes evidence files", async () => {
    const folder = temporaryFolder();
    const [receipt, policy] = [join(folder, "0.tlog-proof"), join(folder, "policy.txt")];
    await writeFile(receipt, "c2sp.org/tlog-proof@v1\nindex 0\n\n");
    const vkey = "test.localhost/app+94bc1484+AWuh2UJmWLsIHRgqVZIjGXqFKUjbIjmTOFy/a8ewh00O";
    await writeFile(policy, `log ${vkey}\nquorum none\n`);
    const { status, out } = python([PROGRAM, receipt, policy]);
    expect([status, out]).toEqual([
      1,
      expect.stringContaining("evidence: not an evidence file, as receipt --evidence"),
    ]);
    expect(out).toContain("(a .tlog-proof is none)");
  });

  let log: SmallLog;
  let policy: Uint8Array;
  let real: { readonly proof: string; readonly opening: Uint8Array };

  beforeAll(async () => {
    log = await createSmallLog();
    await log.report(5);
    policy = new Uint8Array(await readFile(log.made.policyPath));
    const headers = { authorization: `Bearer ${log.made.tokens.auditor}` };
    const event = (await (await fetch(`${log.url()}/v1/events/2`, { headers })).json()) as { opening: string };
    const receipt = await fetch(`${log.url()}/v1/receipts/2`, { headers });
    real = { proof: await receipt.text(), opening: decodeBase64(event.opening) };
  }, 60_000);

  afterAll(async () => log.remove());

  const evidenceOf = (changed: Partial<typeof real> = {}): Uint8Array => utf8(formatEvidence({ ...real, ...changed }));

  test("accepts evidence of a real log, tells why it refuses, and reads two files", async () => {
    const [file, forged, trusted] = ["2.evidence.json", "forged.json", "policy.txt"].map((name) =>
      join(log.folder, name),
    ) as [string, string, string];
    await writeFile(file, evidenceOf());
    await writeFile(forged, evidenceOf({ proof: real.proof.replace("index 2", "index 3") }));
    await writeFile(trusted, policy);
    expect(ourVerdict({ evidence: evidenceOf(), policy })).toBe("accepted");
    const accepted = python([PROGRAM, file, trusted]);
    expect(accepted).toMatchObject({ status: 0, err: "" });
    expect(accepted.out).toContain("VERIFIED  auth.login success by user:u_2\n");
    expect(accepted.out).toContain("test.localhost/app, index 2 of 5");
    expect(python([PROGRAM, forged, trusted])).toMatchObject({
      status: 1,
      out: expect.stringMatching(/^REFUTED {2}inclusion: /),
    });
    expect(python([PROGRAM, file]).status).toBe(2);
    expect(python([PROGRAM, file, join(log.folder, "none.txt")]).status).toBe(2);
  });

  test("refuses every flipped bit of leaf, salt and event, at the step at which we do", () => {
    const [, extra = ""] = /^extra (.*)$/m.exec(real.proof) ?? [];
    const leaf = decodeBase64(extra);
    const changed = [
      ...Array.from({ length: leaf.length * 8 }, (_, bit) => {
        const proof = real.proof.replace(extra, encodeBase64(flipped(leaf, bit)));
        return { name: `leaf bit ${bit}`, evidence: evidenceOf({ proof }), policy };
      }),
      ...Array.from({ length: real.opening.length * 8 }, (_, bit) => {
        const opening = flipped(real.opening, bit);
        return { name: `opening bit ${bit}`, evidence: evidenceOf({ opening }), policy };
      }),
    ];
    expect(compare(changed)).toEqual({ differences: [], accepted: 0 });
  }, 60_000);

  test("says what we say of a flipped bit in every byte of the file, and of every line of the receipt left out or doubled", () => {
    const evidence = evidenceOf();
    const lines = real.proof.split("\n");
    const changed = [
      ...Array.from(evidence, (_, at) => {
        return { name: `file byte ${at}`, evidence: flipped(evidence, at * 8 + (at % 8)), policy };
      }),
      ...lines.flatMap((line, at) => [
        { name: `without line ${at}`, evidence: evidenceOf({ proof: lines.toSpliced(at, 1).join("\n") }), policy },
        { name: `line ${at} twice`, evidence: evidenceOf({ proof: lines.toSpliced(at, 0, line).join("\n") }), policy },
      ]),
    ];
    expect(compare(changed).differences).toEqual([]);
  }, 60_000);

  test("says what we say of flipped bits of the policy, and of every line of it left out or doubled", () => {
    const evidence = evidenceOf();
    const lines = new TextDecoder().decode(policy).split("\n");
    // The long lines are keys of ML-DSA-44: some bytes of them will do.
    const starts = lines.map((_, at) => lines.slice(0, at).join("\n").length + Math.min(at, 1));
    const places = lines.flatMap((line, at) =>
      Array.from({ length: line.length + 1 }, (__, column) => column)
        .filter((column) => column < 150 || column % 97 === 0)
        .map((column) => (starts[at] ?? 0) + column)
        .filter((place) => place < policy.length),
    );
    const changed = [
      ...places.map((at) => ({ name: `policy byte ${at}`, evidence, policy: flipped(policy, at * 8 + (at % 8)) })),
      ...lines.flatMap((line, at) => [
        { name: `without ${line}`, evidence, policy: utf8(lines.toSpliced(at, 1).join("\n")) },
        { name: `twice ${line}`, evidence, policy: utf8(lines.toSpliced(at, 0, line).join("\n")) },
      ]),
    ];
    expect(places.length).toBeGreaterThan(500);
    expect(compare(changed).differences).toEqual([]);
  }, 60_000);
});

const LOG = { name: "x.example/log", type: "ed25519", seed: new Uint8Array(32).fill(1) } as const;
const W1 = { name: "w1.example", type: "ed25519-cosigner", seed: new Uint8Array(32).fill(2) } as const;
const W2 = { name: "w2.example", type: "ed25519-cosigner", seed: new Uint8Array(32).fill(3) } as const;
const W3 = { name: "w3.example", type: "mldsa44", seed: new Uint8Array(32).fill(4) } as const;
const NOW = 1_763_712_001;

function policyOf(quorum: string): Uint8Array {
  const [log, w1, w2, w3] = [LOG, W1, W2, W3].map((signer) => createSigner(signer).vkey);
  return utf8(
    `log ${log}\nwitness w1 ${w1}\nwitness w2 ${w2}\nwitness w3 ${w3}\n${quorum}quorum ${quorum === "" ? "none" : "g"}\n`,
  );
}

const EVENT = {
  id: Uint8Array.from({ length: 16 }, (_, i) => ({ 6: 0x70, 8: 0x80 })[i] ?? i),
  time: NOW * 1000,
  type: "auth.login",
  outcome: "success",
};

interface Made {
  readonly event?: Readonly<Record<string, CborValue>>;
  readonly loggedAt?: number;
  readonly root?: Uint8Array;
  /** Who cosigned when, in seconds after NOW. */
  readonly cosigned?: readonly (readonly [typeof W1 | typeof W2 | typeof W3, number])[];
}

/** Evidence whose signatures all hold, made of parts that no log of ours puts together. */
function made({ event = EVENT, loggedAt = NOW * 1000, root, cosigned = [[W1, 0]] }: Made): Uint8Array {
  const bytes = encodeCbor(event);
  const salt = new Uint8Array(32).fill(9);
  const leaf = encodeLeaf({
    loggedAt,
    stream: new Uint8Array(16),
    sequence: 2,
    class: "auth",
    commitment: computeCommitment({ salt, event: bytes }),
    session: null,
    actor: null,
    subject: null,
    tenant: null,
    signature: null,
  });
  const text = formatCheckpoint({ origin: LOG.name, size: 1, rootHash: root ?? hashLeaf(leaf), extensions: [] });
  const lines = cosigned.map(([signer, after]) =>
    signNote({ text, signers: [createSigner(signer)], timestamp: NOW + after }).slice(text.length + 1),
  );
  const checkpoint = signNote({ text, signers: [createSigner(LOG)], timestamp: NOW }) + lines.join("");
  const proof = formatTlogProof({ extra: leaf, index: 0n, hashes: [], checkpoint });
  return utf8(formatEvidence({ proof, opening: encodeOpening({ salt, event: bytes }) }));
}

describe.skipIf(!hasPython)("verifier.py, of evidence that is well signed (python3 of version 3.11 is needed)", () => {
  const any = policyOf("group g any w1 w2\n");
  const both = policyOf("group g all w1 w2\n");
  const late: Made["cosigned"] = [[W1, -301]];
  const cases: readonly (readonly [string, string, Made, Uint8Array])[] = [
    ["accepted", "one of two", {}, any],
    ["quorum", "one of both", {}, both],
    ["accepted", "no witness asked for", { cosigned: [] }, policyOf("")],
    ["accepted", "five minutes", { cosigned: [[W1, -300]] }, any],
    ["time", "more than five minutes", { cosigned: late }, any],
    ["time", "late, and another root", { cosigned: late, root: new Uint8Array(32) }, any],
    ["accepted", "late, and no witness asked for", { cosigned: late }, policyOf("")],
    ["quorum", "late, and too few anyway", { cosigned: late }, both],
    ["accepted", "one is late, the other meets the quorum", { cosigned: [...late, [W2, 0]] }, any],
    ["time", "one of both is late", { cosigned: [...late, [W2, 0]] }, both],
    ["accepted", "one line late, another of the same witness is not", { cosigned: [...late, [W1, 0]] }, any],
    ["as-sent", "another class", { event: { ...EVENT, type: "shop.login" } }, any],
    ["as-sent", "a session that the leaf lacks", { event: { ...EVENT, session: { id: new Uint8Array(32) } } }, any],
    ["commitment", "an unknown key", { event: { ...EVENT, more: 1 } }, any],
    ["commitment", "an unknown key of the actor", { event: { ...EVENT, actor: { type: "user", id: "u", x: 1 } } }, any],
    ["commitment", "an actor without id", { event: { ...EVENT, actor: { type: "user" } } }, any],
    ["commitment", "an outcome that there is not", { event: { ...EVENT, outcome: "fine" } }, any],
    ["commitment", "a UUID of another version", { event: { ...EVENT, id: new Uint8Array(16) } }, any],
    ["commitment", "bytes in the context", { event: { ...EVENT, context: { a: [new Uint8Array(1)] } } }, any],
    ["accepted", "a context", { event: { ...EVENT, context: { a: [null, { b: "é" }] } } }, any],
    ["commitment", "no targets", { event: { ...EVENT, targets: [] } }, any],
    ["commitment", "an empty source", { event: { ...EVENT, source: {} } }, any],
    ["commitment", "no factors", { event: { ...EVENT, auth: { factors: [] } } }, any],
    ["commitment", "a type of one part", { event: { ...EVENT, type: "auth" } }, any],
    ["commitment", "a time before 1990", { event: { ...EVENT, time: 631_151_999_999 } }, any],
  ];

  test("gives our verdict, step for step", () => {
    const all = cases.map(([expected, name, parts, policy]) => ({ expected, name, evidence: made(parts), policy }));
    expect(all.map(ourVerdict)).toEqual(all.map(({ expected }) => expected));
    expect(compare(all).differences).toEqual([]);
  });

  test("says so where ML-DSA-44 would decide", () => {
    const files = { evidence: made({ cosigned: [[W3, 0]] }), policy: policyOf("group g any w3\n") };
    expect(ourVerdict(files)).toBe("accepted");
    expect(pythonVerdicts([files])).toEqual(["quorum"]);
    const code = "import sys; sys.path.insert(0, sys.argv[1]); import json, verifier\n".concat(
      "verifier.verify(*[part.encode() for part in json.load(sys.stdin)])",
    );
    const text = JSON.stringify([files.evidence, files.policy].map((bytes) => new TextDecoder().decode(bytes)));
    expect(python(["-c", code, dirname(PROGRAM)], text).err).toMatch(/Refused: quorum: .*ML-DSA-44/);
  });
});
