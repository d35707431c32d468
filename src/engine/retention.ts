/** Removes runs that ended long enough ago. */
import { Clock, Effect } from "effect"
import { isTerminal } from "../Run.ts"
import type { Cursor, Removable, RemovalRoom, Shape, StoreError } from "../store/Store.ts"
import { logStoreError } from "./storeErrors.ts"

/** One transaction with that much takes two or three milliseconds, for which others may have to wait. */
const room: RemovalRoom = { rows: 250, bytes: 1_048_576 }

/** After each transaction nothing is removed for so many times as long as it took. */
const restFactor = 9
const shortestRestMillis = 5
const longestRestMillis = 10_000

const retryMillis = 5_000

/** Between two passes: a small part of the retention. */
const pauseOf = (retentionMillis: number): number => Math.min(Math.max(retentionMillis / 20, 1_000), 300_000)

/**
 * Looks through the runs that have ended, again and again. What is to be removed is read from the store each time, and
 * what others remove is passed over, so that any number of servers may do this, and nothing is lost with one of them.
 */
export const removeEnded = (
  store: Pick<Shape, "now" | "countRuns" | "removeEnded" | "removeLeftSteps">,
  retentionMillis: number
): Effect.Effect<never> => {
  const paced = Effect.fnUntraced(function* <A>(transaction: Effect.Effect<A, StoreError>) {
    const clock = yield* Clock.Clock
    const began = clock.monotonicTimeNanosUnsafe()
    const value = yield* transaction
    const took = Number(clock.monotonicTimeNanosUnsafe() - began) / 1_000_000
    yield* Effect.sleep(Math.min(Math.max(took * restFactor, shortestRestMillis), longestRestMillis))
    return value
  })

  const removeLeftSteps = Effect.gen(function* () {
    while (yield* paced(store.removeLeftSteps(room))) {}
  })

  /** Where there are runs that have ended. */
  const places = Effect.map(store.countRuns(undefined), (counts) => {
    const found = new Map<string, Pick<Removable, "namespace" | "status">>()
    for (const { namespace, status } of counts) {
      if (isTerminal(status)) found.set(`${status} ${namespace}`, { namespace, status })
    }
    return found.values()
  })

  const pass = Effect.gen(function* () {
    const endedBy = (yield* store.now) - retentionMillis
    yield* removeLeftSteps
    let removed = 0
    for (const place of yield* places) {
      let after: Cursor | undefined
      do {
        const which = after === undefined ? { ...place, endedBy } : { ...place, endedBy, after }
        const removal = yield* paced(store.removeEnded(which, room))
        removed += removal.removed
        if (removal.stepsLeft) yield* removeLeftSteps
        after = removal.next
      } while (after !== undefined)
    }
    if (removed > 0) yield* Effect.logDebug(`Removed ${removed} runs that had ended`)
    return pauseOf(retentionMillis)
  })

  return pass.pipe(
    Effect.catch((error) => Effect.as(logStoreError(error), retryMillis)),
    Effect.flatMap(Effect.sleep),
    Effect.forever
  )
}
