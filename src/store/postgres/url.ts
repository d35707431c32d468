/** How a database is named: `postgres://USER:PASSWORD@HOST:PORT/DATABASE?schema=kagzi&pool_size=10&sslmode=require`. */
import type * as PgConnection from "@effect/sql-pg/PgConnection"
import { readFileSync } from "node:fs"
import { type ConnectionOptions, createSecureContext } from "node:tls"
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
  /** Without TLS where that is no more than preferred. */
  readonly connection: PgConnection.Config
  /** Whether TLS is taken where PostgreSQL offers it. */
  readonly prefersTls: boolean
  /** Whether what is sent does not leave the machine. */
  readonly isLocal: boolean
  readonly schema: string
  readonly poolSize: number
  /** Names the database without secrets. */
  readonly place: string
}

type Parsed<A> = Result.Result<A, string>

const tlsFiles = ["sslrootcert", "sslcert", "sslkey"]

/** Of these, the client library reads those that are not read here. */
const understood = [
  ...["schema", "pool_size", "sslmode", ...tlsFiles, "connect_timeout", "application_name"],
  ...["host", "port", "user", "password", "dbname", "options"]
]

/**
 * Parameters of libpq that make no difference, with the values that ask for nothing that is not done. Any other one
 * would be ignored, and a connection less safe than it was meant to be, or one to another server.
 */
const harmless: Readonly<Record<string, ReadonlyArray<string> | "any">> = {
  channel_binding: ["disable", "prefer"],
  gssencmode: ["disable", "prefer"],
  sslnegotiation: ["postgres"],
  // every connection is held to it
  target_session_attrs: ["any", "read-write", "primary"],
  client_encoding: ["auto", "UTF8", "utf8", "UTF-8", "utf-8"],
  fallback_application_name: "any",
  keepalives: "any",
  keepalives_idle: "any",
  keepalives_interval: "any",
  keepalives_count: "any",
  tcp_user_timeout: "any",
  load_balance_hosts: "any"
}

const isName = /^[a-z_]+$/i

/** Why that parameter is refused. Names no value, and nothing that may be the rest of a password that was not encoded. */
const refusalOf = (url: URL, name: string): string | undefined => {
  const allowed = understood.includes(name) ? "any" : Object.hasOwn(harmless, name) ? harmless[name] : undefined
  if (allowed === undefined) {
    const named = isName.test(name) && !url.searchParams.has("password") ? name : "one of its parameters"
    return `${named} is not supported; ${understood.join(", ")} are`
  }
  const values = url.searchParams.getAll(name)
  if (values.length > 1) return `${name} is given more than once`
  return allowed === "any" || allowed.includes(values[0] ?? "")
    ? undefined
    : `${name} may only be ${allowed.join(" or ")}: no more is supported`
}

const checkParameters = (url: URL): Parsed<void> => {
  for (const name of new Set(url.searchParams.keys())) {
    const refusal = refusalOf(url, name)
    if (refusal !== undefined) return Result.fail(refusal)
  }
  return url.hostname.includes(",") || url.searchParams.get("host")?.includes(",") === true
    ? Result.fail("several hosts are not supported")
    : Result.succeed(undefined)
}

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
 * signed the certificate, `verify-full` the name in it too. `prefer`, the default, encrypts where that is offered and
 * trusts whoever answers, and `allow` is the same here; which it is to be is found out once, when a server starts. Files
 * beside a mode that may do without TLS are refused: who names them means to be safe.
 */
const tlsOf = (url: URL): Parsed<boolean | ConnectionOptions | "preferred"> => {
  const mode = url.searchParams.get("sslmode") ?? "prefer"
  if (mode === "disable" || mode === "prefer" || mode === "allow") {
    const file = tlsFiles.find((name) => url.searchParams.has(name))
    if (file !== undefined) return Result.fail(`${file} takes sslmode=require, verify-ca or verify-full`)
    return Result.succeed(mode === "disable" ? false : "preferred")
  }
  if (mode !== "require" && mode !== "verify-ca" && mode !== "verify-full") {
    return Result.fail("sslmode must be disable, allow, prefer, require, verify-ca or verify-full")
  }
  if (url.searchParams.has("sslcert") !== url.searchParams.has("sslkey")) {
    return Result.fail("sslcert and sslkey go together")
  }
  return Result.gen(function* () {
    const ca = yield* fileOf(url, "sslrootcert")
    const cert = yield* fileOf(url, "sslcert")
    const key = yield* fileOf(url, "sslkey")
    const checked = mode !== "require" || url.searchParams.has("sslrootcert")
    const files = {
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key })
    }
    yield* Result.try({
      try: () => createSecureContext(files),
      catch: (cause) => `sslcert or sslkey can't be used: ${String(cause)}`
    })
    return {
      ...files,
      rejectUnauthorized: checked,
      ...(mode === "verify-full" ? {} : { checkServerIdentity: () => undefined })
    }
  })
}

/** This machine, or the folder of a socket. */
const isLocalHost = /^(localhost|127\.[\d.]+|\[?::1\]?|(\/|%2f).*|)$/i

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
    yield* checkParameters(url)
    const tls = yield* tlsOf(url)
    const connection: PgConnection.Config = {
      url: Redacted.make(text),
      ssl: tls === "preferred" ? false : tls,
      ...(url.searchParams.has("application_name") ? {} : { applicationName: "kagzi" }),
      startupParameters: session(schema),
      types: registry,
      multiplex: true,
      preparedStatementCacheSize: 256,
      keepAlive: "20 seconds",
      maxMessageSize: 256 * 1024 * 1024
    }
    const isLocal = isLocalHost.test(url.searchParams.get("host") ?? url.hostname)
    return {
      connection,
      prefersTls: tls === "preferred",
      isLocal,
      schema,
      poolSize,
      place: `postgres://${url.host}${url.pathname}`
    }
  })
