/** Whether both sides agree on an input, and if not, which documented kinds explain it. */
import { type Input, type Kind, REFUSED, type Subject, equalInputs, isOfKind } from "./kind.ts";
import type { Opinions, Peer } from "./peer.ts";

/** What one implementation and we make of an input. */
export interface Outcome {
  /** Whose opinion. */
  readonly of: string;
  readonly agreed: boolean;
  /** The kinds that explain a disagreement. */
  readonly kinds: readonly string[];
  /** What is wrong: a disagreement that no kind explains, or a kind that is not what it says. */
  readonly fault?: string;
}

export interface Comparison {
  readonly ours: string;
  /** One for each implementation that was asked. */
  readonly outcomes: readonly Outcome[];
}

type Ask = (input: Input) => Promise<Opinions>;

/** Compares the opinions on an input with ours. Asks again only where a kind says that another input is read alike. */
export async function compare(subject: Subject, input: Input, opinions: Opinions, peer: Peer): Promise<Comparison> {
  if (opinions.size === 0) throw new Error(`nobody said anything about ${subject.name}`);
  const ours = subject.ours(input);
  const ask: Ask = async (mended) => {
    const [answer] = await peer.ask([{ code: subject.code, input: mended }]);
    return answer ?? new Map();
  };
  const outcomes: Outcome[] = [];
  for (const [of, theirs] of opinions) {
    const kinds = subject.kinds.filter((kind) => kind.of.includes(of));
    const broken = kinds.find((kind) => isBroken(kind, input, ours, theirs));
    if (broken !== undefined) {
      outcomes.push({
        of,
        agreed: false,
        kinds: [],
        fault: `${broken.name} is not what it says: ${ours}, ${of} ${theirs}`,
      });
    } else if (ours === theirs) {
      outcomes.push({ of, agreed: true, kinds: [] });
    } else {
      outcomes.push({ of, agreed: false, ...(await explain({ subject, kinds, input, ours, theirs, of, ask })) });
    }
  }
  return { ours, outcomes };
}

/** Whether an input disproves what a kind says of all inputs that are of it. */
function isBroken(kind: Kind, input: Input, ours: string, theirs: string): boolean {
  if (kind.form === "read-differently" || kind.form === "they-refuse-unless" || !isOfKind(kind, input)) return false;
  return (kind.form === "they-refuse" ? theirs : ours) !== REFUSED;
}

interface Disagreement {
  readonly subject: Subject;
  readonly kinds: readonly Kind[];
  readonly input: Input;
  readonly ours: string;
  readonly theirs: string;
  readonly of: string;
  readonly ask: Ask;
}

async function explain(disagreement: Disagreement): Promise<{ kinds: readonly string[]; fault?: string }> {
  const { subject, kinds, input, ours, theirs, of, ask } = disagreement;
  const ofForm = (form: Kind["form"], asRead: Input): string[] =>
    kinds.filter((kind) => kind.form === form && isOfKind(kind, asRead)).map(({ name }) => name);
  const theyRefuse = theirs === REFUSED ? ofForm("they-refuse", input) : [];
  if (theyRefuse.length > 0) return { kinds: theyRefuse };
  const weRefuse = ours === REFUSED ? ofForm("we-refuse", input) : [];
  if (weRefuse.length > 0) return { kinds: weRefuse };
  const asTheyRead = mendAll(kinds, ["read-differently", "they-tolerate"], input);
  const oursMended = subject.ours(asTheyRead.input);
  const weRefuseThen = oursMended === REFUSED ? ofForm("we-refuse", asTheyRead.input) : [];
  if (weRefuseThen.length > 0) return { kinds: [...asTheyRead.kinds, ...weRefuseThen] };
  const asWeRead = mendAll(kinds, theirs === REFUSED ? ["they-refuse-unless"] : [], input);
  const names = [...asTheyRead.kinds, ...asWeRead.kinds];
  const theirsMended = asWeRead.kinds.length === 0 ? theirs : (await ask(asWeRead.input)).get(of);
  if (names.length > 0 && oursMended === theirsMended) return { kinds: names };
  return {
    kinds: [],
    fault: [
      `we: ${ours}`,
      `${of}: ${theirs}`,
      `mended by ${names.join(", ") || "nothing"}, we: ${oursMended}`,
      `${of}: ${theirsMended}`,
    ].join("\n"),
  };
}

/** Mends an input by all kinds of some forms, one after the other; names those that found something to mend. */
function mendAll(
  kinds: readonly Kind[],
  forms: readonly Kind["form"][],
  input: Input,
): { readonly input: Input; readonly kinds: readonly string[] } {
  let mended = input;
  const names: string[] = [];
  for (const kind of kinds) {
    if (!("mend" in kind) || !forms.includes(kind.form)) continue;
    const next = kind.mend(mended);
    if (!equalInputs(next, mended)) names.push(kind.name);
    mended = next;
  }
  return { input: mended, kinds: names };
}
