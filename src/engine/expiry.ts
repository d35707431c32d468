/** Takes the runs of silent workers away. */
import { Effect, Option } from "effect"
import type { Shape } from "../store/Store.ts"
import type { Committer } from "./Committer.ts"
import { logStoreError } from "./storeErrors.ts"

const retryMillis = 1_000

/**
 * Sleeps until the worker that is silent longest is overdue, and looks again. A worker that comes or is heard of later
 * is overdue later, so nothing needs to wake this.
 */
export const expireWorkers = (store: Shape, committer: Committer, staleMillis: number): Effect.Effect<never> =>
  Effect.flatMap(store.now, (listeningSince) =>
    Effect.gen(function* () {
      const now = yield* store.now
      const quietest = yield* store.quietest
      const silentSince = Math.max(
        listeningSince,
        Option.getOrElse(quietest, () => now)
      )
      const overdueAt = silentSince + staleMillis
      if (overdueAt > now) yield* Effect.sleep(overdueAt - now)
      else yield* committer.execute({ _tag: "ExpireWorkers" })
    }).pipe(
      Effect.catchTag("StoreError", (error) => Effect.andThen(logStoreError(error), Effect.sleep(retryMillis))),
      Effect.catch(() => Effect.sleep(retryMillis)),
      Effect.forever
    )
  )
