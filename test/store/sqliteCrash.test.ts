/** What is left of a store whose process was killed, and who may open it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Option } from "effect"
import * as SqliteStore from "../../src/store/sqlite/SqliteStore.ts"
import { Store } from "../../src/store/Store.ts"
import { id, runOf, write } from "../contract/store/fixtures.ts"
import { start } from "./process.ts"
import { temporaryFile } from "./temporary.ts"
import { written } from "./written.ts"

/** Opens the store for as long as the effect runs. */
const withStore = <A, E, R>(file: string, effect: Effect.Effect<A, E, R>) =>
  effect.pipe(Effect.provide(Layer.fresh(SqliteStore.layer(file)), { local: true }))

const ping = Store.use((store) => store.ping)

describe("the lock of a SQLite store", () => {
  it.live("keeps a second process out, and is gone when the first is killed", () =>
    Effect.gen(function* () {
      const file = yield* temporaryFile
      const child = yield* start("hold", file)
      yield* child.said(1)
      const error = yield* Effect.flip(withStore(file, ping))
      assert.deepStrictEqual(
        [error._tag, error.message, error.transient, error.reason],
        ["StoreError", `${file} is in use by another kagzi server`, true, "locked"]
      )
      yield* child.kill
      yield* withStore(file, ping)
    })
  )
  it.live("keeps a second store of the same process out, and leaves the first one working", () =>
    Effect.gen(function* () {
      const file = yield* temporaryFile
      yield* withStore(
        file,
        Effect.gen(function* () {
          yield* write({ insertRuns: [runOf(1)] })
          const error = yield* Effect.flip(withStore(file, ping))
          assert.strictEqual(error.message, `${file} is in use by another kagzi server`)
          yield* write({ insertRuns: [runOf(2)] })
          // closing a file lets go of all POSIX locks of the process on it, unless SQLite is careful
          const child = yield* start("write", file, "10")
          yield* child.said(1)
          assert.deepStrictEqual(child.lines(), [`failed: ${file} is in use by another kagzi server`])
        })
      )
      const store = yield* withStore(
        file,
        Store.use((store) => store.listRuns({ namespace: "default" }, { limit: 9, count: true }))
      )
      assert.strictEqual(store.total, 2)
    })
  )
})

describe("a SQLite store killed in a stream of transactions", () => {
  it.live(
    "holds exactly the acknowledged transactions and at most the one in flight, each of them whole",
    () =>
      Effect.gen(function* () {
        const file = yield* temporaryFile
        let next = 1
        // each round opens what the last kill left, so recovery is recovered from too
        for (const count of [1, 40, 300, 7, 1200]) {
          const child = yield* start("write", file, String(next))
          yield* child.said(count)
          yield* child.kill
          const acknowledged = child.lines().map(Number)
          assert.deepStrictEqual(
            acknowledged,
            acknowledged.map((_, index) => next + index)
          )
          const last = acknowledged.at(-1)!
          next = yield* withStore(
            file,
            Effect.gen(function* () {
              const store = yield* Store
              const { total } = yield* store.listRuns({ namespace: "default" }, { limit: 1, count: true })
              assert.isAtLeast(total!, last)
              assert.isAtMost(total!, last + 1)
              for (let n = 1; n <= total!; n++) {
                const { inputs, insertSteps, outputs } = written(n)
                const run = Option.getOrThrow(yield* store.getRun("default", id(n)))
                assert.deepStrictEqual([run.input, run.output], [inputs[0]!.payload, outputs[0]!.payload])
                assert.deepStrictEqual((yield* store.history(id(n), 0, 1e6)).steps, insertSteps)
              }
              return total! + 1
            })
          )
        }
      }),
    60_000
  )
})
