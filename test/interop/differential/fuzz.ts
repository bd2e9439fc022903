/** A run: so many inputs, made from a seed, each judged by both sides. */
import { type Comparison, compare } from "./compare.ts";
import { type Input, REFUSED, type Subject } from "./kind.ts";
import { octetsOf } from "./octets.ts";
import type { Peer } from "./peer.ts";
import { randomOf } from "./random.ts";
import type { Maker } from "./seeds.ts";
import { SUBJECTS } from "./subjects.ts";

const BATCH_INPUTS = 500;
/** A broken parser differs on a great many inputs: a few of them tell enough. */
const FAULTS_MAX = 5;

export interface Tally {
  inputs: number;
  /** Taken by us. */
  taken: number;
  /** On which some implementation disagreed, in a documented way. */
  explained: number;
  /** How often each kind explained one. */
  readonly kinds: Map<string, number>;
}

export interface Report {
  readonly tallies: ReadonlyMap<string, Tally>;
  /** With all that is needed to see each again. */
  readonly faults: readonly string[];
}

export interface RunOptions {
  readonly peer: Peer;
  readonly makers: ReadonlyMap<string, Maker>;
  readonly seed: number;
  readonly count: number;
}

interface Case {
  readonly index: number;
  readonly subject: Subject;
  readonly input: Input;
}

/** Makes `count` inputs and compares what both sides make of them. */
export async function fuzz({ peer, makers, seed, count }: RunOptions): Promise<Report> {
  const tallies = new Map<string, Tally>(
    SUBJECTS.map(({ name }) => [name, { inputs: 0, taken: 0, explained: 0, kinds: new Map() }]),
  );
  const faults: string[] = [];
  for (let start = 0; start < count && faults.length < FAULTS_MAX; start += BATCH_INPUTS) {
    const size = Math.min(BATCH_INPUTS, count - start);
    const cases = Array.from({ length: size }, (_, i) => makeCase(makers, seed, start + i));
    const opinions = await peer.ask(cases.map(({ subject: { code }, input }) => ({ code, input })));
    for (const [i, { subject, input, index }] of cases.entries()) {
      const comparison = await compare(subject, input, opinions[i] ?? new Map(), peer);
      addTo(tallies.get(subject.name), comparison);
      for (const { fault } of comparison.outcomes) {
        if (fault !== undefined) faults.push(describeFault({ index, subject, input }, seed, fault));
      }
    }
  }
  return { tallies, faults };
}

/** Each subject as often as its share says. */
const SHARES = SUBJECTS.flatMap((subject) => Array.from({ length: subject.share }, () => subject));

/** Makes input `index` of a run. */
export function makeCase(makers: ReadonlyMap<string, Maker>, seed: number, index: number): Case {
  const random = randomOf(seed, index);
  const subject = random.pick(SHARES);
  const make = makers.get(subject.code);
  if (make === undefined) throw new Error(`nothing makes inputs for ${subject.name}`);
  return { index, subject, input: make(random) };
}

function addTo(tally: Tally | undefined, { ours, outcomes }: Comparison): void {
  if (tally === undefined) throw new Error("no tally for a subject");
  const kinds = new Set(outcomes.flatMap((outcome) => outcome.kinds));
  tally.inputs += 1;
  if (ours !== REFUSED) tally.taken += 1;
  if (kinds.size > 0) tally.explained += 1;
  for (const kind of kinds) tally.kinds.set(kind, (tally.kinds.get(kind) ?? 0) + 1);
}

function describeFault({ index, subject, input }: Case, seed: number, fault: string): string {
  const shown = input.map((field) => {
    const octets = JSON.stringify(octetsOf(field));
    return octets.length > 1200 ? `${octets.slice(0, 1200)}… (${field.length} bytes)` : octets;
  });
  return `${subject.name}, seed ${seed}, input ${index}:\n${fault}\n${shown.join("\n")}\n`;
}

/** The tallies as lines of text. */
export function formatTallies({ tallies }: Report): string {
  const lines = [...tallies].map(([name, { inputs, taken, explained, kinds }]) => {
    const all = [...kinds].sort(([, a], [, b]) => b - a).map(([kind, count]) => `${kind} ${count}`);
    return `${name}: ${inputs} inputs, ${taken} taken, ${explained} judged differently\n  ${all.join("\n  ")}`;
  });
  return lines.join("\n");
}
