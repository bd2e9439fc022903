/** Files of rules as values: valid ones, and such as are nearly valid. */
import * as fc from "fast-check";

type Json = Readonly<Record<string, unknown>>;

const className = fc.stringMatching(/^[a-z0-9-]{1,8}$/).filter((name) => name !== "log");
const text = fc.oneof(
  fc.stringMatching(/^[ -~]{1,20}$/),
  fc.constantFrom("Zürich 7", "日本", "😀", "yes", "1", "null", "a: b", "# c", "~", "- x", "*y"),
);

function optional(
  fields: Readonly<Record<string, fc.Arbitrary<unknown>>>,
  required: readonly string[],
): fc.Arbitrary<Json> {
  return fc.record(fields, { requiredKeys: [...required], noNullPrototype: true });
}

const classRule = fc.oneof(
  optional(
    {
      keep: fc.constantFrom("100d", "9999d", "1y", "6y", "100y"),
      atLeast: fc.constantFrom("1d", "99d", "100d"),
      erase: fc.constantFrom("on-request", "at-expiry"),
      basis: text,
    },
    ["keep"],
  ),
  optional({ keep: fc.constant("for-ever"), atLeast: fc.constantFrom("1d", "10y"), erase: fc.constant("on-request") }, [
    "keep",
  ]),
);

const logRule = optional({ keep: fc.constant("for-ever"), basis: text }, ["keep"]);

const classes = fc
  .tuple(fc.dictionary(className, classRule, { maxKeys: 5, noNullPrototype: true }), fc.option(logRule))
  .map(([named, log]) => (log === null ? named : { ...named, log }));

const senderKeys = fc.uniqueArray(
  fc
    .tuple(
      fc.stringMatching(/^[0-9a-f]{64}$/),
      fc.constantFrom<Json>({}, { from: 0 }, { from: 7 }, { to: 1 }, { from: 3, to: 9_007_199_254_740_991 }),
    )
    .map(([publicKey, validity]) => ({ publicKey, ...validity })),
  { maxLength: 4, selector: ({ publicKey }) => publicKey },
);

const grant = fc
  .tuple(
    fc.record({ claim: text, has: text }, { noNullPrototype: true }),
    fc.oneof(
      fc.constantFrom<Json>({ role: "writer" }, { role: "auditor" }, { role: "operator" }, { role: "officer" }),
      text.map((claim) => ({ role: "reader", subjectFrom: claim })),
      text.map((claim) => ({ role: "reader", tenantFrom: claim, subjectFrom: "sub" })),
    ),
  )
  .map(([condition, role]) => ({ ...condition, ...role }));

const identity = fc.uniqueArray(
  fc.tuple(
    fc.constantFrom(
      "https://id.example.com",
      "https://id.example.com:8443/realms/a%20b",
      "http://127.0.0.1:3000",
      "http://localhost",
      "https://[2001:db8::1]/",
    ),
    fc.option(fc.constantFrom("https://id.example.com/jwks?x=1", "http://[::1]:1/jwks")),
    text,
    fc.array(grant, { maxLength: 3 }),
  ),
  { maxLength: 3, selector: ([issuer]) => issuer },
);

/** What a valid file of rules may hold. */
export const validRules: fc.Arbitrary<Json> = optional(
  {
    version: fc.constant(1),
    classes,
    other: classRule,
    reads: fc.constantFrom<Json>({}, { purpose: "optional" }, { purpose: "required" }),
    twoPersons: fc.subarray(["erasure", "hold", "rules"]),
    senderKeys,
    identity: identity.map((providers) =>
      providers.map(([issuer, jwksUri, audience, grants]) => ({
        issuer,
        ...(jwksUri === null ? {} : { jwksUri }),
        audience,
        grants,
      })),
    ),
  },
  ["version"],
);

/** What may stand in the place of something valid. */
const junk: fc.Arbitrary<unknown> = fc.constantFrom<unknown>(
  null,
  true,
  0,
  1,
  -1,
  2,
  1.5,
  9_007_199_254_740_992,
  "",
  " ",
  "0d",
  "01d",
  "90",
  "10000d",
  "101y",
  "1 y",
  "for-ever",
  "1d",
  "100y",
  "at-expiry",
  "on-request",
  "optional",
  "reader",
  "auditor",
  "log",
  "a\nb",
  "a\u200Bb",
  "\uD800",
  "x".repeat(129),
  "x".repeat(257),
  "A".repeat(64),
  "a".repeat(64),
  "http://id.example.com",
  "https://a@b.c",
  "https://a.b/?c",
  "https://a.b/#c",
  "https://",
  [],
  {},
  ["rules", "rules"],
  [{}],
  { keep: "1y" },
  { keep: "for-ever", erase: "at-expiry" },
  { a: 1 },
  { a: { keep: "2y" }, log: { keep: "2y" } },
  { "a b": { keep: "1y" } },
);
const anyName = fc.oneof(
  fc.constantFrom(
    "keep",
    "kep",
    "classes",
    "log",
    "from",
    "to",
    "role",
    "subjectFrom",
    "x",
    "__proto__",
    "constructor",
    "",
  ),
  className,
);

/** Valid rules, with up to two changes in places at random. Many are valid still. */
export const nearlyRules: fc.Arbitrary<unknown> = fc
  .tuple(
    validRules,
    fc.array(
      fc.record({
        steps: fc.array(fc.nat({ max: 1000 }), { maxLength: 6 }),
        change: fc.constantFrom("replace", "remove", "add"),
        name: anyName,
        value: junk,
      }),
      { maxLength: 2 },
    ),
  )
  .map(([rules, changes]) => changes.reduce(changed, rules as unknown));

interface Change {
  readonly steps: readonly number[];
  readonly change: string;
  readonly name: string;
  readonly value: unknown;
}

function changed(root: unknown, change: Change): unknown {
  const [step, ...steps] = change.steps;
  const isMap = typeof root === "object" && root !== null && !Array.isArray(root);
  const entries: (readonly [string, unknown])[] = isMap ? Object.entries(root) : [];
  const items: unknown[] = Array.isArray(root) ? root : [];
  const count = isMap ? entries.length : items.length;
  if (step === undefined || count === 0) {
    if (change.change === "add" && isMap) return Object.fromEntries([...entries, [change.name, change.value]]);
    return change.change === "add" && Array.isArray(root) ? [...items, change.value] : change.value;
  }
  const at = step % count;
  const isLast = steps.length === 0;
  if (isLast && change.change === "remove")
    return isMap
      ? Object.fromEntries(entries.filter((_, place) => place !== at))
      : items.filter((_, place) => place !== at);
  const below = { ...change, steps };
  if (isMap)
    return Object.fromEntries(
      entries.map(([name, value], place) => [name, place === at ? changed(value, below) : value]),
    );
  return items.map((value, place) => (place === at ? changed(value, below) : value));
}
