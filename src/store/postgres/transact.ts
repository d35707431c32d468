/**
 * Transactions: load and lock, decide, write and commit, in two round trips for most; in one where all that is to be
 * loaded is known (see `Known.ts`).
 *
 * One that stands in the way of another, or finds that somebody else made what it was about to make, is tried again from
 * the start and decides anew. One whose commit was not answered is looked up (see `Lanes.ts`), so that no effect is
 * repeated, and nothing that was acknowledged is lost.
 */
import type * as PgConnection from "@effect/sql-pg/PgConnection"
import { Effect, Random, Result } from "effect"
import type { SqlError } from "effect/sql/SqlError"
import { type Changes, type Rows, type Shape, StoreError, type Wants, type WorkerRecord } from "../Store.ts"
import { combined } from "./combined.ts"
import { isCrowded, isReadOnly, isRolledBack, type Outcome, outcomeOf, toStoreError } from "./errors.ts"
import type { Known, Recalled } from "./Known.ts"
import { isGivenUp, type Lane, type Lanes } from "./Lanes.ts"
import { Loaded } from "./Loaded.ts"
import * as Load from "./load.ts"
import { ask, begin, pipeline } from "./pipeline.ts"
import { isSingle, statementsOf } from "./save.ts"
import type { Statement } from "./values.ts"

/** How often a transaction is tried again, for each reason. */
const attempts: Readonly<Record<Exclude<Outcome, "failed">, number>> = { unique: 10, conflict: 10, lost: 3 }

/** The longest pause before the next attempt, for each attempt before. */
const pauseMillis = 20

const commit: Statement = { sql: "COMMIT", params: [] }
const rollback: Statement = { sql: "ROLLBACK", params: [] }

type Decide<A> = (rows: Rows) => { readonly changes: Changes; readonly value: A }

/** What was written, and the workers as they were before. */
export interface Committed {
  readonly changes: Changes
  readonly workers: ReadonlyMap<string, WorkerRecord>
}

/** What one attempt came to. */
type Attempt<A> =
  | { readonly _tag: "Done"; readonly value: A; readonly committed: Committed | undefined }
  /** It has to begin with a lock on the namespaces, which it changes. */
  | { readonly _tag: "LockNamespaces" }
  /** What was known does not hold any more: it has to load. */
  | { readonly _tag: "Outdated" }
  /** It found no connection; others have some. */
  | { readonly _tag: "Crowded" }
  /** The connection, made for an earlier transaction, was broken before anything was written, or can't write any more. */
  | { readonly _tag: "Stale"; readonly error: StoreError }
  | { readonly _tag: "Failed"; readonly outcome: Outcome; readonly error: StoreError }
  /** The commit may or may not take place. */
  | { readonly _tag: "Unknown"; readonly error: StoreError }

const isEmpty = (changes: Changes): boolean => Object.values(changes).every((list) => list.length === 0)

export const make = (
  lanes: Lanes,
  known: Known,
  place: string,
  onCommit: (committed: Committed) => void,
  onUnknown: () => void
): Shape["transact"] => {
  /** Ends the transaction on a connection that may be in the middle of one. */
  const undo = (lane: Lane, connection: PgConnection.PgConnection) =>
    Effect.catch(pipeline(connection, [rollback]), () => lane.drop)

  /** Whether the connection is of no use any more: it is gone, or leads to a database that can't be written. */
  const isLost = (error: SqlError): boolean => outcomeOf(error) === "lost" || isReadOnly(error)

  /** `wasConnected` tells that the connection was not made for this transaction. */
  const outcomeAs = (error: SqlError, wasConnected: boolean): Attempt<never> => {
    const outcome = outcomeOf(error)
    const storeError = toStoreError(place, error)
    return isLost(error) && wasConnected
      ? { _tag: "Stale", error: storeError }
      : { _tag: "Failed", outcome, error: storeError }
  }

  /** Of a transaction that certainly does not take place; `isOpen` where it has to be ended yet. */
  const failed = (
    lane: Lane,
    connection: PgConnection.PgConnection,
    error: SqlError,
    wasConnected: boolean,
    isOpen = true
  ) => {
    const end = isOpen ? undo(lane, connection) : Effect.void
    const cleanUp = isGivenUp(error) ? lanes.retire(lane) : isLost(error) ? lane.drop : end
    return Effect.as(cleanUp, outcomeAs(error, wasConnected))
  }

  const refused = (message: string): Attempt<never> => ({
    _tag: "Failed",
    outcome: "failed",
    error: new StoreError({ message: `${place}: ${message}`, transient: false })
  })

  /**
   * Carries out all that is left of a transaction, or the whole of it as one statement. It has the number of the lane. A
   * statement is answered when PostgreSQL is ready for the next one, so that it is committed then.
   */
  const finish = Effect.fnUntraced(function* (
    lane: Lane,
    connection: PgConnection.PgConnection,
    statements: ReadonlyArray<Statement>,
    wasConnected: boolean
  ) {
    const written = yield* Effect.result(pipeline(connection, statements))
    if (Result.isSuccess(written)) return undefined
    const error = written.failure
    if (isRolledBack(error)) {
      lane.rolledBack()
      return yield* failed(lane, connection, error, wasConnected, statements.length > 1)
    }
    yield* lane.drop
    const settled = yield* Effect.result(lane.settle)
    if (Result.isSuccess(settled)) {
      return settled.success ? undefined : outcomeAs(error, wasConnected)
    }
    yield* lanes.retire(lane)
    const unknown: Attempt<never> = { _tag: "Unknown", error: toStoreError(place, error) }
    return unknown
  })

  /** Decides by what is known; undefined where that does not do. */
  const byKnown = Effect.fnUntraced(function* <A>(
    lane: Lane,
    connection: PgConnection.PgConnection,
    wants: Wants,
    decide: Decide<A>,
    { loaded, verify }: Recalled,
    wasConnected: boolean
  ): Effect.fn.Return<Attempt<A> | undefined> {
    // a defect may come from rows that are out of date
    const decided = Result.try(() => decide(loaded.rows(wants)))
    if (Result.isFailure(decided)) return undefined
    const { changes, value } = decided.success
    // an answer that changes nothing must not come from rows that nobody verifies; namespaces are verified without a lock
    const isVerified = !isEmpty(changes) && changes.updateNamespaces.length === 0
    if (!isVerified || !Load.unseen(changes, loaded).isEmpty) return undefined
    // one statement is a transaction by itself; more would go on by themselves where a BEGIN before them fails
    const [only, ...others] = combined([...verify, ...statementsOf(wants, changes, loaded), lane.number()])
    if (only === undefined || others.length > 0) {
      lane.rolledBack()
      return undefined
    }
    const failure = yield* finish(lane, connection, [only], wasConnected)
    if (failure === undefined) return done(changes, value, loaded)
    const outdated: Attempt<A> = { _tag: "Outdated" }
    return failure._tag === "Failed" && (failure.outcome === "conflict" || failure.outcome === "unique")
      ? outdated
      : failure
  })

  const done = <A>(changes: Changes, value: A, loaded: Loaded): Attempt<A> => {
    known.committed(changes, loaded)
    return { _tag: "Done", value, committed: { changes, workers: loaded.workers } }
  }

  const once = <A>(
    lane: Lane,
    wants: Wants,
    decide: Decide<A>,
    { load, lockNamespaces }: { readonly load: boolean; readonly lockNamespaces: boolean }
  ): Effect.Effect<Attempt<A>> =>
    Effect.gen(function* () {
      const wasConnected = lane.isConnected
      const connected = yield* Effect.result(lane.connect)
      if (Result.isFailure(connected)) {
        const error = connected.failure
        const attempt: Attempt<A> =
          isCrowded(error) && lanes.yields(lane)
            ? { _tag: "Crowded" }
            : { _tag: "Failed", outcome: "failed", error: toStoreError(place, error) }
        return attempt
      }
      const connection = connected.success
      // what is sent all at once, to an end that may be gone, has to be found out about afterwards
      const recalled = load || !lane.isWarm ? undefined : known.recall(wants)
      const attempt = recalled && (yield* byKnown(lane, connection, wants, decide, recalled, wasConnected))
      if (attempt !== undefined) return attempt

      const loaded = new Loaded()
      const loading = yield* Effect.result(
        Effect.gen(function* () {
          yield* ask(connection, Load.firstQuestions(wants, loaded, lockNamespaces), [begin])
          const further = Load.furtherQuestions(wants, loaded)
          if (further.length > 0) yield* ask(connection, further)
        })
      )
      if (Result.isFailure(loading)) return yield* failed(lane, connection, loading.failure, wasConnected)
      known.loaded(wants, loaded)

      const decided = Result.try({ try: () => decide(loaded.rows(wants)), catch: (defect) => defect })
      if (Result.isFailure(decided)) {
        yield* undo(lane, connection)
        return yield* Effect.die(decided.failure)
      }
      const { changes, value } = decided.success
      if (isEmpty(changes)) {
        yield* undo(lane, connection)
        const attempt: Attempt<A> = { _tag: "Done", value, committed: undefined }
        return attempt
      }
      if (changes.updateNamespaces.length > 0 && !lockNamespaces) {
        yield* undo(lane, connection)
        const attempt: Attempt<A> = { _tag: "LockNamespaces" }
        return attempt
      }
      const unseen = Load.unseen(changes, loaded)
      if (!unseen.isEmpty) {
        const looked = yield* Effect.result(
          ask(connection, Load.firstQuestions({ ...Load.nothing, ...unseen.wants }, loaded, true))
        )
        if (Result.isFailure(looked)) return yield* failed(lane, connection, looked.failure, wasConnected)
        const missing = Load.missing(unseen, loaded)
        if (missing !== undefined) {
          yield* undo(lane, connection)
          return refused(`there is no ${missing}`)
        }
      }
      const written = [...statementsOf(wants, changes, loaded), lane.number()]
      // of large batches it would be little that is saved, and many different texts to be prepared
      const statements = [...(isSingle(changes) ? combined(written) : written), commit]
      const failure = yield* finish(lane, connection, statements, wasConnected)
      return failure ?? done(changes, value, loaded)
    }).pipe(Effect.onInterrupt(() => lanes.retire(lane)))

  const transact = Effect.fnUntraced(function* <A>(wants: Wants, decide: Decide<A>) {
    const made: Record<Exclude<Outcome, "failed">, number> = { unique: 0, conflict: 0, lost: 0 }
    const how = { load: false, lockNamespaces: false }
    let stale = 0
    for (;;) {
      const attempt: Attempt<A> = yield* lanes.use((lane) => once(lane, wants, decide, how))
      switch (attempt._tag) {
        case "Done":
          if (attempt.committed !== undefined) onCommit(attempt.committed)
          return attempt.value
        case "LockNamespaces":
          how.lockNamespaces = true
          how.load = true
          break
        case "Outdated":
          how.load = true
          break
        case "Crowded":
          break
        case "Unknown":
          onUnknown()
          return yield* attempt.error
        case "Stale":
          // All connections break when the database starts anew: each may be met once.
          if (++stale > lanes.count) return yield* attempt.error
          break
        case "Failed": {
          const { error, outcome } = attempt
          if (outcome === "failed" || ++made[outcome] >= attempts[outcome]) return yield* error
          if (made[outcome] > 1) yield* Effect.sleep((yield* Random.next) * pauseMillis * made[outcome])
        }
      }
    }
  })
  return transact as Shape["transact"]
}
