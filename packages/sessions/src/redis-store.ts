/** Session states in Redis: for any number of machines. Redis' own clock counts. */
import type { SessionStore, StoredEntry } from "./store.ts";

/**
 * What is needed of a Redis client: node-redis has it; of ioredis it is
 * `{ sendCommand: ([name, ...args]) => redis.call(name, ...args) }`.
 */
export interface RedisCommands {
  sendCommand(args: string[]): Promise<unknown>;
}

export interface RedisSessionStoreOptions {
  /** What all keys begin with; "{tallystick-sessions}:" by default. The braces keep them on one node of a cluster. */
  readonly prefix?: string | undefined;
  /** How long to wait for an answer; 2,000 by default. */
  readonly timeoutMs?: number | undefined;
}

/** The time, which goes on from its mark where the machine's clock was set back. %.0f: Lua would round to 14 digits. */
const NOW = `
  local time = redis.call('TIME')
  local mark = tonumber(redis.call('HGET', KEYS[1], 'mark') or '0')
  local ahead = tonumber(redis.call('HGET', KEYS[1], 'ahead') or '0')
  local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000) + ahead
  if now < mark then
    redis.call('HSET', KEYS[1], 'ahead', string.format('%.0f', ahead + mark - now))
    return mark
  end
  if now > mark then redis.call('HSET', KEYS[1], 'mark', string.format('%.0f', now)) end
  return now
`;

/** KEYS: the entry, the deadlines, the store's own. ARGV: version, key, "put" or "delete", value, deadline or "". */
const PUT = `
  if (redis.call('HGET', KEYS[1], 'version') or '0') ~= ARGV[1] then return 0 end
  if ARGV[3] == 'delete' then
    redis.call('DEL', KEYS[1])
    redis.call('ZREM', KEYS[2], ARGV[2])
    return 1
  end
  local version = redis.call('HINCRBY', KEYS[3], 'versions', 1)
  redis.call('HSET', KEYS[1], 'value', ARGV[4], 'version', version)
  if ARGV[5] == '' then redis.call('ZREM', KEYS[2], ARGV[2])
  else redis.call('ZADD', KEYS[2], ARGV[5], ARGV[2]) end
  return 1
`;

/** A store over a client that the application opened, and closes. */
export function createRedisSessionStore(client: RedisCommands, options: RedisSessionStoreOptions = {}): SessionStore {
  return new RedisSessionStore(client, {
    prefix: options.prefix ?? "{tallystick-sessions}:",
    timeoutMs: options.timeoutMs ?? 2000,
  });
}

class RedisSessionStore implements SessionStore {
  readonly #client: RedisCommands;
  readonly #timeoutMs: number;
  readonly #entryPrefix: string;
  readonly #deadlines: string;
  readonly #own: string;
  #closed = false;

  constructor(client: RedisCommands, { prefix, timeoutMs }: { prefix: string; timeoutMs: number }) {
    this.#client = client;
    this.#timeoutMs = timeoutMs;
    this.#entryPrefix = `${prefix}entry:`;
    this.#deadlines = `${prefix}deadlines`;
    this.#own = `${prefix}store`;
  }

  async now(): Promise<number> {
    return wholeOf(await this.#send("EVAL", NOW, "1", this.#own));
  }

  async get(key: string): Promise<StoredEntry | undefined> {
    const answer = await this.#send("HMGET", this.#entryPrefix + key, "value", "version");
    if (!Array.isArray(answer)) throw unexpected(answer);
    const [value, version] = answer as unknown[];
    return value === null ? undefined : { value: textOf(value), version: wholeOf(version) };
  }

  async put(key: string, value: string | null, version: number, deadline?: number): Promise<boolean> {
    const what = value === null ? ["delete", "", ""] : ["put", value, deadline === undefined ? "" : `${deadline}`];
    const keys = [this.#entryPrefix + key, this.#deadlines, this.#own];
    return wholeOf(await this.#send("EVAL", PUT, "3", ...keys, `${version}`, key, ...what)) === 1;
  }

  async due(before: number, limit: number): Promise<readonly string[]> {
    const range = ["-inf", `${before}`, "LIMIT", "0", `${limit}`];
    const answer = await this.#send("ZRANGEBYSCORE", this.#deadlines, ...range);
    if (!Array.isArray(answer)) throw unexpected(answer);
    return answer.map(textOf);
  }

  /** The client is the application's. */
  async close(): Promise<void> {
    this.#closed = true;
  }

  /** A client that reconnects may keep a command for ever: whoever asks whether a session is alive cannot wait so long. */
  async #send(...args: string[]): Promise<unknown> {
    if (this.#closed) throw new Error("this store is closed");
    const { promise: late, reject } = Promise.withResolvers<never>();
    const text = `redis: no answer to ${args[0]} within ${this.#timeoutMs} ms`;
    const timer = setTimeout(() => reject(new Error(text)), this.#timeoutMs);
    try {
      return await Promise.race([this.#client.sendCommand(args), late]);
    } finally {
      clearTimeout(timer);
    }
  }
}

/** Clients may be set to give bytes. */
function textOf(answer: unknown): string {
  if (typeof answer === "string") return answer;
  if (answer instanceof Uint8Array) return new TextDecoder().decode(answer);
  throw unexpected(answer);
}

function wholeOf(answer: unknown): number {
  const whole = typeof answer === "number" ? answer : Number(textOf(answer));
  if (Number.isSafeInteger(whole) && whole >= 0) return whole;
  throw unexpected(answer);
}

function unexpected(answer: unknown): Error {
  return new Error(`redis: an answer that was not expected: ${JSON.stringify(answer)}`);
}
