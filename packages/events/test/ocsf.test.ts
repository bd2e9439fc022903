/** The OCSF classes of the catalogue beside samples that others mapped. */
import { expect, test } from "vitest";
import { catalogueEntry } from "../src/index.ts";
import { describeWithVectors, readVectorJson } from "../../../test/support/vectors.ts";

interface Pair {
  readonly ocsf: { readonly class_uid: number; readonly activity_id: number; readonly activity_name: string };
}

describeWithVectors("samples of OCSF events", () => {
  const pairs = readVectorJson<readonly Pair[]>("events/ocsf/ocsf-pairs.json");

  test.each([
    ["auth.login", 3002, "Logon"],
    ["auth.lockout", 3001, "Lock"],
    ["account.create", 3001, "Create"],
    ["auth.key.create", 3004, "Create"],
    ["log.alert", 2004, "Create"],
  ])("give %s the class %d and the number of %s", (type, classUid, name) => {
    const sample = pairs.find(({ ocsf }) => ocsf.class_uid === classUid && ocsf.activity_name === name)?.ocsf;
    const { ocsf } = catalogueEntry(type) ?? {};
    expect(ocsf).toEqual({ classUid: sample?.class_uid, activityId: sample?.activity_id });
  });
});
