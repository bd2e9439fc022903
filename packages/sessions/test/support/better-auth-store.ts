/** The store on better-auth's own adapter, over whatever database. */
import {
  type BetterAuthSessionStore,
  type BetterAuthSessionStoreOptions,
  createBetterAuthSessionStore,
  tallystickPlugin,
} from "@tallystick/sessions/better-auth";
import { type BetterAuthOptions, betterAuth } from "better-auth";
import { getMigrations } from "better-auth/db/migration";
import { EventList } from "./setup.ts";

export const URL = "http://app.example";

export function optionsOf(database: BetterAuthOptions["database"], store: BetterAuthSessionStore): BetterAuthOptions {
  return {
    baseURL: URL,
    secret: "of this test alone, and 32 characters",
    database,
    logger: { disabled: true },
    plugins: [tallystickPlugin(new EventList(), { store })],
  };
}

/** better-auth over a database, and the store that comes of it. */
export async function openBetterAuthStore(
  database: BetterAuthOptions["database"],
  { migrate = false, ...options }: BetterAuthSessionStoreOptions & { migrate?: boolean } = {},
): Promise<BetterAuthSessionStore> {
  const store = createBetterAuthSessionStore(options);
  const settings = optionsOf(database, store);
  if (migrate) await (await getMigrations(settings)).runMigrations();
  await betterAuth(settings).$context;
  return store;
}
