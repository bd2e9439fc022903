import { expect, test } from "vitest";
import { createMemoryKeyStore } from "@tallystick/storage";
import { LogSecrets } from "../../src/keys.ts";

test("the ids of persons are not remembered beyond a destruction of keys", async () => {
  const store = createMemoryKeyStore();
  const hashed: string[] = [];
  const watched = new Proxy(store, {
    get: (target, property) => {
      const value: unknown = Reflect.get(target, property, target);
      if (typeof value !== "function") return value;
      return (...input: readonly unknown[]) => {
        if (property === "getOrCreate" && input[0] === "secret") hashed.push(String(input[1]));
        return Reflect.apply(value, target, input) as unknown;
      };
    },
  });
  const secrets = new LogSecrets(watched);
  secrets.createSecrets();
  hashed.length = 0;
  const person = Buffer.from(secrets.existingReference("u_81") ?? []).toString("hex");
  secrets.existingReference("u_81");
  expect(hashed).toHaveLength(1);
  store.getOrCreate("person", person);
  await secrets.retirePerson(person, `${person}~1`);
  secrets.existingReference("u_81");
  expect(hashed).toHaveLength(2);
  await secrets.destroy([{ kind: "person", name: `${person}~1` }]);
  secrets.existingReference("u_81");
  expect(hashed).toHaveLength(3);
});
