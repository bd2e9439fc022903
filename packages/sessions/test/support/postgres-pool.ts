/** Pools of node-postgres to a test's server. */
import { Pool, type PoolConfig } from "pg";

/**
 * As an application has to make it. Connections tell that the server is gone by an event too, which ends the process
 * where nobody listens: those that nobody uses tell the pool, those in use by better-auth nobody.
 */
export function poolTo({ host, database, ...more }: PoolConfig): Pool {
  const pool = new Pool({ host, database, user: "postgres", max: 4, ...more });
  pool.on("error", () => undefined);
  pool.on("connect", (client) => client.on("error", () => undefined));
  return pool;
}
