/** Adds up the differences that transactions leave in `run_counts`, so that reading the numbers stays cheap. */
import { Effect, Latch, type Scope } from "effect"
import type { Changes } from "../Store.ts"
import type { Read } from "./queries/reads.ts"

/** Transactions after which it is worth it: each leaves a few rows. */
const worthwhile = 250

/** The shortest time between two compactions, in milliseconds. */
const pauseMillis = 1_000

// one server at a time; the others leave it to that one
const compact: Read<void> = {
  sql: `WITH gone AS (
      DELETE FROM run_counts WHERE ctid = ANY(ARRAY(SELECT ctid FROM run_counts LIMIT 50000))
        AND (SELECT pg_try_advisory_xact_lock(hashtextextended('kagzi counts ' || current_schema(), 0)))
      RETURNING namespace, task_queue, workflow_type, status, runs
    )
    INSERT INTO run_counts (namespace, task_queue, workflow_type, status, runs)
    SELECT namespace, task_queue, workflow_type, status, sum(runs) FROM gone
    GROUP BY namespace, task_queue, workflow_type, status HAVING sum(runs) <> 0`,
  params: [],
  decode: () => undefined
}

export interface Compaction {
  /** To be told of every transaction. */
  readonly committed: (changes: Changes) => void
  /** To be told when runs were removed. */
  readonly removed: () => void
}

export const compactCounts = Effect.fnUntraced(function* (
  read: (question: Read<void>) => Effect.Effect<void, unknown>
): Effect.fn.Return<Compaction, never, Scope.Scope> {
  const bell = Latch.makeUnsafe()
  let transactions = 0
  yield* Effect.forkScoped(
    Effect.gen(function* () {
      yield* bell.await
      bell.closeUnsafe()
      transactions = 0
      yield* Effect.ignore(read(compact))
      yield* Effect.sleep(pauseMillis)
    }).pipe(Effect.forever)
  )
  const counted = () => {
    if (++transactions >= worthwhile) bell.openUnsafe()
  }
  return {
    committed: ({ insertRuns, updateRuns }) => {
      if (insertRuns.length + updateRuns.length > 0) counted()
    },
    removed: counted
  }
})
