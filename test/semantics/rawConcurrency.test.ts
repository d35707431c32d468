import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Schema } from "effect"
import { Step, Workflow } from "../../src/index.ts"
import { client, crashEverywhere, execute, type Ledger } from "../support/harness.ts"

const Raw = Workflow.make("raw", { taskQueue: "raw", output: Schema.Array(Schema.String) })

const failureOf = (body: (ledger: Ledger) => Workflow.Implementation<never>) =>
  Effect.gen(function* () {
    const { exit, ledger } = yield* execute(Raw, body, undefined)
    return { message: String(Exit.isFailure(exit) ? exit.cause : "it succeeded"), ledger }
  }).pipe(Effect.provide(client))

describe("inside Effect's own concurrent combinators", () => {
  it.live("steps with names of their own keep their results", () =>
    crashEverywhere(
      Raw,
      (ledger) =>
        Raw.implement(() =>
          Effect.all(
            [
              Step.run("slow", Effect.delay(ledger.note("slow"), 4)),
              Step.run("quick", ledger.note("quick")),
              Step.run("keyed", ledger.note("keyed"), { key: "k" })
            ],
            { concurrency: "unbounded" }
          )
        ),
      undefined,
      ({ exit, steps }) => {
        assert.deepStrictEqual(exit, Exit.succeed(["slow", "quick", "keyed"]))
        assert.deepStrictEqual(steps.map(({ name }) => name).sort(), ["keyed[k]", "quick", "slow"])
      }
    )
  )

  it.live("a repeated step name ends the run with a message that names both places and the combinator to use", () =>
    Effect.gen(function* () {
      const { message } = yield* failureOf((ledger) =>
        Raw.implement(() =>
          Effect.all([Step.run("same", ledger.note("one")), Step.run("same", ledger.note("two"))], { concurrency: 2 })
        )
      )
      assert.include(message, '"same" is used by two concurrent fibers')
      assert.include(message, "Workflow.all")
      assert.strictEqual(message.split("rawConcurrency.test.ts").length, 3)
    })
  )

  it.live("a sleep without a name ends the run with a message that says what to use", () =>
    Effect.gen(function* () {
      const { message } = yield* failureOf(() =>
        Raw.implement(() => Effect.as(Effect.all([Effect.sleep(1), Effect.sleep(1)], { concurrency: 2 }), []))
      )
      assert.include(message, "unnamed sleep")
      assert.include(message, "Workflow.all")
    })
  )
})
