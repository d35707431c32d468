import { assert, it } from "@effect/vitest"
import { DateTime, Effect, Exit, Random, Schema } from "effect"
import { Step, Workflow } from "../../src/index.ts"
import { crashEverywhere } from "../support/harness.ts"

const Timed = Workflow.make("timed", { taskQueue: "timed", output: Schema.Boolean })

it.live("time, chance and ids read the same on every replay, in every branch", () =>
  crashEverywhere(
    Timed,
    () =>
      Timed.implement(
        Effect.fn(function* () {
          const sample = Effect.gen(function* () {
            const now = DateTime.toEpochMillis(yield* Workflow.now)
            return `${now} ${yield* Workflow.uuid} ${yield* Random.nextInt}`
          })
          // What was seen the first time is recorded by a step, and seen again in each later pass.
          const stable = (name: string) =>
            Effect.gen(function* () {
              const seen = yield* sample
              return seen === (yield* Step.run(name, Effect.succeed(seen)))
            })
          const first = yield* stable("first")
          yield* Workflow.sleep("3 millis")
          const branches = yield* Workflow.all(
            [stable("second"), Effect.andThen(Workflow.sleep("2 millis"), stable("third")), stable("fourth")],
            { concurrency: "unbounded" }
          )
          yield* Workflow.sleep("1 milli")
          return first && branches.every(Boolean) && (yield* stable("last"))
        })
      ),
    undefined,
    ({ exit }) => assert.deepStrictEqual(exit, Exit.succeed(true))
  )
)
