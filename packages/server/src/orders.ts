/** What officers order, and rules can ask two of them for: an erasure, a legal hold and its end, other rules. */
import { hash } from "node:crypto";
import type { Ordered, SetHoldInput } from "@tallystick/log";
import { valueReply } from "./answers.ts";
import { type Action, type Order, action } from "./approval.ts";
import { describeDestruction, describeHold } from "./disposition-answers.ts";
import { type HoldBody, eraseBody, holdBody, liftBody, rulesBody } from "./disposition-schemas.ts";

export const ERASE: Action<unknown> = action({
  name: "erasure",
  rule: "erasure",
  input: eraseBody.schema,
  perform: async ({ log, format }, order) => {
    const { subject, ground, request = order.id } = order.input;
    const destruction = await log.disposition.erase({ subject, ground, request, ...persons(order) });
    return valueReply(describeDestruction(destruction), { format, status: destruction.state === "done" ? 200 : 202 });
  },
});

export const SET_HOLD: Action<unknown> = action({
  name: "hold.set",
  rule: "hold",
  input: holdBody.schema,
  perform: async ({ log, format }, order) => {
    const hold = await log.disposition.setHold({ ...holdInput(order.input), id: order.id, ...persons(order) });
    return valueReply(describeHold(hold), { format, status: 201 });
  },
});

export const LIFT_HOLD: Action<unknown> = action({
  name: "hold.lift",
  rule: "hold",
  input: liftBody,
  perform: async ({ log, format }, order) => {
    const hold = await log.disposition.liftHold({ id: order.input.id, ...persons(order) });
    return valueReply(describeHold(hold), { format });
  },
});

export const APPLY_RULES: Action<unknown> = action({
  name: "rules.apply",
  rule: "rules",
  input: rulesBody.schema,
  // An approval of what was to replace other rules is none of what replaces these.
  state: ({ log }) => {
    const { index, digest } = log.disposition.rules();
    // The same rules, approved anew in between, are others: a ticket that was used once must not bring its own back.
    return `${index ?? ""} ${digest}`;
  },
  perform: async ({ log, format }, order) => {
    const { text } = order.input;
    const { index, state } = await log.disposition.applyRules({ text, ...persons(order) });
    return valueReply({ index, digest: hash("sha256", text, "hex"), state }, { format, status: 201 });
  },
});

export const ORDERS: readonly Action<unknown>[] = [ERASE, SET_HOLD, LIFT_HOLD, APPLY_RULES];

function persons({ by, approvedBy }: Order<unknown>): Ordered {
  return { by, ...(approvedBy === undefined ? {} : { approvedBy }) };
}

function holdInput(body: HoldBody): Omit<SetHoldInput, "by"> {
  const { reason, subject, class: retentionClass, from, to, operation } = body;
  return {
    case: body.case,
    ...(reason === undefined ? {} : { reason }),
    selectors: {
      ...(subject === undefined ? {} : { subject }),
      ...(retentionClass === undefined ? {} : { class: retentionClass }),
      ...(from === undefined ? {} : { from: Date.parse(from) }),
      ...(to === undefined ? {} : { to: Date.parse(to) }),
      ...(operation === undefined ? {} : { operation }),
    },
  };
}
