/** Takes the runs of silent workers away. */
import { Effect, Option } from "effect"
import type { Shape } from "../store/Store.ts"
import type { Committer } from "./Committer.ts"
import { logStoreError } from "./storeErrors.ts"

const retryMillis = 1_000

/** A store that takes longer to answer could not be written to either. */
const slowMillis = 1_000

/**
 * Sleeps until the worker that is silent longest is overdue, and looks again. A worker that comes or is heard of later
 * is overdue later, so nothing needs to wake this. While the store was of no use, no worker could be heard of: all have
 * their time once more.
 */
export const expireWorkers = (
  store: Pick<Shape, "now" | "quietest">,
  committer: Pick<Committer, "execute">,
  staleMillis: number
): Effect.Effect<never> =>
  Effect.suspend(() => {
    let listeningSince: number | undefined
    const look = Effect.gen(function* () {
      const asked = yield* store.now
      const quietest = yield* store.quietest
      const now = yield* store.now
      if (listeningSince === undefined || now - asked > slowMillis) listeningSince = now
      const silentSince = Math.max(
        listeningSince,
        Option.getOrElse(quietest, () => now)
      )
      const overdueAt = silentSince + staleMillis
      // if it seems to take longer, the clock was set back
      if (overdueAt > now) yield* Effect.sleep(Math.min(overdueAt - now, staleMillis))
      else {
        const { expired } = yield* committer.execute({ _tag: "ExpireWorkers" })
        // it was heard of meanwhile, or may be silent for longer
        if (expired === 0) yield* Effect.sleep(retryMillis)
      }
    })
    const lost = Effect.andThen(
      Effect.sync(() => {
        listeningSince = undefined
      }),
      Effect.sleep(retryMillis)
    )
    return look.pipe(
      Effect.catchTag("StoreError", (error) => Effect.andThen(logStoreError(error), lost)),
      Effect.catch(() => lost),
      Effect.forever
    )
  })
