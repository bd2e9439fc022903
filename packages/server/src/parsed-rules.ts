/** The rules that a log has in force, parsed once for each text. */
import { type Log, type Rules, parseRules } from "@tallystick/log";

export class ParsedRules {
  readonly #parsed = new WeakMap<Log, { readonly digest: string; readonly rules: Rules }>();

  of(log: Log): Rules {
    const { digest, text } = log.disposition.rules();
    const known = this.#parsed.get(log);
    if (known?.digest === digest) return known.rules;
    const rules = parseRules(text, { where: "rules" });
    this.#parsed.set(log, { digest, rules });
    return rules;
  }
}
