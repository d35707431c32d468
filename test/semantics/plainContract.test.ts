/** Workflows on a server that has none of our additions to the contract. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, References, Schema } from "effect"
import { KagziClient, Step, Workflow } from "../../src/index.ts"
import * as Unary from "../../src/protocol/unary.ts"
import * as InProcess from "../../src/server/inProcess.ts"
import { KagziServer } from "../../src/server/index.ts"
import { inVirtualTime, Ledger, withWorker } from "../support/harness.ts"
import * as Stores from "../support/stores.ts"

const client = KagziClient.layerProtocol.pipe(
  Layer.provideMerge(Unary.layerWith({ plain: true })),
  Layer.provide(InProcess.layer),
  Layer.provide(KagziServer.layerEngine({ store: Stores.serverStore })),
  Layer.provideMerge(Layer.succeed(References.MinimumLogLevel, "Error")),
  Layer.fresh
)

const Plain = Workflow.make("plain", { taskQueue: "plain", output: Schema.String })

describe("under the plain contract", () => {
  it.live("a wait until a time that is past ends", () =>
    Effect.gen(function* () {
      const ledger = new Ledger()
      const implementation = Plain.implement(
        Effect.fn(function* () {
          yield* Workflow.sleepUntil(1_000)
          return yield* Step.run("after", ledger.note("after"))
        })
      )
      const result = withWorker(implementation)(Effect.exit(Plain.execute(undefined)))
      assert.deepStrictEqual(yield* result, Exit.succeed("after"))
    }).pipe(Effect.provide(client))
  )

  it.effect("code that asks for another kind of step than it did is told so", () =>
    Effect.gen(function* () {
      const ledger = new Ledger()
      const before = Plain.implement(() => Effect.as(Workflow.sleep("nap", "1 hour"), "slept"))
      const after = Plain.implement(() => Step.run("nap", ledger.note("nap")))
      const handle = yield* Plain.start(undefined)
      yield* withWorker(before)(
        Effect.gen(function* () {
          while ((yield* handle.status) !== "SLEEPING") yield* Effect.yieldNow
        })
      )
      const error = yield* inVirtualTime(Effect.flip(withWorker(after)(handle.result)))
      assert.include(String(error), "NonDeterministic")
      assert.deepStrictEqual(ledger.entries, [])
    }).pipe(Effect.provide(client))
  )

  it.live("a sleep ends that is due while another branch works", () =>
    Effect.gen(function* () {
      const ledger = new Ledger()
      const implementation = Plain.implement(
        Effect.fn(function* () {
          const slow = Step.run("slow", Effect.delay(ledger.note("slow"), "60 millis"))
          yield* Workflow.all([slow, Workflow.sleep("nap", "10 millis")], { concurrency: 2 })
          return yield* Step.run("after", ledger.note("after"))
        })
      )
      const result = withWorker(implementation)(Effect.exit(Plain.execute(undefined)))
      assert.deepStrictEqual(yield* result, Exit.succeed("after"))
      assert.deepStrictEqual(ledger.entries, ["slow", "after"])
    }).pipe(Effect.provide(client))
  )
})
