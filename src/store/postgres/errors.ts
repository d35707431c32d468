/** What failures of PostgreSQL mean for a transaction and for a caller. */
import { Predicate } from "effect"
import { isSqlError, type SqlError } from "effect/sql/SqlError"
import { StoreError } from "../Store.ts"

/** SQLSTATE codes (https://www.postgresql.org/docs/current/errcodes-appendix.html), and beginnings of them. */
export const Code = {
  uniqueViolation: "23505",
  serializationFailure: "40001",
  deadlock: "40P01",
  staleStatement: "26000",
  changedResult: "0A000",
  connection: "08",
  resources: "53",
  tooManyConnections: "53300",
  lockNotAvailable: "55P03",
  intervention: "57",
  system: "58",
  readOnly: "25006",
  idleInTransaction: "25P03",
  noSuchDatabase: "3D000",
  notPermitted: "42501",
  authorization: "28"
} as const

/** The SQLSTATE of a failure, or undefined where it is not PostgreSQL that reports it. */
export const codeOf = (error: SqlError): string | undefined => {
  const { cause } = error.reason
  // errors of sockets have codes too, but no severity
  return Predicate.hasProperty(cause, "severity") &&
    Predicate.hasProperty(cause, "code") &&
    typeof cause.code === "string"
    ? cause.code
    : undefined
}

const detailOf = (error: SqlError): string => {
  const { cause } = error.reason
  const text = cause instanceof Error && cause.message !== "" ? cause.message : error.message
  return text.split("\n")[0] ?? ""
}

/**
 * What became of the transaction.
 *
 * - `unique`: somebody else made a row with the same key in between; looking again finds it
 * - `conflict`: it stood in the way of another one, and may succeed when it is tried again
 * - `lost`: the connection is gone; whether a commit that was under way took place is not known
 * - `failed`: anything else; it is rolled back
 */
export type Outcome = "unique" | "conflict" | "lost" | "failed"

/** Reported by the library, and not by PostgreSQL, which keeps its own codes for what it refuses. */
const isBroken = (error: SqlError): boolean => codeOf(error) === undefined && error.reason._tag === "ConnectionError"

export const outcomeOf = (error: SqlError): Outcome => {
  const code = codeOf(error)
  if (code === undefined) return isBroken(error) ? "lost" : "failed"
  switch (code) {
    case Code.uniqueViolation:
      return "unique"
    case Code.serializationFailure:
    case Code.deadlock:
    case Code.staleStatement:
    case Code.changedResult:
      return "conflict"
    case Code.idleInTransaction:
      return "lost"
  }
  // shut down, crashed, or dropped by an operator; 57014 is a statement that took too long
  return code.startsWith(Code.connection) || (code.startsWith(Code.intervention) && code !== "57014")
    ? "lost"
    : "failed"
}

/**
 * Whether the transaction was certainly rolled back: PostgreSQL refused one of its statements, on a connection that goes
 * on. An error that it answers COMMIT with says so too: whatever goes wrong once a commit is written is a warning, as
 * when waiting for a standby was cancelled, or ends the connection.
 */
export const isRolledBack = (error: SqlError): boolean => codeOf(error) !== undefined && outcomeOf(error) !== "lost"

const isTransient = (error: SqlError): boolean => {
  const code = codeOf(error)
  if (code === undefined) return error.reason._tag === "ConnectionError"
  return (
    outcomeOf(error) === "lost" ||
    outcomeOf(error) === "conflict" ||
    code.startsWith(Code.resources) ||
    code.startsWith(Code.system) ||
    code.startsWith(Code.intervention) ||
    code === Code.lockNotAvailable ||
    // what was the primary is a standby now
    code === Code.readOnly
  )
}

/** Whether the connection leads to where nothing can be written: a standby, or a primary that became one. */
export const isReadOnly = (error: SqlError): boolean => codeOf(error) === Code.readOnly

/** Whether the database refused a connection because it has as many as it takes. */
export const isCrowded = (error: SqlError): boolean => codeOf(error) === Code.tooManyConnections

/** Whether PostgreSQL has no TLS to offer: what the client library says where it was asked to take it. */
export const hasNoTls = ({ cause }: StoreError): boolean =>
  isSqlError(cause) &&
  cause.reason.cause instanceof Error &&
  cause.reason.cause.message === "The server does not support TLS"

/** The error of the port. `place` names the database, without secrets. */
export const toStoreError = (place: string, error: SqlError): StoreError => {
  const code = codeOf(error)
  return new StoreError({
    message: `${place}: ${detailOf(error)}${code === undefined ? "" : ` (${code})`}`,
    transient: isTransient(error),
    cause: error
  })
}
