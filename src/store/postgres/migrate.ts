/** Brings the schema up to date, whoever else does the same at that moment, and refuses what is not ours. */
import * as PgClient from "@effect/sql-pg/PgClient"
import { Effect, Layer } from "effect"
import { Migrator, SqlClient } from "effect/sql"
import { isSqlError, type SqlError } from "effect/sql/SqlError"
import { StoreError } from "../Store.ts"
import { checkBy } from "./connect.ts"
import { toStoreError } from "./errors.ts"
import { migrations } from "./migrations.ts"
import type { Settings } from "./url.ts"

const table = "kagzi_migrations"

const oldest = 14

const refuse = (place: string, message: string, reason?: "damaged" | "newer") =>
  Effect.fail(
    new StoreError({ message: `${place}: ${message}`, transient: false, ...(reason === undefined ? {} : { reason }) })
  )

const checkServer = Effect.fnUntraced(function* (sql: SqlClient.SqlClient, place: string) {
  const [found] = yield* sql<{ version: number; encoding: string }>`SELECT
    current_setting('server_version_num')::integer / 10000 AS version,
    current_setting('server_encoding') AS encoding`
  if (found === undefined) return
  if (found.version < oldest) {
    return yield* refuse(place, `PostgreSQL ${found.version} is too old: ${oldest} or newer is needed`)
  }
  if (found.encoding !== "UTF8") return yield* refuse(place, `the encoding must be UTF8, not ${found.encoding}`)
})

/** How many migrations were applied, by whatever version; none where the schema is empty. */
const applied = Effect.fnUntraced(function* (sql: SqlClient.SqlClient, { place, schema }: Settings) {
  const [found] = yield* sql<{ migrated: boolean; used: boolean }>`SELECT
    to_regclass(${`${schema}.${table}`}) IS NOT NULL AS migrated,
    EXISTS (SELECT 1 FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
      WHERE n.nspname = ${schema} AND c.relname IN ('runs', 'steps', 'workers')) AS used`
  if (found?.migrated !== true) {
    return found?.used === true
      ? yield* refuse(place, `the schema ${schema} has tables that are not kagzi's`, "damaged")
      : 0
  }
  const [latest] = yield* sql<{ version: number }>`SELECT coalesce(max(migration_id), 0) AS version FROM ${sql(table)}`
  const version = latest?.version ?? 0
  if (version > migrations.length) {
    return yield* refuse(
      place,
      `the schema ${schema} was written by a newer kagzi (schema version ${version}, this one knows up to ${migrations.length})`,
      "newer"
    )
  }
  return version
})

const loader = Migrator.fromRecord(
  Object.fromEntries(
    migrations.map(({ name, statements }, index) => [
      `${String(index + 1).padStart(4, "0")}_${name}`,
      SqlClient.SqlClient.use((sql) =>
        Effect.forEach(statements, (statement) => sql.unsafe(statement), { discard: true })
      )
    ])
  )
)

const migrateUnderLock = Effect.fnUntraced(function* (sql: SqlClient.SqlClient, settings: Settings) {
  const { schema } = settings
  // one server at a time: the others wait here, and then find it done
  yield* sql`SELECT pg_advisory_xact_lock(hashtextextended(${`kagzi migration ${schema}`}, 0))`
  if ((yield* applied(sql, settings)) === migrations.length) return
  // asking for a schema that exists takes the right to make one
  const [known] = yield* sql<{ exists: boolean }>`SELECT to_regnamespace(${schema}) IS NOT NULL AS exists`
  if (known?.exists !== true) yield* sql`CREATE SCHEMA ${sql(schema)}`
  yield* Migrator.make({})({ loader, table })
})

/** Brings the schema up to date. All of it happens, or nothing. */
export const migrate = (settings: Settings): Effect.Effect<void, StoreError> => {
  const { connection, place } = settings
  // others may take their time, and so may a step of ours
  const startupParameters = { ...connection.startupParameters, lock_timeout: "0", statement_timeout: "0" }
  const client = PgClient.layerFrom(PgClient.makeClient({ ...connection, startupParameters, multiplex: false }))
  const work = Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    // before anything is made, which might be in another schema
    yield* checkBy(startupParameters, (statement) =>
      Effect.map(sql.unsafe<{ name: string }>(statement), (rows) => rows.map(({ name }) => name))
    )
    yield* checkServer(sql, place)
    if ((yield* applied(sql, settings)) < migrations.length) {
      yield* sql.withTransaction(migrateUnderLock(sql, settings))
    }
  })
  const failed = (error: SqlError | Migrator.MigrationError) => {
    if (error._tag === "SqlError") return toStoreError(place, error)
    const { cause } = error
    return isSqlError(cause)
      ? toStoreError(place, cause)
      : new StoreError({ message: `${place}: ${error.message}`, transient: false, cause: error })
  }
  return work.pipe(
    Effect.provide(Layer.fresh(client), { local: true }),
    Effect.mapError((error) => (error._tag === "StoreError" ? error : failed(error)))
  )
}
