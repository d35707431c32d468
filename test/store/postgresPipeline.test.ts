/** Statements that are sent together, one of which can't be, or fails. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { id, noChanges, noWants, runOf, stepOf } from "../contract/store/fixtures.ts"
import { emptyDatabase } from "../support/postgres.ts"
import { open } from "./counting.ts"

describe("a transaction with a value that PostgreSQL has no room for", () => {
  it.live("leaves nothing of it behind, and the connection in order", () =>
    Effect.gen(function* () {
      const store = yield* open(yield* emptyDatabase, { poolSize: 3 })
      const insert = (attempt: number) =>
        store.transact(noWants, () => ({
          changes: {
            ...noChanges,
            insertRuns: [runOf(1)],
            insertSteps: [stepOf(1, { runId: id(1), attempt })]
          },
          value: undefined
        }))
      const failure = yield* Effect.flip(insert(2 ** 40))
      assert.isFalse(failure.transient)
      assert.deepStrictEqual(yield* store.countRuns(undefined), [])
      yield* insert(1)
      assert.deepStrictEqual(
        (yield* store.countRuns(undefined)).map(({ count }) => count),
        [1]
      )
    }).pipe(Effect.scoped)
  )
})
