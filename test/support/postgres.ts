/** Databases for tests, on the server that they share. */
import { connect } from "node:net"
import { text } from "node:stream/consumers"
import * as PgConnection from "@effect/sql-pg/PgConnection"
import { Effect, Redacted } from "effect"
import { inject } from "vitest"

/** The url of a database with our tables, which nobody connects to. */
const templateUrl = Effect.promise(() => text(connect(inject("postgresPort"), "127.0.0.1")))

/** Runs statements on one connection until the scope closes. */
export const session = (url: string) =>
  Effect.map(
    PgConnection.make({ url: Redacted.make(url) }),
    (connection) => (statement: string) =>
      Effect.map(connection.query(statement, [], false), ({ rows }) => rows).pipe(Effect.orDie)
  ).pipe(Effect.orDie)

/** Runs statements on a connection of its own; answers with the rows of the last. */
export const query = (url: string, ...statements: ReadonlyArray<string>) =>
  Effect.scoped(
    Effect.gen(function* () {
      const run = yield* session(url)
      let rows: ReadonlyArray<PgConnection.Row> = []
      for (const statement of statements) rows = yield* run(statement)
      return rows
    })
  )

const on = (url: string, database: string) => {
  const named = new URL(url)
  named.pathname = `/${database}`
  return named.href
}

const newName = Effect.sync(() => `kagzi_test_${crypto.randomUUID().replaceAll("-", "").slice(0, 16)}`)

/** A copy of that database, gone with the scope. */
const copyOf = (template: (url: string) => string) =>
  Effect.acquireRelease(
    Effect.gen(function* () {
      const server = yield* templateUrl
      const name = yield* newName
      yield* query(on(server, "postgres"), `CREATE DATABASE ${name} TEMPLATE ${template(server)}`)
      return { server, name }
    }),
    ({ name, server }) => query(on(server, "postgres"), `DROP DATABASE ${name} WITH (FORCE)`)
  ).pipe(Effect.map(({ name, server }) => on(server, name)))

/** A database with nothing in it, gone with the scope. */
export const emptyDatabase = copyOf(() => "template0")

/** A database with our tables, empty, gone with the scope. */
export const database = copyOf((url) => new URL(url).pathname.slice(1))

/** Removes everything from our tables. */
export const clear = (url: string) =>
  query(
    url,
    `DO $$ BEGIN EXECUTE (SELECT 'TRUNCATE ' || string_agg(format('kagzi.%I', tablename), ', ') FROM pg_tables
      WHERE schemaname = 'kagzi' AND tablename NOT IN ('kagzi_migrations', 'lanes')); END $$`
  )
