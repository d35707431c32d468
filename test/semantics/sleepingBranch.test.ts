import { assert, it } from "@effect/vitest"
import { Effect, Exit, Schema } from "effect"
import { Step, Workflow } from "../../src/index.ts"
import { crashEverywhere, inVirtualTime } from "../support/harness.ts"

const Beside = Workflow.make("beside", { taskQueue: "beside", output: Schema.Array(Schema.String) })

it.effect("a branch that sleeps holds up no branch that works", () =>
  inVirtualTime(
    crashEverywhere(
      Beside,
      (ledger) =>
        Beside.implement(() =>
          Workflow.all(
            [
              Effect.gen(function* () {
                yield* Workflow.sleep("10 minutes")
                return yield* Step.run("late", ledger.note("late"))
              }),
              Effect.gen(function* () {
                yield* Step.run("one", ledger.note("one"))
                yield* Effect.sleep("1 minute")
                return yield* Step.run("two", ledger.note("two"))
              })
            ],
            { concurrency: "unbounded" }
          )
        ),
      undefined,
      ({ exit, ledger }) => {
        assert.deepStrictEqual(exit, Exit.succeed(["late", "two"]))
        assert.isBelow(ledger.entries.indexOf("two"), ledger.entries.indexOf("late"))
      }
    )
  )
)
