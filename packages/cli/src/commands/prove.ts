/** `prove`: makes an inclusion or consistency proof from the log's public tiles, and verifies it. */
import { TileProver, createHttpLogReader, verifyHead } from "@tallystick/client";
import {
  type Hash,
  type Policy,
  TlogError,
  encodeBase64,
  planConsistency,
  planInclusion,
  verifyConsistency,
  verifyInclusion,
} from "@tallystick/core";
import { type Command, EXIT, type Invocation, UsageError, wholeNumber } from "../command.ts";
import { showRefutation } from "../refutation.ts";
import { LOG_OPTIONS, POLICY_OPTION, type Target, policyOf, targetOf } from "../target.ts";
import { describeHash } from "../words.ts";

export const proveCommand: Command = {
  name: "prove",
  summary: "makes an inclusion or consistency proof from the log's public tiles",
  usage: "inclusion INDEX | consistency FROM",
  options: { ...LOG_OPTIONS, ...POLICY_OPTION },
  notes: [
    "Both prove up to the newest published head, whose signatures are checked under the policy.",
    "Exit codes: 0 proved, 1 refuted (the tiles do not lead to the signed root), 2 cannot tell (unreadable, or no quorum",
    "of witnesses), 3 wrong usage.",
  ],
  run: async (invocation) => {
    const [kind, word, ...more] = invocation.words;
    const known = KINDS.get(kind);
    if (kind === undefined || known === undefined || word === undefined || more.length > 0)
      throw new UsageError("expected inclusion INDEX or consistency FROM");
    const { what, prove } = known;
    const number = wholeNumber(word, what);
    const target = await targetOf(invocation, "auditor");
    const policy = await policyOf(invocation);
    const head = await headOf({ target, policy, signal: invocation.signal });
    try {
      await prove(invocation, number, head);
    } catch (error) {
      // The log signed a root hash that its tiles do not lead to.
      if (error instanceof TlogError) return showRefutation(invocation.terminal, error, kind);
      throw error;
    }
    if (head.witnessed) return EXIT.ok;
    invocation.terminal.trouble("the log's word alone: the published head has no quorum of witnesses");
    return EXIT.unknown;
  },
};

interface Head {
  readonly size: bigint;
  readonly rootHash: Hash;
  /** Whether a quorum of witnesses cosigned it. */
  readonly witnessed: boolean;
  readonly prover: TileProver;
}

interface Source {
  readonly target: Target;
  readonly policy: Policy;
  readonly signal: AbortSignal;
}

async function headOf({ target: { url, token, fetch }, policy, signal }: Source): Promise<Head> {
  const reader = createHttpLogReader({ url, fetch, signal, ...(token === undefined ? {} : { token }) });
  const { checkpoint, quorumMet } = verifyHead({ policy, now: Date.now() }, await reader.checkpoint());
  const { size, rootHash } = checkpoint;
  const witnessed = quorumMet && policy.quorum !== "none";
  return { size, rootHash, witnessed, prover: new TileProver(reader, size) };
}

type Prove = (invocation: Invocation, number: number, head: Head) => Promise<void>;

const KINDS: ReadonlyMap<string | undefined, { readonly what: string; readonly prove: Prove }> = new Map([
  ["inclusion", { what: "INDEX", prove: proveInclusionOf }],
  ["consistency", { what: "FROM", prove: proveConsistencyFrom }],
]);

async function proveInclusionOf(
  { terminal }: Invocation,
  index: number,
  { size, rootHash, witnessed, prover }: Head,
): Promise<void> {
  if (BigInt(index) >= size)
    throw new UsageError(`INDEX: expected one below ${size}, the size of the published head, got ${index}`);
  const proof = await prover.prove(planInclusion({ index, size }));
  // The leaf hash comes from the tile, so this shows that the tiles belong to the signed root, not what the entry says.
  const leafHash = await prover.leafHash(index);
  verifyInclusion({ index, size, leafHash, rootHash, proof });
  terminal.line(
    `index ${index} of ${size}: leaf hash ${encodeBase64(leafHash)} is under root ${describeHash(rootHash)}`,
  );
  print({ terminal }, proof);
  terminal.value({ index, size, leafHash, rootHash, hashes: proof, witnessed });
}

async function proveConsistencyFrom(
  { terminal }: Invocation,
  from: number,
  { size, rootHash, witnessed, prover }: Head,
): Promise<void> {
  if (BigInt(from) > size)
    throw new UsageError(`FROM: expected at most ${size}, the size of the published head, got ${from}`);
  const ends = { from, to: size };
  const proof = await prover.prove(planConsistency(ends));
  const fromRootHash = await prover.rootHash(from);
  verifyConsistency({ ...ends, fromRootHash, toRootHash: rootHash, proof });
  terminal.line(
    `the tree of size ${size} (root ${describeHash(rootHash)}) extends that of size ${from} (root ${describeHash(fromRootHash)})`,
  );
  print({ terminal }, proof);
  terminal.value({ from, to: size, fromRootHash, toRootHash: rootHash, hashes: proof, witnessed });
}

function print({ terminal }: Pick<Invocation, "terminal">, proof: readonly Hash[]): void {
  for (const hash of proof) terminal.line(`  ${encodeBase64(hash)}`);
}
