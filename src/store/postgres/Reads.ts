/** Reads outside of transactions: on connections that many share, and once more where a connection turns out dead. */
import type * as PgConnection from "@effect/sql-pg/PgConnection"
import * as PgPool from "@effect/sql-pg/PgPool"
import { Effect, Schedule, type Scope } from "effect"
import { ConnectionError, SqlError } from "effect/sql/SqlError"
import { isCrowded, outcomeOf, toStoreError } from "./errors.ts"
import type { Page, StoreError } from "../Store.ts"
import type { Listing } from "./queries/pages.ts"
import type { Read } from "./queries/reads.ts"

/** How many share a connection: a slow read holds up so many others at most. */
const perConnection = 8

/** Above this a read has lost its connection; PostgreSQL gives up a statement before. */
const longest = "45 seconds"

/** While there are too many connections, those that there are have room again soon. */
const crowded = { while: isCrowded, times: 20, schedule: Schedule.spaced("50 millis") }

const lost = new SqlError({ reason: new ConnectionError({ cause: new Error("PostgreSQL does not answer") }) })

export interface Reads {
  readonly read: <A>(question: Read<A>) => Effect.Effect<A, StoreError>
  /** A page, with the number of all rows where that is wanted. */
  readonly list: <A>(listing: Listing<A>) => Effect.Effect<Page<A>, StoreError>
}

export const make = Effect.fnUntraced(function* (
  config: PgConnection.Config,
  maxConnections: number,
  place: string
): Effect.fn.Return<Reads, SqlError, Scope.Scope> {
  const pool = yield* PgPool.make({ ...config, maxConnections, multiplexConcurrency: perConnection })

  const once = <A>({ decode, params, sql }: Read<A>) =>
    pool.use((connection) =>
      Effect.map(connection.queryValues(sql, params), decode).pipe(
        Effect.timeoutOrElse({
          duration: longest,
          orElse: () => Effect.andThen(pool.invalidate(connection), Effect.fail(lost))
        })
      )
    )

  const read: Reads["read"] = (question) =>
    once(question).pipe(
      Effect.catch((error) => (outcomeOf(error) === "lost" ? once(question) : Effect.fail(error))),
      Effect.retry(crowded),
      Effect.mapError((error) => toStoreError(place, error))
    )

  return {
    read,
    list: ({ page, total }) =>
      total === undefined
        ? read(page)
        : Effect.map(Effect.all([read(page), read(total)], { concurrency: 2 }), ([found, total]) => ({
            ...found,
            total
          }))
  }
})
