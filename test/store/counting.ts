/**
 * Transactions that count, as a witness of what became of them: each adds one to some runs and leaves a step with its
 * name. One that takes place twice adds two, and one that is lost leaves no step.
 */
import { assert } from "@effect/vitest"
import { Effect, Layer, type Scope } from "effect"
import * as PostgresStore from "../../src/store/postgres/PostgresStore.ts"
import { type Shape, Store, type StoreError } from "../../src/store/Store.ts"
import { id, noChanges, noWants, runOf, stepOf } from "../contract/store/fixtures.ts"
import { query } from "../support/postgres.ts"

/** A store of its own, until the scope closes. */
export const open = (url: string, options?: PostgresStore.Options): Effect.Effect<Shape, StoreError, Scope.Scope> =>
  Effect.flatMap(Layer.build(Layer.fresh(PostgresStore.layer(url, options))), (context) =>
    Effect.provide(
      Effect.map(Store, (store) => store),
      context
    )
  )

/** Makes the runs from 1 to `runs`. With `executing` every other one executes, and is known to who wrote it last. */
export const prepare = (store: Shape, runs: number, executing = false) =>
  store.transact(noWants, () => ({
    changes: {
      ...noChanges,
      insertRuns: Array.from({ length: runs }, (_, index) =>
        runOf(index + 1, executing && index % 2 === 0 ? { status: "RUNNING", workerId: id(800) } : {})
      )
    },
    value: undefined
  }))

/** Counts those runs on, and gives the count that each has then. */
export const count = (store: Shape, name: number, runs: ReadonlyArray<number>) =>
  store.transact({ ...noWants, runs: new Set(runs.map(id)) }, (rows) => ({
    changes: {
      ...noChanges,
      updateRuns: rows.runs.map((run) => ({ ...run, attempts: run.attempts + 1 })),
      insertSteps: [stepOf(100_000 + name, { runId: id(runs[0]!), name: String(name) })]
    },
    value: rows.runs.map((run) => [run.runId, run.attempts + 1] as const)
  }))

export class Witness {
  readonly acknowledged: Array<number> = []
  readonly failures: Array<StoreError> = []
  readonly #seen = new Set<string>()
  readonly #runs = new Map<number, number>()

  /** Counts one run on, and notes how that ends. */
  readonly count = (store: Shape, name: number, run: number): Effect.Effect<void> => {
    this.#runs.set(name, run)
    return Effect.match(count(store, name, [run]), {
      onFailure: (error) => {
        this.failures.push(error)
      },
      onSuccess: (counts) => {
        this.acknowledged.push(name)
        for (const [runId, value] of counts) {
          assert.isFalse(this.#seen.has(`${runId} ${value}`), "two transactions have found the same count")
          this.#seen.add(`${runId} ${value}`)
        }
      }
    })
  }

  /**
   * Fails unless the database has exactly what was acknowledged, each once. What failed has not taken place: it was
   * either rolled back or found not to be there.
   */
  readonly check = (url: string) =>
    Effect.gen({ self: this }, function* () {
      const steps = yield* query(url, "SELECT name FROM kagzi.steps")
      assert.deepStrictEqual(
        steps.map(({ name }) => Number(name)).sort((a, b) => a - b),
        this.acknowledged.toSorted((a, b) => a - b)
      )
      const expected = new Map<string, number>()
      for (const name of this.acknowledged) {
        const runId = id(this.#runs.get(name)!)
        expected.set(runId, (expected.get(runId) ?? 0) + 1)
      }
      const runs = yield* query(url, "SELECT run_id, attempts FROM kagzi.runs WHERE attempts > 0")
      assert.deepStrictEqual(new Map(runs.map(({ attempts, run_id }) => [String(run_id), Number(attempts)])), expected)
    })
}
