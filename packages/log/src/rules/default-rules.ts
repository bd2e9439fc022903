/** The rules of a log that nobody gave any. */
import { type ClassRule, FOR_EVER, LOG_CLASS } from "./rules.ts";

const keptFor = (keepDays: ClassRule["keepDays"]): ClassRule => ({ keepDays, atLeastDays: 0, erase: "on-request" });

export const logClassRule: ClassRule = keptFor(FOR_EVER);

export const defaultClasses: ReadonlyMap<string, ClassRule> = new Map([
  ["session", keptFor(90)],
  ["activity", keptFor(90)],
  ["auth", keptFor(365)],
  ["account", keptFor(365)],
  ["access", keptFor(6 * 365)],
  [LOG_CLASS, logClassRule],
]);

/** Of every class that is not named. */
export const defaultOther: ClassRule = keptFor(365);

/** A file of rules that says what holds without one, and how to say other things. */
export const defaultRulesText = `# Rules: how long contents are kept, how they are erased, who may read them.
# Check a change with "tallystick rules check", compare with "rules diff", try it with "rules simulate";
# "rules apply" lets it hold. Which rules hold, and since when, is in the log.
version: 1

# A class is the first part of an event's type (auth of auth.login), or the event's own "retention".
#   keep:    days (90d), years of 365 days (6y), or for-ever. Then the contents are destroyed, with a certificate.
#   atLeast: a promise to whatever is logged from now on; no later rule shortens it.
#   erase:   on-request (gone when the person is erased), or at-expiry (a duty to keep it goes before).
#   basis:   the law or the reason, for whoever asks.
classes:
  # Who clicked what when: enough to look into an incident.
  session:  { keep: 90d }
  activity: { keep: 90d }
  # Logins and changes of accounts: a year, as PCI DSS 10.5.1 asks.
  auth:     { keep: 1y }
  account:  { keep: 1y }
  # Who saw whose data: six years, as HIPAA 164.316(b)(2) asks.
  access:   { keep: 6y }
  # The log's own events, without personal data: always for ever.
  log:      { keep: for-ever }

# Every class that is not named above.
other: { keep: 1y }

# "required": whoever reads contents has to say what for; it is in the log.
reads: { purpose: optional }

# What a second officer has to approve: any of erasure, hold, rules.
twoPersons: []

# Senders whose signed batches are taken: { publicKey: 64 hex digits, from: index, to: index }.
senderKeys: []

# Providers of identities (OpenID Connect), such as:
#   - issuer: https://id.example.com
#     audience: tallystick
#     grants:
#       - { claim: groups, has: auditors, role: auditor }
#       - { claim: role, has: customer, role: reader, subjectFrom: sub }
identity: []
`;
