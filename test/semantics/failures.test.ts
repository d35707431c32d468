import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Schema } from "effect"
import { KagziError, RetryPolicy, Step, Workflow } from "../../src/index.ts"
import { Protocol } from "../../src/protocol/Protocol.ts"
import { client, crashEverywhere, Ledger, withWorker } from "../support/harness.ts"

class OutOfStock extends Schema.TaggedError<OutOfStock>()("OutOfStock", { sku: Schema.String, left: Schema.Int }) {}

const Order = Workflow.make("order", {
  taskQueue: "order",
  input: Schema.Struct({ sku: Schema.NonEmptyString }),
  output: Schema.Struct({ shipped: Schema.Boolean }),
  error: OutOfStock
})

const payload = (value: unknown) => ({ data: new TextEncoder().encode(JSON.stringify(value)), metadata: {} })

describe("a workflow's own failure", () => {
  it.live("reaches its caller as the class it is, after every crash", () =>
    crashEverywhere(
      Order,
      () =>
        Order.implement(
          Effect.fn(function* ({ sku }) {
            const left = yield* Step.run("count", Effect.succeed(0))
            yield* Workflow.sleep("1 milli")
            return yield* new OutOfStock({ sku, left })
          })
        ),
      { sku: "A-1" },
      ({ exit }) => assert.deepStrictEqual(exit, Exit.fail(new OutOfStock({ sku: "A-1", left: 0 })))
    )
  )

  it.live("that is a KagziError reaches it inside WorkflowFailed, with all it carries", () =>
    Effect.gen(function* () {
      const implementation = Order.implement(() =>
        Effect.fail(
          KagziError.make("Conflict", "sold twice", { subject: "order", subjectId: "7", metadata: { shop: "eu" } })
        )
      )
      const error = yield* Effect.flip(withWorker(implementation)(Order.execute({ sku: "A-1" })))
      assert.strictEqual(error._tag, "WorkflowFailed")
      if (error._tag !== "WorkflowFailed") return
      const { code, message, metadata, nonRetryable, subject, subjectId } = KagziError.toDetail(error.error)
      assert.deepStrictEqual(
        { code, message, metadata, nonRetryable, subject, subjectId },
        {
          code: "Conflict",
          message: "sold twice",
          metadata: { shop: "eu" },
          nonRetryable: true,
          subject: "order",
          subjectId: "7"
        }
      )
    }).pipe(Effect.provide(client))
  )

  it.live("that was thrown ends the run with its message", () =>
    Effect.gen(function* () {
      const implementation = Order.implement(() => Effect.die(new TypeError("x is not a function")))
      const error = yield* Effect.flip(withWorker(implementation)(Order.execute({ sku: "A-1" })))
      assert.include(error.message, "x is not a function")
    }).pipe(Effect.provide(client))
  )
})

describe("an input that does not fit the workflow's schema", () => {
  it.live("is refused before anything is sent", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Order.start({ sku: "" }, { id: "never-started" }))
      assert.strictEqual(error._tag, "InvalidArgument")
      assert.include(error.message, "sku")
      assert.strictEqual((yield* Effect.flip(Order.byId("never-started")))._tag, "NotFound")
    }).pipe(Effect.provide(client))
  )

  it.live("and comes from another client fails the run, which is not retried", () =>
    Effect.gen(function* () {
      const ledger = new Ledger()
      const implementation = Order.implement(() => Step.run("ship", Effect.as(ledger.note("ship"), { shipped: true })))
      const protocol = yield* Protocol
      const { runId } = yield* protocol.start({
        namespace: "default",
        externalId: "wrong",
        taskQueue: "order",
        workflowType: "order",
        version: "",
        input: payload({ sku: 7 }),
        retryPolicy: RetryPolicy.make({ maximumAttempts: 5, initialInterval: 1 }),
        ifExists: "use-active"
      })
      const handle = yield* Order.handle(runId)
      const error = yield* Effect.flip(withWorker(implementation)(handle.result))
      assert.strictEqual(error._tag, "WorkflowFailed")
      assert.include(error.message, "sku")
      assert.strictEqual((yield* handle.describe).attempts, 1)
      assert.deepStrictEqual(ledger.entries, [])
    }).pipe(Effect.provide(client))
  )
})

describe("a retry policy given at the start", () => {
  it.live("has the whole run tried again, with the steps that have ended kept", () =>
    Effect.gen(function* () {
      const ledger = new Ledger()
      const implementation = Order.implement(
        Effect.fn(function* () {
          yield* Step.run("reserve", ledger.note("reserve"))
          const { attempt } = yield* Workflow.info
          if (attempt < 3) return yield* KagziError.make("Unavailable", "not yet")
          return { shipped: true }
        })
      )
      const handle = yield* Order.start(
        { sku: "A-1" },
        { retryPolicy: RetryPolicy.exponential({ maximumAttempts: 3, initialInterval: "1 millis" }) }
      )
      assert.deepStrictEqual(yield* withWorker(implementation)(handle.result), { shipped: true })
      assert.deepStrictEqual(ledger.entries, ["reserve"])
      assert.strictEqual((yield* handle.describe).attempts, 3)
    }).pipe(Effect.provide(client))
  )

  it.live("that makes no sense is refused with the field named", () =>
    Effect.gen(function* () {
      for (const [field, policy] of [
        ["initialInterval", RetryPolicy.make({ initialInterval: -1 })],
        ["backoffCoefficient", RetryPolicy.make({ backoffCoefficient: 0.5 })],
        ["initialInterval", RetryPolicy.make({ initialInterval: "2 minutes", maximumInterval: "1 minute" })],
        ["maximumAttempts", RetryPolicy.make({ maximumAttempts: -2 })]
      ] as const) {
        const error = yield* Effect.flip(Order.start({ sku: "A-1" }, { retryPolicy: policy }))
        assert.strictEqual(error._tag, "InvalidArgument")
        assert.include(error.message, field)
      }
    }).pipe(Effect.provide(client))
  )
})

describe("retrying a run that has ended", () => {
  it.live("starts it anew with the same input", () =>
    Effect.gen(function* () {
      let fail = true
      const implementation = Order.implement(({ sku }) =>
        Effect.suspend(() => (fail ? Effect.fail(new OutOfStock({ sku, left: 0 })) : Effect.succeed({ shipped: true })))
      )
      const handle = yield* Order.start({ sku: "A-1" })
      const again = yield* withWorker(implementation)(
        Effect.gen(function* () {
          assert.strictEqual((yield* Effect.flip(handle.result))._tag, "OutOfStock")
          fail = false
          const retried = yield* handle.retry
          assert.notStrictEqual(retried.runId, handle.runId)
          return yield* retried.result
        })
      )
      assert.deepStrictEqual(again, { shipped: true })
    }).pipe(Effect.provide(client))
  )
})
