/** One open database file: how it is opened, locked, checked and brought up to date, and its statements. */
import { mkdirSync } from "node:fs"
import { dirname } from "node:path"
import { DatabaseSync, type SQLInputValue } from "node:sqlite"
import { Effect, Random, Result, type Scope } from "effect"
import { StoreError } from "../Store.ts"
import { toStoreError } from "./errors.ts"
import { migrations } from "./migrations.ts"

/** A prepared statement. Rows are arrays in the order of the columns. */
export interface Statement<Row> {
  readonly get: (...params: ReadonlyArray<SQLInputValue>) => Row | undefined
  readonly all: (...params: ReadonlyArray<SQLInputValue>) => ReadonlyArray<Row>
  readonly iterate: (...params: ReadonlyArray<SQLInputValue>) => Iterable<Row>
  readonly run: (...params: ReadonlyArray<SQLInputValue>) => {
    readonly changes: number | bigint
    readonly lastInsertRowid: number | bigint
  }
}

/** Prepares statements and keeps them, by their text. */
export type Prepare = <Row>(sql: string) => Statement<Row>

export interface Database {
  readonly file: string
  readonly prepare: Prepare
  /** Runs work that touches the database. What it throws becomes the error. */
  readonly attempt: <A>(work: () => A) => Result.Result<A, StoreError>
  /** Ends a transaction that went wrong. The connection stays usable. */
  readonly rollback: () => void
  /** To be called when transactions write many pages: from then on they are copied from the log less often. */
  readonly lengthenLog: () => void
}

/** "Kagz": tells our files from other SQLite databases. */
export const applicationId = 0x4b61677a

/** Above this size, in bytes, opening does not read the whole file to look for damage: 50 ms is what it may take. */
const fullCheckLimit = 8 * 1024 * 1024

/**
 * After how many pages the log is copied back to the file and written again from its beginning. A flush takes half as
 * long where it makes the file of the log no longer: a short log is past that after the first hundred transactions.
 * Pages that all transactions write are copied once for each time around, which is little of a hundred small
 * transactions, and much of a few large ones.
 */
const logPages = { short: 1_024, long: 8_192 }

const checkpointAfter = (db: DatabaseSync, pages: number) => db.exec(`PRAGMA wal_autocheckpoint = ${pages}`)

const pragma = (db: DatabaseSync, name: string): unknown => Object.values(db.prepare(`PRAGMA ${name}`).get() ?? {})[0]

const refuse = (message: string, reason?: "damaged" | "newer") =>
  Result.fail(new StoreError({ message, transient: false, ...(reason === undefined ? {} : { reason }) }))

/** Whether the file is ours to write. Only reads. */
const inspect = (db: DatabaseSync, file: string): Result.Result<void, StoreError> => {
  const id = pragma(db, "application_id")
  const version = Number(pragma(db, "user_version"))
  if (id !== applicationId) {
    const empty = db.prepare("SELECT 1 FROM sqlite_schema LIMIT 1").get() === undefined
    if (id !== 0 || version !== 0 || !empty) return refuse(`${file} is not a kagzi database`, "damaged")
  }
  if (version > migrations.length) {
    return refuse(
      `${file} was written by a newer kagzi (schema version ${version}, this one knows up to ${migrations.length})`,
      "newer"
    )
  }
  if (Number(pragma(db, "page_count")) * Number(pragma(db, "page_size")) <= fullCheckLimit) {
    const found = String(pragma(db, "quick_check(1)") ?? "ok")
    // the first line only names the database
    if (found !== "ok") return refuse(`${file} is damaged (${found.split("\n").at(-1)})`, "damaged")
  }
  return Result.void
}

const migrate = (db: DatabaseSync) => {
  const done = Number(pragma(db, "user_version"))
  migrations.slice(done).forEach((sql, index) => {
    db.exec(
      `BEGIN IMMEDIATE; ${sql}; PRAGMA application_id = ${applicationId}; PRAGMA user_version = ${done + index + 1}; COMMIT`
    )
  })
}

/** The first access takes the lock, before anything is written; `busyMillis` is how long to try for it. */
const prepareFile = (db: DatabaseSync, file: string, busyMillis: number): Result.Result<void, StoreError> => {
  const prepared = Result.try({
    try: () => {
      db.exec(`PRAGMA busy_timeout = ${busyMillis}; PRAGMA locking_mode = EXCLUSIVE`)
      const inspected = inspect(db, file)
      if (Result.isFailure(inspected)) return inspected
      if (file !== ":memory:" && pragma(db, "journal_mode = WAL") !== "wal") {
        return refuse(`${file} can't be used: its file system does not support a write-ahead log`)
      }
      db.exec(
        "PRAGMA synchronous = FULL; PRAGMA busy_timeout = 0; PRAGMA cache_size = -32768; PRAGMA temp_store = MEMORY"
      )
      checkpointAfter(db, logPages.short)
      // what the log is cut to after a burst: the long log, 32 MiB
      db.exec("PRAGMA journal_size_limit = 33554432")
      migrate(db)
      return Result.void
    },
    catch: (cause) => toStoreError(file, cause)
  })
  return Result.flatMap(prepared, (result) => result)
}

const close = (db: DatabaseSync) =>
  Effect.sync(() => {
    // closing checkpoints as well; done apart so that a failure of it, a full disk, can't keep the file locked
    Result.try(() => db.exec("PRAGMA wal_checkpoint(TRUNCATE)"))
    Result.try(() => db.close())
  })

const connect = (file: string): Result.Result<DatabaseSync, StoreError> =>
  Result.try({
    try: () => {
      if (file !== ":memory:") mkdirSync(dirname(file), { recursive: true })
      return new DatabaseSync(file)
    },
    catch: (cause) => toStoreError(file, cause)
  })

const makePrepare = (db: DatabaseSync): Prepare => {
  const statements = new Map<string, unknown>()
  return <Row>(sql: string) => {
    const kept = statements.get(sql)
    if (kept !== undefined) return kept as Statement<Row>
    const statement = db.prepare(sql)
    statement.setReturnArrays(true)
    statements.set(sql, statement)
    // SQLite knows nothing of our types: each query states the shape of the columns it selects
    return statement as unknown as Statement<Row>
  }
}

/** Opens the file, making it and its folder if they don't exist, and holds it until the scope closes. */
export const open = Effect.fn("SqliteStore.open")(function* (
  file: string
): Effect.fn.Return<Database, StoreError, Scope.Scope> {
  const db = yield* Effect.acquireRelease(Effect.fromResult(connect(file)), close)
  // two servers that start at once may each hold what the other waits for: the one that waits longer gets it
  const busyMillis = yield* Random.nextIntBetween(50, 250)
  yield* Effect.fromResult(prepareFile(db, file, busyMillis))
  return {
    file,
    prepare: makePrepare(db),
    attempt: (work) => Result.try({ try: work, catch: (cause) => toStoreError(file, cause) }),
    rollback: () => {
      // SQLite has rolled back already after some errors, such as a full disk
      if (db.isTransaction) Result.try(() => db.exec("ROLLBACK"))
    },
    lengthenLog: () => checkpointAfter(db, logPages.long)
  }
})
