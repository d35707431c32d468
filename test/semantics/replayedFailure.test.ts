import { assert, it } from "@effect/vitest"
import { Effect, Exit, Schema } from "effect"
import { Step, Workflow } from "../../src/index.ts"
import { crashEverywhere } from "../support/harness.ts"

class CardDeclined extends Schema.TaggedError<CardDeclined>()("CardDeclined", {
  reason: Schema.String,
  at: Schema.DateFromString
}) {}

const Payment = Workflow.make("payment", { taskQueue: "payment", output: Schema.Array(Schema.String) })

it.live("a step that failed for good fails the same on every replay, without running again", () =>
  crashEverywhere(
    Payment,
    (ledger) =>
      Payment.implement(
        Effect.fn(function* () {
          const charge = Step.run(
            "charge",
            Effect.andThen(
              ledger.note("charge"),
              Effect.fail(new CardDeclined({ reason: "expired", at: new Date(1_700_000_000_000) }))
            ),
            { error: CardDeclined, retry: { maximumAttempts: 1, nonRetryableErrors: [] } }
          )
          const told = charge.pipe(
            Effect.catchTag("CardDeclined", (error) =>
              Effect.succeed(`${error.reason} at ${error.at.toISOString()} ${error instanceof CardDeclined}`)
            )
          )
          const first = yield* told
          yield* Workflow.sleep("2 millis")
          const recorded = yield* Step.run("tell", ledger.note(first))
          return [first, recorded]
        })
      ),
    undefined,
    ({ exit, ledger, steps }) => {
      const told = "expired at 2023-11-14T22:13:20.000Z true"
      assert.deepStrictEqual(exit, Exit.succeed([told, told]))
      const charges = steps.filter(({ name }) => name === "charge")
      assert.deepStrictEqual(
        charges.map(({ attempt, status }) => `${attempt} ${status}`),
        ["1 FAILED"]
      )
      // Only a crash between the failure and its record makes the step run a second time.
      assert.isAtMost(ledger.count("charge"), 2)
    }
  )
)
