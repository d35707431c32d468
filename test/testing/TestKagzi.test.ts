import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Schema } from "effect"
import { KagziError, RetryPolicy, Step, Workflow } from "../../src/index.ts"
import { TestKagzi } from "../../src/testing/index.ts"

class Carrier extends Context.Service<Carrier, { readonly ship: (id: string) => Effect.Effect<string> }>()(
  "test/Carrier"
) {}

const Order = Workflow.make("order", {
  taskQueue: "orders",
  input: Schema.Struct({ id: Schema.String }),
  output: Schema.String
})

const OrderLive = Order.implement(
  Effect.fn(function* ({ id }) {
    yield* Workflow.sleep("30 days")
    return yield* Step.run(
      "ship",
      Carrier.use((carrier) => carrier.ship(id))
    )
  })
)

const carrier = Layer.succeed(Carrier, { ship: (id) => Effect.succeed(`shipped ${id}`) })

describe("a workflow under test", () => {
  it.effect("that sleeps for a month ends when the month is skipped", () =>
    Effect.gen(function* () {
      const run = yield* Order.start({ id: "7" })
      yield* TestKagzi.skip("29 days")
      assert.strictEqual(yield* run.status, "SLEEPING")
      yield* TestKagzi.skip("1 day")
      assert.strictEqual(yield* run.result, "shipped 7")
    }).pipe(Effect.provide(TestKagzi.layer({ workflows: [OrderLive] })), Effect.provide(carrier))
  )

  it.effect("retries its steps in virtual time", () => {
    let attempts = 0
    const live = Order.implement(() =>
      Step.run(
        "flaky",
        Effect.suspend(() =>
          ++attempts < 4 ? Effect.fail(KagziError.make("Unavailable", "not yet")) : Effect.succeed("done")
        ),
        { retry: RetryPolicy.fixed("6 hours") }
      )
    )
    return Effect.gen(function* () {
      const run = yield* Order.start({ id: "7" })
      yield* TestKagzi.skip("1 hour")
      assert.strictEqual(attempts, 1)
      yield* TestKagzi.skip("22 hours")
      assert.strictEqual(yield* run.result, "done")
    }).pipe(Effect.provide(TestKagzi.layer({ workflows: [live] })))
  })
})
