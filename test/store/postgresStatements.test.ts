/** How much one statement takes: PostgreSQL refuses messages and values of a gigabyte. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import type { Payload } from "../../src/Run.ts"
import { Loaded } from "../../src/store/postgres/Loaded.ts"
import { combined } from "../../src/store/postgres/combined.ts"
import { statementsOf } from "../../src/store/postgres/save.ts"
import type { Changes } from "../../src/store/Store.ts"
import { endedRun, id, noChanges, noWants, runOf, stepOf } from "../contract/store/fixtures.ts"
import { emptyDatabase } from "../support/postgres.ts"
import { open } from "./counting.ts"

const mebibyte = 1_048_576
const text = "x".repeat(mebibyte)
const count = 100
const numbers = Array.from({ length: count }, (_, index) => index + 1)
const failure = {
  code: "Internal",
  message: text,
  nonRetryable: true,
  subject: "",
  subjectId: "",
  metadata: {}
} as const
const payload = { data: new TextEncoder().encode("1"), metadata: { text } }

const large: ReadonlyArray<readonly [string, Partial<Changes>]> = [
  ["failed runs", { updateRuns: numbers.map((n) => runOf(n, { status: "FAILED", error: failure })) }],
  ["failed steps", { updateSteps: numbers.map((n) => stepOf(n, { status: "FAILED", error: failure })) }],
  [
    "metadata of inputs",
    { insertRuns: numbers.map((n) => runOf(n)), inputs: numbers.map((n) => ({ runId: id(n), payload })) }
  ],
  ["metadata of steps", { insertSteps: numbers.map((n) => stepOf(n, { input: payload })) }],
  ["metadata of schedules", { scheduleInputs: numbers.map((n) => ({ scheduleId: id(n), payload })) }]
]

describe("a transaction that writes much", () => {
  for (const [what, changes] of large) {
    it(`writes ${what} in several statements, each with what it has room for`, () => {
      const statements = combined(statementsOf(noWants, { ...noChanges, ...changes }, new Loaded()))
      const sizes = statements.map(({ params }) => {
        let bytes = 0
        for (const { value } of params as unknown as ReadonlyArray<{ readonly value: ReadonlyArray<unknown> }>) {
          for (const item of value) if (typeof item === "string") bytes += Buffer.byteLength(item)
        }
        return bytes
      })
      assert.isAbove(Math.max(...sizes), 5 * mebibyte)
      assert.isBelow(Math.max(...sizes), 65 * mebibyte)
      assert.isAtLeast(
        sizes.reduce((sum, size) => sum + size, 0),
        count * mebibyte
      )
    })
  }
})

describe("starts that one statement has no room for", () => {
  it.live("take ids that have become free in the same transaction, and leave later starts as they are", () =>
    Effect.gen(function* () {
      const store = yield* open(yield* emptyDatabase, { poolSize: 3 })
      const large = { data: new Uint8Array(34 * mebibyte), metadata: {} }
      const start = (numbers: ReadonlyArray<number>, input: Payload, ended: Changes["updateRuns"] = []) => {
        const insertRuns = numbers.map((n) => runOf(n, { externalId: `order-${n % 10}` }))
        const externalIds = insertRuns.map(({ externalId }) => ({ namespace: "default", externalId }))
        const inputs = insertRuns.map(({ runId }) => ({ runId, payload: input }))
        return store.transact({ ...noWants, externalIds }, () => ({
          changes: { ...noChanges, updateRuns: ended, insertRuns, inputs },
          value: undefined
        }))
      }
      yield* start([1], { data: new Uint8Array(), metadata: {} })
      yield* start([11, 12], large, [endedRun(1, { externalId: "order-1" })])
      yield* start([13, 14], { data: new Uint8Array(), metadata: {} })
      const kept = yield* store.getInput(id(12))
      assert.strictEqual(Option.getOrThrow(kept).data.byteLength, 34 * mebibyte)
      assert.deepStrictEqual(
        (yield* store.countRuns(undefined)).map(({ count, status }) => [status, count]),
        [
          ["PENDING", 4],
          ["COMPLETED", 1]
        ]
      )
    }).pipe(Effect.scoped)
  )
})
