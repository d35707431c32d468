/** The database with a past that the benchmark makes is one that a server could have written. */
import { DatabaseSync } from "node:sqlite"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { fill } from "../../bench/fill.ts"
import * as SqliteStore from "../../src/store/sqlite/SqliteStore.ts"
import { Store } from "../../src/store/Store.ts"
import { noWants, see } from "../contract/store/fixtures.ts"
import { temporaryFile } from "./temporary.ts"

describe("a filled database", () => {
  it.live("has all indexes, and runs as they are when they have ended and while they sleep", () =>
    Effect.gen(function* () {
      const file = yield* temporaryFile
      yield* fill(file, { finished: 50, sleeping: 20 })
      const db = new DatabaseSync(file)
      assert.strictEqual(db.prepare("PRAGMA integrity_check").get()?.integrity_check, "ok")
      const made = db.prepare("SELECT name, sql FROM sqlite_schema ORDER BY name").all()
      db.close()
      const empty = `${file}-empty`
      yield* Effect.provide(Effect.asVoid(Store), Layer.fresh(SqliteStore.layer(empty)), { local: true })
      const other = new DatabaseSync(empty)
      assert.deepStrictEqual(made, other.prepare("SELECT name, sql FROM sqlite_schema ORDER BY name").all())
      other.close()

      yield* Effect.gen(function* () {
        const store = yield* Store
        const where = { namespace: "default", taskQueue: "bench", workflowType: "bench-steps" }
        assert.deepStrictEqual(yield* store.countRuns(undefined), [
          { ...where, status: "SLEEPING", count: 20 },
          { ...where, status: "COMPLETED", count: 50 }
        ])
        for (const [status, steps] of [
          ["COMPLETED", 5],
          ["SLEEPING", 1]
        ] as const) {
          const { items, total } = yield* store.listRuns({ namespace: "default", status }, { limit: 9, count: true })
          assert.strictEqual(total, status === "COMPLETED" ? 50 : 20)
          for (const { runId } of items) {
            const { runs, steps: waits } = yield* see({ ...noWants, runs: new Set([runId]), waits: new Set([runId]) })
            const history = (yield* store.history(runId, 0, 1e6)).steps
            assert.deepStrictEqual([runs[0]?.stepCount, history.length], [steps, steps])
            assert.deepStrictEqual(waits, status === "SLEEPING" ? history : [])
          }
        }
      }).pipe(Effect.provide(SqliteStore.layer(file)))
    })
  )
})
