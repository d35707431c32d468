/** Databases for tests, on the server that they share. */
import { connect } from "node:net"
import { text } from "node:stream/consumers"
import * as PgConnection from "@effect/sql-pg/PgConnection"
import { Effect, Layer, Redacted } from "effect"
import { inject } from "vitest"
import * as PostgresStore from "../../src/store/postgres/PostgresStore.ts"

/** The server's url, without the name of a database. */
const serverUrl = Effect.promise(() => text(connect(inject("postgresPort"), "127.0.0.1")))

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

/** A database with nothing in it, gone with the scope. */
export const emptyDatabase = Effect.acquireRelease(
  Effect.gen(function* () {
    const server = yield* serverUrl
    const name = yield* newName
    yield* query(on(server, "postgres"), `CREATE DATABASE ${name}`)
    return { server, name }
  }),
  ({ name, server }) => query(on(server, "postgres"), `DROP DATABASE ${name} WITH (FORCE)`)
).pipe(Effect.map(({ name, server }) => on(server, name)))

/** A database with our tables, empty, gone with the scope. */
export const database = Effect.tap(emptyDatabase, (url) =>
  Effect.scoped(Layer.build(Layer.fresh(PostgresStore.layer(url, { poolSize: 3 })))).pipe(Effect.orDie)
)

/** Removes everything from our tables. */
export const clear = (url: string) =>
  query(
    url,
    `DO $$ BEGIN EXECUTE (SELECT 'TRUNCATE ' || string_agg(format('kagzi.%I', tablename), ', ') FROM pg_tables
      WHERE schemaname = 'kagzi' AND tablename NOT IN ('kagzi_migrations', 'lanes')); END $$`
  )
