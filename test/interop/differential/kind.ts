/** What is fuzzed, and the kinds of disagreement that are known and meant. docs/decisions says why each is. */

/** The fields of one frame to the peer. */
export type Input = readonly Uint8Array[];

/** The verdict of either side on what it does not take. */
export const REFUSED = "refused";

/**
 * A documented difference. Every form can be disproved: `holds` by any input of which the verdict is another one, `mend`
 * by any input that the two do not read alike once it is mended.
 *
 * - `we-refuse`: we refuse whatever it holds for; others may take it.
 * - `they-refuse`: they refuse whatever it holds for; we may take it.
 * - `they-tolerate`: they take for `mend(input)` what we refuse.
 * - `they-refuse-unless`: they refuse what they would take as `mend(input)`, which we take as it stands.
 * - `read-differently`: both may take it; they read it as we read `mend(input)`.
 */
export type Kind = KindFacts &
  (
    | { readonly form: "we-refuse" | "they-refuse"; readonly holds: (input: Input) => boolean }
    | {
        readonly form: "they-tolerate" | "they-refuse-unless" | "read-differently";
        /** Gives the input itself, or one with the same bytes, where there is nothing to mend. */
        readonly mend: (input: Input) => Input;
      }
  );

interface KindFacts {
  /** As in the page of decisions: "base64-trailing-bits". */
  readonly name: string;
  /** The lines of conformance that ask for what we do: "C-20 C-21". */
  readonly covers: string;
  /** Whose opinion differs: "x/mod", "formats", "merkle", "tessera". */
  readonly of: readonly string[];
  /** An input of this kind and of no other. */
  readonly example: Input;
}

/** One format, under test on both sides. */
export interface Subject {
  readonly name: string;
  /** The letter by which the peer knows it. */
  readonly code: string;
  /** How many of a hundred inputs are of it. */
  readonly share: number;
  /** What we make of an input: "refused", or "ok" and what was read, in the words of the peer. */
  readonly ours: (input: Input) => string;
  readonly kinds: readonly Kind[];
}

/** Whether an input is of a kind. */
export function isOfKind(kind: Kind, input: Input): boolean {
  return "holds" in kind ? kind.holds(input) : !equalInputs(kind.mend(input), input);
}

export function equalInputs(a: Input, b: Input): boolean {
  return a.length === b.length && a.every((field, i) => Buffer.compare(field, b[i] ?? new Uint8Array()) === 0);
}
