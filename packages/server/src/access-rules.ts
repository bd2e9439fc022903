/** What the rules of a log say about access: purposes, second persons, identity providers. docs/reference/rules.md */

/** What the rules can ask a second person for. */
export type TwoPersonRule = "erasure" | "hold" | "rules";

/** The part of the rules in force that access depends on. */
export interface AccessRules {
  readonly reads: { readonly purpose: "optional" | "required" };
  readonly twoPersons: readonly TwoPersonRule[];
}

/** Where no rules say otherwise. */
export const DEFAULT_ACCESS_RULES: AccessRules = { reads: { purpose: "optional" }, twoPersons: [] };
