/** The files of the vectors, the tests that read each, and how its rows are counted. */
import { readdirSync } from "node:fs";
import { readVectorJson, readVectorText, vectorPath } from "../support/vectors.ts";

export interface VectorFile {
  /** As the manifest names it: a file, or a folder with a slash at its end. */
  readonly path: string;
  /** From the root of the repository; each names the file, or what `named` says. */
  readonly tests: readonly string[];
  readonly named?: string;
  readonly rows: () => number;
}

type Json = { readonly [key: string]: Json } | readonly Json[] | string | number;

function sizeOf(value: Json | undefined): number {
  return value === undefined ? 0 : Object.keys(value).length;
}

/** The members of a JSON list, or of these members of a JSON object. */
function members(path: string, ...keys: readonly string[]): () => number {
  return () => {
    const value = readVectorJson<{ readonly [key: string]: Json }>(path);
    return keys.length === 0 ? sizeOf(value) : keys.reduce((sum, key) => sum + sizeOf(value[key]), 0);
  };
}

function lines(path: string, pattern: RegExp = /./): () => number {
  return () =>
    readVectorText(path)
      .split("\n")
      .filter((line) => pattern.test(line)).length;
}

function files(path: string): () => number {
  return () =>
    readdirSync(vectorPath(path), { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).length;
}

const file = (path: string, tests: string | readonly string[], rows: () => number, named?: string): VectorFile => ({
  path,
  tests: [tests].flat(),
  rows,
  ...(named === undefined ? {} : { named }),
});

const core = (name: string): string => `packages/core/test/${name}.test.ts`;
const OTHER_FORMATS = "packages/events/test/imports/other-formats.test.ts";
const OPENSSH = "packages/events/test/imports/openssh.test.ts";
const ADD_CHECKPOINT = "packages/witness/test/add-checkpoint.test.ts";
const LOG_LIST = "packages/witness/test/log-list.test.ts";
const HERE = "test/conformance/vectors.test.ts";

const wycheproof =
  (path: string): (() => number) =>
  () =>
    readVectorJson<{ testGroups: readonly { tests: readonly unknown[] }[] }>(path).testGroups.flatMap(
      ({ tests }) => tests,
    ).length;
const eventLines = (path: string): VectorFile => file(path, OTHER_FORMATS, lines(path));
const policyPair = (name: string): readonly VectorFile[] =>
  ["sigsum", "tlog-policy"].map((form) => {
    const path = `policy/${name}.${form}.txt`;
    return file(path, core("policy"), lines(path, /^witness/), `"${name}"`);
  });

/** Every file of the manifest, in its order. */
export const vectorFiles: readonly VectorFile[] = [
  file("checkpoints/checkpoints.json", [core("checkpoint"), core("quorum")], members("checkpoints/checkpoints.json")),
  file("checkpoints/cosignature-details.json", core("cosignature"), () => {
    const { timestamps, ed25519, ml_dsa_44 } = readVectorJson<{
      timestamps: readonly Json[];
      ed25519: { other_lines: readonly Json[] };
      ml_dsa_44: { refuse: readonly Json[]; test_key_seed_rule: { public_key_sha256_hex: Json } };
    }>("checkpoints/cosignature-details.json");
    const seeds = ml_dsa_44.test_key_seed_rule.public_key_sha256_hex;
    return ed25519.other_lines.length + timestamps.length + ml_dsa_44.refuse.length + sizeOf(seeds);
  }),
  file("crypto/ed25519-wycheproof.json", core("crypto"), wycheproof("crypto/ed25519-wycheproof.json")),
  file("crypto/mldsa44-verify-wycheproof.json", core("crypto"), wycheproof("crypto/mldsa44-verify-wycheproof.json")),
  file(
    "encoding/cbor-rfc8949-appendix-a.json",
    "packages/events/test/cbor.test.ts",
    members("encoding/cbor-rfc8949-appendix-a.json"),
  ),
  file("encoding/jcs/", OTHER_FORMATS, files("encoding/jcs")),
  // The last line of the log has no newline.
  file("events/openssh/OpenSSH_2k.log", [OPENSSH, "test/system/dev.test.ts"], lines("events/openssh/OpenSSH_2k.log")),
  file(
    "events/openssh/OpenSSH_2k.log_structured.csv",
    OPENSSH,
    lines("events/openssh/OpenSSH_2k.log_structured.csv", /,E\d+,/),
  ),
  eventLines("events/k8s/audit-1200.jsonl"),
  eventLines("events/syslog/syslog.log"),
  eventLines("events/cloudtrail/invictus-part1.jsonl"),
  file("events/cloudtrail/raw/", OTHER_FORMATS, () =>
    readdirSync(vectorPath("events/cloudtrail/raw"))
      .map((name) => members(`events/cloudtrail/raw/${name}`, "Records")())
      .reduce((sum, count) => sum + count, 0),
  ),
  eventLines("events/okta/okta-system-log.jsonl"),
  eventLines("events/auth0/auth0.jsonl"),
  eventLines("events/entra/entra-signin.jsonl"),
  eventLines("events/github/github-audit.jsonl"),
  eventLines("events/k8s/k8s-rule-samples.jsonl"),
  file("events/ocsf/ocsf-pairs.json", OTHER_FORMATS, members("events/ocsf/ocsf-pairs.json")),
  file("events/otlp/logs.json", OTHER_FORMATS, members("events/otlp/logs.json")),
  file(
    "events/cloudevents/json-format-examples.json",
    OTHER_FORMATS,
    () =>
      Object.values(
        readVectorJson<Record<string, readonly Json[]>>("events/cloudevents/json-format-examples.json"),
      ).flat().length,
  ),
  file("merkle/rfc6962-inclusion-probes.json", core("proof"), members("merkle/rfc6962-inclusion-probes.json")),
  file("merkle/rfc6962-consistency-probes.json", core("proof"), members("merkle/rfc6962-consistency-probes.json")),
  file("merkle/subtree-inclusion-probes.json", core("subtree"), members("merkle/subtree-inclusion-probes.json")),
  file(
    "merkle/rfc6962-reference-tree.json",
    [core("compact-range"), core("hash")],
    members("merkle/rfc6962-reference-tree.json", "root_hash_hex_by_size"),
  ),
  file("merkle/accumulated-subtree.json", core("subtree"), members("merkle/accumulated-subtree.json", "vectors")),
  file(
    "merkle/subtree-shapes.json",
    core("subtree"),
    members("merkle/subtree-shapes.json", "valid_subtree", "cover_interval"),
  ),
  file("notes/signed-note-open.json", core("open-note"), members("notes/signed-note-open.json")),
  file("notes/signed-note-sign.json", core("signer"), members("notes/signed-note-sign.json", "sign", "refuse")),
  file(
    "notes/vkeys.json",
    [core("vkey"), core("checkpoint")],
    // And one vkey with pluses in its base64.
    () => members("notes/vkeys.json", "valid", "invalid", "key_ids", "origin_hash")() + 1,
  ),
  file("notes/checkpoint-parse.json", core("checkpoint"), members("notes/checkpoint-parse.json")),
  file("policy/policy-cases.json", core("policy"), members("policy/policy-cases.json")),
  ...policyPair("sigsum-test-2025-3"),
  ...policyPair("sigsum-test1-2025"),
  file("proof/tlog-proof-format.json", core("tlog-proof"), members("proof/tlog-proof-format.json", "cases")),
  file("proof/barreleye-930.tlog-proof", core("tlog-proof"), lines("proof/barreleye-930.tlog-proof", /^index /)),
  file("proof/barreleye-930.json", core("tlog-proof"), members("proof/barreleye-930.json", "policies")),
  file("proof/sumdb-tlog-proofs.json", core("tlog-proof"), members("proof/sumdb-tlog-proofs.json", "proofs")),
  // Without the file of its key.
  file("tiles/tessera-log/", [core("entry-bundle"), HERE], () => files("tiles/tessera-log")() - 1),
  file("tiles/known-500.json", core("tile"), () => members("tiles/known-500.json", "files_sha256")() + 1),
  file(
    "tiles/tile-paths.json",
    core("tile"),
    members(
      "tiles/tile-paths.json",
      "tile_path",
      "entries_path",
      "entries_path_for_log_index",
      "parse_ok",
      "parse_error",
      "tree_shape",
      "node_to_tile",
    ),
  ),
  file(
    "tiles/sumdb-51319770/",
    [core("tile"), HERE],
    () => members("tiles/sumdb-51319770/records.json")() + members("tiles/sumdb-51319770/consistency.json")(),
  ),
  file(
    "witness/add-checkpoint-sequence.json",
    ADD_CHECKPOINT,
    members("witness/add-checkpoint-sequence.json", "requests"),
  ),
  file("witness/update-cases.json", ADD_CHECKPOINT, members("witness/update-cases.json", "cases")),
  file(
    "witness/log-list-testing.1",
    [LOG_LIST, "packages/witness/test/discovery.test.ts"],
    lines("witness/log-list-testing.1", /^vkey/),
  ),
  file("witness/log-list-cases.json", LOG_LIST, members("witness/log-list-cases.json")),
];
