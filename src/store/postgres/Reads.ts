/** Reads outside of transactions: on connections that many share, and once more where a connection turns out dead. */
import type * as PgConnection from "@effect/sql-pg/PgConnection"
import * as PgPool from "@effect/sql-pg/PgPool"
import { Clock, Effect, Latch, Schedule, type Scope } from "effect"
import { ConnectionError, SqlError } from "effect/sql/SqlError"
import { check } from "./connect.ts"
import { isCrowded, isReadOnly, outcomeOf, toStoreError } from "./errors.ts"
import type { Page, StoreError } from "../Store.ts"
import type { Listing } from "./queries/pages.ts"
import type { Read } from "./queries/reads.ts"

/** How many share a connection: a slow read holds up so many others at most. */
const perConnection = 8

/**
 * How long a connection may go without being checked. One to a primary that became a standby goes on answering, with
 * what was there before.
 */
const recheckMillis = 5_000

/** Above this a read has lost its connection; PostgreSQL gives up a statement before. */
const longest = "45 seconds"

/** While there are too many connections, those that there are have room again soon. */
const crowded = { while: isCrowded, times: 20, schedule: Schedule.spaced("50 millis") }

const lost = new SqlError({ reason: new ConnectionError({ cause: new Error("PostgreSQL does not answer") }) })

/** The failure of a connection that was given up, while others may do. */
interface Outdated {
  readonly _tag: "Outdated"
  readonly error: SqlError
}

export interface Reads {
  readonly read: <A>(question: Read<A>) => Effect.Effect<A, StoreError>
  /** A page, with the number of all rows where that is wanted. */
  readonly list: <A>(listing: Listing<A>) => Effect.Effect<Page<A>, StoreError>
  /** Reads on a connection that was found just now to lead to a database that can be written. */
  readonly readChecked: Reads["read"]
  /**
   * Opened when connections turn out to lead to a database that can't be written any more: at most some seconds after
   * it became so, while anybody reads.
   */
  readonly moved: Latch.Latch
}

export const make = Effect.fnUntraced(function* (
  config: PgConnection.Config,
  maxConnections: number,
  place: string
): Effect.fn.Return<Reads, SqlError, Scope.Scope> {
  const pool = yield* PgPool.make({ ...config, maxConnections, multiplexConcurrency: perConnection })

  const clock = yield* Clock.Clock
  const checkedAt = new WeakMap<PgConnection.PgConnection, number>()
  const moved = Latch.makeUnsafe()

  const checked = (connection: PgConnection.PgConnection, anyway: boolean) =>
    Effect.suspend(() => {
      const now = Number(clock.monotonicTimeNanosUnsafe() / 1_000_000n)
      const last = checkedAt.get(connection)
      if (!anyway && last !== undefined && now - last < recheckMillis) return Effect.void
      return Effect.tap(check(connection), () => Effect.sync(() => checkedAt.set(connection, now)))
    })

  const attempt = <A>({ decode, params, sql }: Read<A>, checks: boolean) =>
    pool.use((connection) => {
      const giveUp = <E>(error: E) => Effect.andThen(pool.invalidate(connection), Effect.fail(error))
      return Effect.suspend(() => {
        const isNew = !checkedAt.has(connection)
        return checked(connection, checks).pipe(
          Effect.andThen(connection.queryValues(sql, params)),
          Effect.map(decode),
          Effect.catch((error): Effect.Effect<never, SqlError | Outdated> => {
            if (!isReadOnly(error)) return isNew && !checkedAt.has(connection) ? giveUp(error) : Effect.fail(error)
            if (isNew) return giveUp(error)
            moved.openUnsafe()
            return giveUp({ _tag: "Outdated", error })
          }),
          Effect.timeoutOrElse({ duration: longest, orElse: () => giveUp(lost) })
        )
      })
    })

  // each connection may be met once
  const once = <A>(question: Read<A>, checks: boolean) =>
    attempt(question, checks).pipe(
      Effect.retry({ while: (failure) => failure._tag === "Outdated", times: maxConnections }),
      Effect.mapError((failure) => (failure._tag === "Outdated" ? failure.error : failure))
    )

  const reading =
    (checks: boolean): Reads["read"] =>
    (question) =>
      once(question, checks).pipe(
        Effect.catch((error) => (outcomeOf(error) === "lost" ? once(question, checks) : Effect.fail(error))),
        Effect.retry(crowded),
        Effect.mapError((error) => toStoreError(place, error))
      )
  const read = reading(false)

  return {
    read,
    readChecked: reading(true),
    moved,
    list: ({ page, total }) =>
      total === undefined
        ? read(page)
        : Effect.map(Effect.all([read(page), read(total)], { concurrency: 2 }), ([found, total]) => ({
            ...found,
            total
          }))
  }
})
