/** How a database is named: `postgres://USER:PASSWORD@HOST:PORT/DATABASE?schema=kagzi&pool_size=10&sslmode=require`. */
import type * as PgConnection from "@effect/sql-pg/PgConnection"
import { readFileSync } from "node:fs"
import type { ConnectionOptions } from "node:tls"
import { Redacted, Result } from "effect"
import { registry } from "./values.ts"

/** What can be set beside the url, which may say it too; these win. */
export interface Options {
  /** The schema that holds the tables: up to 48 lower case letters, digits and `_`. By default `kagzi`. */
  readonly schema?: string
  /** The most connections that a server holds open: from 3 to 1000. By default 10. */
  readonly poolSize?: number
}

export interface Settings {
  readonly connection: PgConnection.Config
  readonly schema: string
  readonly poolSize: number
  /** Names the database without secrets. */
  readonly place: string
}

type Parsed<A> = Result.Result<A, string>

/** Those of libpq that are understood. Another one would be ignored, and a connection less safe than it was meant to be. */
const tlsParameters = ["sslmode", "sslrootcert", "sslcert", "sslkey"]

const isSchema = /^[a-z_][a-z0-9_]{0,47}$/

const schemaOf = (given: string | undefined): Parsed<string> => {
  const schema = given ?? "kagzi"
  return isSchema.test(schema)
    ? Result.succeed(schema)
    : Result.fail("schema must be up to 48 lower case letters, digits and _")
}

const poolSizeOf = (given: number | string | undefined): Parsed<number> => {
  const size = Number(given ?? 10)
  return Number.isInteger(size) && size >= 3 && size <= 1_000
    ? Result.succeed(size)
    : Result.fail("pool_size must be a whole number from 3 to 1000")
}

const fileOf = (url: URL, name: string): Parsed<Buffer | undefined> => {
  const path = url.searchParams.get(name)
  if (path === null || path === "system") return Result.succeed(undefined)
  return Result.try({ try: () => readFileSync(path), catch: (cause) => `${name}: ${String(cause)}` })
}

/**
 * As libpq reads it: `require` encrypts and, without a root certificate, trusts whoever answers; `verify-ca` checks who
 * signed the certificate, `verify-full` the name in it too. `prefer` and `allow` are left to the client library, which
 * takes TLS where it is offered and then checks the certificate in full.
 */
const tlsOf = (url: URL): Parsed<boolean | ConnectionOptions | undefined> => {
  const unknown = Array.from(url.searchParams.keys()).find(
    (name) => name.startsWith("ssl") && !tlsParameters.includes(name)
  )
  if (unknown !== undefined) return Result.fail(`${unknown} is not supported; ${tlsParameters.join(", ")} are`)
  const mode = url.searchParams.get("sslmode") ?? "disable"
  if (mode === "disable") return Result.succeed(false)
  if (mode === "prefer" || mode === "allow") return Result.succeed(undefined)
  if (mode !== "require" && mode !== "verify-ca" && mode !== "verify-full") {
    return Result.fail("sslmode must be disable, allow, prefer, require, verify-ca or verify-full")
  }
  return Result.gen(function* () {
    const ca = yield* fileOf(url, "sslrootcert")
    const cert = yield* fileOf(url, "sslcert")
    const key = yield* fileOf(url, "sslkey")
    const checked = mode !== "require" || url.searchParams.has("sslrootcert")
    return {
      rejectUnauthorized: checked,
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
      ...(mode === "verify-full" ? {} : { checkServerIdentity: () => undefined })
    }
  })
}

/**
 * What every session is set to, in PostgreSQL's own spelling: sessions are held to it.
 *
 * Every statement of ours has an index to go by. The planner is kept from reading whole tables, which it prefers while
 * a table is small and goes on doing as it grows, since plans are kept.
 */
const session = (schema: string): Readonly<Record<string, string>> => ({
  search_path: schema,
  // what was acknowledged is on disk, whatever the database's own setting
  synchronous_commit: "on",
  default_transaction_isolation: "read committed",
  plan_cache_mode: "force_generic_plan",
  enable_seqscan: "off",
  enable_bitmapscan: "off",
  enable_hashjoin: "off",
  enable_mergejoin: "off",
  jit: "off",
  client_min_messages: "error",
  statement_timeout: "30s",
  lock_timeout: "15s",
  // a server that is stopped in the middle of a transaction does not hold up the others
  idle_in_transaction_session_timeout: "5s"
})

/** Reads a URL. The reason of a failure names no secret. */
export const parse = (text: string, options: Options = {}): Parsed<Settings> =>
  Result.gen(function* () {
    const url = yield* Result.try({ try: () => new URL(text), catch: () => "it is not a URL" })
    if (url.protocol !== "postgres:" && url.protocol !== "postgresql:") {
      return yield* Result.fail("it must begin with postgres: or postgresql:")
    }
    const schema = yield* schemaOf(options.schema ?? url.searchParams.get("schema") ?? undefined)
    const poolSize = yield* poolSizeOf(options.poolSize ?? url.searchParams.get("pool_size") ?? undefined)
    const ssl = yield* tlsOf(url)
    const connection: PgConnection.Config = {
      url: Redacted.make(text),
      ...(ssl === undefined ? {} : { ssl }),
      ...(url.searchParams.has("application_name") ? {} : { applicationName: "kagzi" }),
      startupParameters: session(schema),
      types: registry,
      multiplex: true,
      preparedStatementCacheSize: 256,
      keepAlive: "20 seconds",
      maxMessageSize: 256 * 1024 * 1024
    }
    return { connection, schema, poolSize, place: `postgres://${url.host}${url.pathname}` }
  })
