/**
 * Connections that are what they were asked to be.
 *
 * A pooler may keep to itself what a session is to be started with. Its tables would be looked for in another schema,
 * and commits be answered before they are flushed. An address may lead to a standby, for a moment or for good: what it
 * reads there is old, and it can't write. Neither connection reports a thing.
 */
import * as PgConnection from "@effect/sql-pg/PgConnection"
import { Effect, type Scope } from "effect"
import { ConnectionError, SqlError, UnknownError } from "effect/sql/SqlError"
import { Code } from "./errors.ts"

/** How long the answer may take, of a peer that may be gone by now. */
const longest = "10 seconds"

const readOnlySetting = "transaction_read_only"

const sqlOf = (parameters: Readonly<Record<string, string>>): string => {
  const asked = Object.entries({ ...parameters, [readOnlySetting]: "off" })
  const rows = asked.map(([name, value]) => `('${name}', '${value}')`)
  return `SELECT name FROM (VALUES ${rows.join(", ")}) AS asked (name, value) WHERE current_setting(name) <> value`
}

const failure = (cause: Error): SqlError => new SqlError({ reason: new UnknownError({ cause, operation: "connect" }) })

const silent = new SqlError({ reason: new ConnectionError({ cause: new Error("PostgreSQL does not answer") }) })

/**
 * Fails unless a session is as asked for by these parameters and can write. `ask` runs a statement in it that answers
 * with one column.
 */
export const checkBy = (
  parameters: Readonly<Record<string, string>>,
  ask: (sql: string) => Effect.Effect<ReadonlyArray<unknown>, SqlError>
): Effect.Effect<void, SqlError> =>
  Effect.flatMap(ask(sqlOf(parameters)), (names) => {
    const ignored = names.filter((name) => name !== readOnlySetting)
    if (ignored.length > 0) {
      const message = `a pooler in between does not pass on what sessions are to be started with (${ignored.join(", ")}): connect directly`
      return Effect.fail(failure(new Error(message)))
    }
    if (names.length === 0) return Effect.void
    const error = new Error("the database is a standby or read-only")
    return Effect.fail(failure(Object.assign(error, { severity: "ERROR", code: Code.readOnly })))
  })

/** Fails unless the connection is as its configuration asks, and can write. */
export const check = (connection: PgConnection.PgConnection): Effect.Effect<void, SqlError> =>
  checkBy(connection.config.startupParameters ?? {}, (sql) =>
    Effect.map(connection.queryValues(sql), (rows) => rows.map(([name]) => name))
  ).pipe(Effect.timeoutOrElse({ duration: longest, orElse: () => Effect.fail(silent) }))

/** A connection that was checked, until the scope closes. */
export const connect = (config: PgConnection.Config): Effect.Effect<PgConnection.PgConnection, SqlError, Scope.Scope> =>
  Effect.tap(PgConnection.make(config), check)
