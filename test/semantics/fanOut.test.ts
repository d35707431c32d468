import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Schema } from "effect"
import { Step, Workflow } from "../../src/index.ts"
import { crashEverywhere } from "../support/harness.ts"

const Batch = Workflow.make("batch", {
  taskQueue: "batch",
  // how long each item takes, in milliseconds
  input: Schema.Array(Schema.Int),
  output: Schema.Array(Schema.String)
})

const orders = [
  [0, 5, 10],
  [0, 10, 5],
  [5, 0, 10],
  [10, 0, 5],
  [5, 10, 0],
  [10, 5, 0]
]

describe("a fan-out under one step name gives each item its own result", () => {
  it.live.each(orders)("when the items take %i, %i and %i ms", ([...delays]) =>
    crashEverywhere(
      Batch,
      (ledger) =>
        Batch.implement((input) =>
          Step.forEach(
            "process-item",
            input,
            (delay, index) => Effect.delay(ledger.note(`item ${index} after ${delay}`), delay),
            { concurrency: "unbounded" }
          )
        ),
      delays,
      ({ exit, ledger, steps }) => {
        assert.deepStrictEqual(exit, Exit.succeed(delays.map((delay, index) => `item ${index} after ${delay}`)))
        assert.deepStrictEqual(steps.map(({ name }) => name).sort(), [
          "process-item@1.0",
          "process-item@1.1",
          "process-item@1.2"
        ])
        assert.isTrue(steps.every(({ status }) => status === "COMPLETED"))
        assert.isAtMost(ledger.entries.length, 6)
      }
    )
  )

  it.live("when fewer run at a time than there are, and each does several things", () =>
    crashEverywhere(
      Batch,
      (ledger) =>
        Batch.implement((input) =>
          Workflow.forEach(
            input,
            Effect.fn(function* (delay) {
              const first = yield* Step.run("first", Effect.delay(ledger.note(`first ${delay}`), delay))
              const second = yield* Step.run("second", ledger.note(`second ${delay}`))
              return `${first}, ${second}`
            }),
            { concurrency: 2 }
          )
        ),
      [6, 1, 3],
      ({ exit, steps }) => {
        assert.deepStrictEqual(exit, Exit.succeed([6, 1, 3].map((delay) => `first ${delay}, second ${delay}`)))
        assert.strictEqual(steps.length, 6)
      }
    )
  )

  it.live("and the body sees them end in the same order on every replay", () =>
    crashEverywhere(
      Batch,
      () =>
        Batch.implement(
          Effect.fn(function* (input) {
            const order: Array<number> = []
            yield* Workflow.forEach(
              input,
              (delay) =>
                Effect.andThen(
                  Step.run("work", Effect.delay(Effect.void, delay)),
                  Effect.sync(() => order.push(delay))
                ),
              { concurrency: "unbounded" }
            )
            yield* Workflow.sleep("1 milli")
            const seen = yield* Step.run("order", Effect.succeed(order.join()))
            return [seen === order.join() ? "same" : `${seen} at first, then ${order.join()}`]
          })
        ),
      [12, 0, 6],
      ({ exit }) => assert.deepStrictEqual(exit, Exit.succeed(["same"]))
    )
  )
})
