/** What was seen, then written by a transaction that failed or did not, is afterwards as it is stored. */
import { assert, describe } from "@effect/vitest"
import { Effect } from "effect"
import { type Changes, Store, type Wants } from "../../../src/store/Store.ts"
import type { Case } from "./case.ts"
import { id, namespaceOf, noChanges, noWants, runOf, see, workerOf, write } from "./fixtures.ts"

/** Fails after everything else was written. */
const failing = { copyInputs: [{ runId: id(9), from: id(8) }] }

const seeAndWrite = (wants: Partial<Wants>, changes: Partial<Changes>) =>
  Store.use((store) =>
    store.transact({ ...noWants, ...wants }, (rows) => ({ changes: { ...noChanges, ...changes }, value: rows }))
  )

export const rollbacks = (test: Case) => {
  describe("what was seen before", () => {
    test(
      "a namespace is as it was after a transaction that failed, and as written after one that did not",
      Effect.gen(function* () {
        const wants = { namespaces: new Set(["default", "other"]) }
        const disabled = namespaceOf({ enabled: false })
        const other = namespaceOf({ namespace: "other" })
        const changes = { updateNamespaces: [disabled], insertNamespaces: [other] }
        yield* write({ insertNamespaces: [namespaceOf()] })
        yield* see(wants)
        yield* Effect.flip(seeAndWrite(wants, { ...changes, ...failing }))
        assert.deepStrictEqual((yield* see(wants)).namespaces, [namespaceOf()])
        yield* seeAndWrite(wants, changes)
        assert.deepStrictEqual((yield* see(wants)).namespaces, [disabled, other])
      })
    )
    test(
      "a worker is as it was after a transaction that failed, and as written after one that did not",
      Effect.gen(function* () {
        const wants = { workers: new Set([id(1), id(2)]) }
        const draining = workerOf(1, { status: "DRAINING" })
        const changes = { updateWorkers: [draining], insertWorkers: [workerOf(2)] }
        yield* write({ insertWorkers: [workerOf(1)] })
        yield* see(wants)
        yield* Effect.flip(seeAndWrite(wants, { ...changes, ...failing }))
        assert.deepStrictEqual((yield* see(wants)).workers, [workerOf(1)])
        yield* seeAndWrite(wants, changes)
        assert.deepStrictEqual((yield* see(wants)).workers, [draining, workerOf(2)])
      })
    )
    test(
      "limits are as they were after a transaction that failed, and as declared after one that did not",
      Effect.gen(function* () {
        const store = yield* Store
        const limits = Effect.map(store.occupancy("default", "orders", ["Order"], 0), (found) =>
          found.map(({ limit }) => limit)
        )
        const strict = { insertWorkers: [workerOf(1, { queueConcurrencyLimit: 1 })] }
        const lax = { updateWorkers: [workerOf(1)] }
        assert.deepStrictEqual(yield* limits, [])
        yield* Effect.flip(write({ ...strict, ...failing }))
        assert.deepStrictEqual(yield* limits, [])
        yield* write(strict)
        assert.deepStrictEqual(yield* limits, [1])
        yield* Effect.flip(write({ ...lax, ...failing }))
        assert.deepStrictEqual(yield* limits, [1])
        yield* write(lax)
        assert.deepStrictEqual(yield* limits, [])
      })
    )
    test(
      "an external id that no run has is for one active run, in that transaction and after one that failed",
      Effect.gen(function* () {
        const run = (n: number) => runOf(n, { externalId: "x" })
        const wants = { externalIds: [{ namespace: "default", externalId: "x" }] }
        yield* Effect.flip(seeAndWrite(wants, { insertRuns: [run(1), run(2)] }))
        yield* Effect.flip(seeAndWrite(wants, { insertRuns: [run(1)], ...failing }))
        yield* see(wants)
        yield* write({ insertRuns: [run(1)] })
        yield* Effect.flip(seeAndWrite(wants, { insertRuns: [run(2)] }))
        assert.deepStrictEqual((yield* see(wants)).runs, [run(1)])
      })
    )
  })
}
