/** Typed helpers over `record`, one per type of the catalogue that applications report: `tally.auth.login({…})`. */
import { type ApplicationType, CATALOGUE, type RequiredFieldOf } from "@tallystick/events";
import type { Report } from "./report.ts";

/** A report of a known type: what the type needs must be there. */
export type ReportOf<Type extends ApplicationType> = Omit<Report, "type" | RequiredFieldOf<Type>> & {
  readonly [Field in RequiredFieldOf<Type>]: NonNullable<Report[Field]>;
};

/** Records an event of one type. */
export type Helper<Type extends ApplicationType, Options, Answer> = (
  report: ReportOf<Type>,
  options?: Options,
) => Promise<Answer>;

/** The first segments of what follows `Prefix` in any type. */
type SegmentAfter<Prefix extends string> = ApplicationType extends infer Type
  ? Type extends `${Prefix}.${infer Rest}`
    ? Rest extends `${infer First}.${string}`
      ? First
      : Rest
    : never
  : never;

/** A helper for each type below `Prefix`, by the parts of its name. */
export type HelpersBelow<Prefix extends string, Options, Answer> = {
  readonly [Segment in SegmentAfter<Prefix>]: `${Prefix}.${Segment}` extends ApplicationType
    ? Helper<`${Prefix}.${Segment}`, Options, Answer>
    : HelpersBelow<`${Prefix}.${Segment}`, Options, Answer>;
};

/** All of them: `auth`, `account`, `session`, `access`. */
export type Helpers<Options, Answer> = {
  readonly [Namespace in Namespaces]: HelpersBelow<Namespace, Options, Answer>;
};

type Namespaces = ApplicationType extends infer Type
  ? Type extends `${infer First}.${string}`
    ? First
    : never
  : never;

interface Branch {
  [segment: string]: Branch | ((report: object, options?: unknown) => Promise<unknown>);
}

/** Makes the helpers from the catalogue. */
export function createHelpers<Options, Answer>(
  record: (report: Report, options?: Options) => Promise<Answer>,
): Helpers<Options, Answer> {
  const root: Branch = {};
  for (const { type, reporter } of CATALOGUE) {
    if (reporter !== "application") continue;
    const segments = type.split(".");
    const last = segments.pop() ?? type;
    let branch = root;
    for (const segment of segments) {
      const below = (branch[segment] ??= {});
      if (typeof below === "function") throw new TypeError(`${type}: a type below another type`);
      branch = below;
    }
    branch[last] = async (report, options) => record({ ...report, type }, options as Options | undefined);
  }
  return root as Helpers<Options, Answer>;
}
