import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Schema, Stream } from "effect"
import { KagziClient, Step, Workflow } from "../../src/index.ts"
import { client, inVirtualTime, Ledger, withWorker } from "../support/harness.ts"

const Changing = Workflow.make("changing", { taskQueue: "changing", output: Schema.String })

const before = Changing.implement(() =>
  Effect.gen(function* () {
    yield* Step.run("charge", Effect.succeed("charged"), { input: { amount: 10 } })
    yield* Workflow.sleep("nap", "1 hour")
    return yield* Step.run("ship", Effect.succeed("shipped"))
  })
)

/** Starts under the old code, stops the worker while the run sleeps, and goes on under the new code. */
const change = (
  after: (ledger: Ledger) => Workflow.Implementation<never>,
  old: Workflow.Implementation<never> = before
) =>
  Effect.gen(function* () {
    const ledger = new Ledger()
    const handle = yield* Changing.start(undefined)
    yield* withWorker(old)(
      Effect.gen(function* () {
        while ((yield* handle.status) !== "SLEEPING") yield* Effect.yieldNow
      })
    )
    const exit = yield* inVirtualTime(withWorker(after(ledger))(Effect.exit(handle.result)))
    const steps = yield* Stream.runCollect((yield* KagziClient).workflows.steps(handle.runId))
    return { message: String(Exit.isFailure(exit) ? exit.cause : exit.value), ledger, steps }
  }).pipe(Effect.provide(client))

describe("code that changed under a sleeping run is told, with both sides", () => {
  it.effect("when it asks for another step", () =>
    Effect.gen(function* () {
      const { ledger, message, steps } = yield* change((ledger) =>
        Changing.implement(() => Step.run("charge-card", ledger.note("charged again")))
      )
      assert.include(message, "NonDeterministic")
      assert.include(message, '"charge"')
      assert.include(message, '"charge-card"')
      assert.deepStrictEqual(ledger.entries, [])
      assert.deepStrictEqual(
        steps.map(({ name }) => name),
        ["charge", "nap"]
      )
    })
  )

  it.effect("when it gives a step another input", () =>
    Effect.gen(function* () {
      const { message } = yield* change((ledger) =>
        Changing.implement(() => Step.run("charge", ledger.note("x"), { input: { amount: 20 } }))
      )
      assert.include(message, "NonDeterministic")
      assert.include(message, '{"amount":10}')
      assert.include(message, '{"amount":20}')
    })
  )

  it.effect("when a sleep has become a step", () =>
    Effect.gen(function* () {
      const { message } = yield* change((ledger) =>
        Changing.implement(() =>
          Effect.gen(function* () {
            yield* Step.run("charge", ledger.note("x"), { input: { amount: 10 } })
            return yield* Step.run("nap", ledger.note("y"))
          })
        )
      )
      assert.include(message, "NonDeterministic")
      assert.include(message, "SLEEP")
      assert.include(message, "FUNCTION")
    })
  )

  it.effect("and code that only goes on differently is not", () =>
    Effect.gen(function* () {
      const { message } = yield* change((ledger) =>
        Changing.implement(() =>
          Effect.gen(function* () {
            yield* Step.run("charge", ledger.note("again"), { input: { amount: 10 } })
            yield* Workflow.sleep("nap", "1 hour")
            return yield* Step.run("deliver", ledger.note("delivered"))
          })
        )
      )
      assert.strictEqual(message, "delivered")
    })
  )
})

const raced = Changing.implement(() =>
  Effect.gen(function* () {
    const first = Step.run("first", Effect.succeed("first"))
    yield* Workflow.race(first, Effect.as(Workflow.sleep("limit", "1 hour"), "late"))
    yield* Workflow.sleep("nap", "1 hour")
    return "done"
  })
)

describe("code that waits for what lost a race", () => {
  it.effect("is told so, and the run does not wait for ever", () =>
    Effect.gen(function* () {
      const { message } = yield* change(
        () =>
          Changing.implement(() =>
            Effect.gen(function* () {
              const first = Step.run("first", Effect.succeed("first"))
              yield* Workflow.all([first, Workflow.sleep("limit", "1 hour")], { concurrency: 2 })
              return "both"
            })
          ),
        raced
      )
      assert.include(message, "NonDeterministic")
      assert.include(message, '"limit@1.1"')
    })
  )
})
