/** Statements that are sent together, one of which can't be, or fails. */
import { assert, describe, it } from "@effect/vitest"
import * as PgConnection from "@effect/sql-pg/PgConnection"
import { Effect } from "effect"
import { begin, opening, pipeline } from "../../src/store/postgres/pipeline.ts"
import { parse } from "../../src/store/postgres/url.ts"
import { id, noChanges, noWants, runOf, stepOf } from "../contract/store/fixtures.ts"
import { emptyDatabase, query } from "../support/postgres.ts"
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

describe("statements that are sent together with BEGIN", () => {
  for (const [what, first, rows] of [
    ["are a transaction", begin, 1],
    ["are not carried out where it fails", { sql: "SELECT 1 / 0", params: [] }, 0]
  ] as const) {
    it.live(what, () =>
      Effect.gen(function* () {
        const url = yield* emptyDatabase
        yield* query(url, "CREATE TABLE written (n int)")
        const settings = parse(url)
        if (settings._tag === "Failure") return assert.fail(settings.failure)
        const connection = yield* PgConnection.make({ ...settings.success.connection, ssl: false })
        const write = { sql: "INSERT INTO public.written VALUES (1)", params: [] }
        const statements = [first, ...opening([]).slice(1), write, { sql: "COMMIT", params: [] }]
        const written = yield* Effect.exit(pipeline(connection, statements))
        assert.strictEqual(written._tag, rows === 1 ? "Success" : "Failure")
        assert.lengthOf(yield* query(url, "SELECT n FROM written"), rows)
      }).pipe(Effect.scoped)
    )
  }
})
