import { assert, it } from "@effect/vitest"
import { Effect, Exit, Schema } from "effect"
import { Step, Workflow } from "../../src/index.ts"
import { crashEverywhere } from "../support/harness.ts"

const Loop = Workflow.make("loop", {
  taskQueue: "loop",
  input: Schema.Struct({ times: Schema.Int }),
  output: Schema.Array(Schema.String)
})

it.live("a step name that is used again and again in a loop gives each round its own result", () =>
  crashEverywhere(
    Loop,
    (ledger) =>
      Loop.implement(
        Effect.fn(function* ({ times }) {
          const results: Array<string> = []
          for (let round = 1; round <= times; round++) {
            results.push(yield* Step.run("check-status", ledger.note(`round ${round}`)))
            yield* Workflow.sleep("2 millis")
          }
          return results
        })
      ),
    { times: 3 },
    ({ exit, ledger, steps }) => {
      assert.deepStrictEqual(exit, Exit.succeed(["round 1", "round 2", "round 3"]))
      assert.deepStrictEqual(
        steps.map(({ name, status }) => `${name} ${status}`),
        [
          "check-status COMPLETED",
          "sleep COMPLETED",
          "check-status#2 COMPLETED",
          "sleep#2 COMPLETED",
          "check-status#3 COMPLETED",
          "sleep#3 COMPLETED"
        ]
      )
      // A crash makes at most one step run a second time: the one whose record was lost.
      assert.isAtMost(ledger.entries.length, 4)
    }
  )
)
