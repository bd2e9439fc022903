/** `prove`: makes an inclusion or consistency proof from the log's public tiles, and verifies it. */
import { TileProver, createHttpLogReader, verifyHead } from "@tallystick/client";
import {
  type Hash,
  encodeBase64,
  planConsistency,
  planInclusion,
  verifyConsistency,
  verifyInclusion,
} from "@tallystick/core";
import { type Command, EXIT, type ExitCode, type Invocation, UsageError, wholeNumber } from "../command.ts";
import { LOG_OPTIONS, POLICY_OPTION, policyOf, targetOf } from "../target.ts";
import { describeHash } from "../words.ts";

export const proveCommand: Command = {
  name: "prove",
  summary: "makes an inclusion or consistency proof from the log's public tiles",
  usage: "inclusion INDEX | consistency FROM",
  options: { ...LOG_OPTIONS, ...POLICY_OPTION },
  notes: ["Both prove up to the newest published head, whose signatures are checked under the policy."],
  run: async (invocation) => {
    const [kind, word, ...more] = invocation.words;
    if (word === undefined || more.length > 0) throw new UsageError("expected inclusion INDEX or consistency FROM");
    const target = await targetOf(invocation, "auditor");
    const policy = await policyOf(invocation);
    const reader = createHttpLogReader({ url: target.url, signal: invocation.signal });
    const { checkpoint, quorumMet } = verifyHead({ policy, now: Date.now() }, await reader.checkpoint());
    const head = {
      size: checkpoint.size,
      rootHash: checkpoint.rootHash,
      prover: new TileProver(reader, checkpoint.size),
    };
    if (!quorumMet) invocation.terminal.trouble("the published head does not meet the policy's quorum");
    if (kind === "inclusion") return proveInclusionOf(invocation, wholeNumber(word, "INDEX"), head);
    if (kind === "consistency") return proveConsistencyFrom(invocation, wholeNumber(word, "FROM"), head);
    throw new UsageError(`expected inclusion or consistency, got ${JSON.stringify(kind)}`);
  },
};

interface Head {
  readonly size: bigint;
  readonly rootHash: Hash;
  readonly prover: TileProver;
}

async function proveInclusionOf(
  { terminal }: Invocation,
  index: number,
  { size, rootHash, prover }: Head,
): Promise<ExitCode> {
  if (BigInt(index) >= size)
    throw new UsageError(`INDEX: the published head has size ${size}, so it ends at ${size - 1n}`);
  const proof = await prover.prove(planInclusion({ index, size }));
  // The leaf hash comes from the tile, so this shows that the tiles belong to the signed root, not what the entry says.
  const leafHash = await prover.leafHash(index);
  verifyInclusion({ index, size, leafHash, rootHash, proof });
  terminal.line(
    `index ${index} of ${size}: leaf hash ${encodeBase64(leafHash)} is under root ${describeHash(rootHash)}`,
  );
  print({ terminal }, proof);
  terminal.value({ index, size, leafHash, rootHash, hashes: proof });
  return EXIT.ok;
}

async function proveConsistencyFrom(
  { terminal }: Invocation,
  from: number,
  { size, rootHash, prover }: Head,
): Promise<ExitCode> {
  if (BigInt(from) > size) throw new UsageError(`FROM: the published head has size ${size}`);
  const ends = { from, to: size };
  const proof = await prover.prove(planConsistency(ends));
  const fromRootHash = await prover.rootHash(from);
  verifyConsistency({ ...ends, fromRootHash, toRootHash: rootHash, proof });
  terminal.line(
    `the tree of size ${size} (root ${describeHash(rootHash)}) extends that of size ${from} (root ${describeHash(fromRootHash)})`,
  );
  print({ terminal }, proof);
  terminal.value({ from, to: size, fromRootHash, toRootHash: rootHash, hashes: proof });
  return EXIT.ok;
}

function print({ terminal }: Pick<Invocation, "terminal">, proof: readonly Hash[]): void {
  for (const hash of proof) terminal.line(`  ${encodeBase64(hash)}`);
}
