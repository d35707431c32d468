import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Schema } from "effect"
import { KagziClient, Step, Workflow } from "../../src/index.ts"
import { clientOf, Ledger, withWorker } from "../support/harness.ts"

const Cancellable = Workflow.make("cancellable", { taskQueue: "cancellable", output: Schema.String })

const lively = clientOf({ heartbeatMillis: 1_000 })

describe("cancelling a run", () => {
  it.live("interrupts the step that is being carried out, and the body around it", () =>
    Effect.gen(function* () {
      const ledger = new Ledger()
      const started = yield* Deferred.make<void>()
      const over = yield* Deferred.make<void>()
      const implementation = Cancellable.implement(() =>
        Step.run(
          "endless",
          Effect.andThen(Deferred.succeed(started, undefined), Effect.never).pipe(
            Effect.onInterrupt(() => ledger.note("step interrupted"))
          )
        ).pipe(
          Effect.onInterrupt(() => ledger.note("body interrupted")),
          Effect.onExit(() => Deferred.succeed(over, undefined))
        )
      )
      const handle = yield* Cancellable.start(undefined)
      yield* withWorker(implementation)(
        Effect.gen(function* () {
          yield* Deferred.await(started)
          assert.strictEqual(yield* handle.cancel, "CANCELLED")
          const error = yield* Effect.flip(handle.result)
          assert.strictEqual(error._tag, "WorkflowCancelled")
          yield* Deferred.await(over)
        })
      )
      assert.sameMembers(ledger.entries, ["step interrupted", "body interrupted"])
      assert.strictEqual((yield* Effect.flip(handle.cancel))._tag, "PreconditionFailed")
    }).pipe(Effect.provide(lively))
  )

  it.live("ends one that sleeps, at once", () =>
    Effect.gen(function* () {
      const ledger = new Ledger()
      const implementation = Cancellable.implement(() =>
        Effect.andThen(Workflow.sleep("1 hour"), Step.run("after", ledger.note("after")))
      )
      const handle = yield* Cancellable.start(undefined)
      yield* withWorker(implementation)(
        Effect.gen(function* () {
          while ((yield* handle.status) !== "SLEEPING") yield* Effect.sleep(1)
          assert.strictEqual(yield* handle.cancel, "CANCELLED")
          assert.strictEqual((yield* Effect.flip(handle.result))._tag, "WorkflowCancelled")
        })
      )
      assert.deepStrictEqual(ledger.entries, [])
      const described = yield* handle.describe
      assert.isUndefined(described.wakeUpAt)
    }).pipe(Effect.provide(lively))
  )
})

describe("terminating a run", () => {
  it.live("ends it as failed with the reason, and its worker goes on with others", () =>
    Effect.gen(function* () {
      const started = yield* Deferred.make<void>()
      let first = true
      const implementation = Cancellable.implement(() =>
        Step.run(
          "step",
          Effect.suspend(() => {
            if (!first) return Effect.succeed("done")
            first = false
            return Effect.andThen(Deferred.succeed(started, undefined), Effect.never)
          })
        )
      )
      const handle = yield* Cancellable.start(undefined)
      const other = yield* withWorker(implementation)(
        Effect.gen(function* () {
          yield* Deferred.await(started)
          assert.strictEqual(yield* handle.terminate("out of budget"), "FAILED")
          const error = yield* Effect.flip(handle.result)
          assert.deepInclude(error, { _tag: "WorkflowTerminated", reason: "out of budget" })
          assert.strictEqual((yield* Effect.flip(handle.terminate("again")))._tag, "PreconditionFailed")
          return yield* Effect.exit(Cancellable.execute(undefined))
        })
      )
      assert.deepStrictEqual(other, Exit.succeed("done"))
    }).pipe(Effect.provide(lively))
  )

  it.live("of which there is none is NotFound", () =>
    Effect.gen(function* () {
      const client = yield* KagziClient
      const error = yield* Effect.flip(client.workflows.terminate("01900000-0000-7000-8000-000000000000", "x"))
      assert.strictEqual(error._tag, "NotFound")
    }).pipe(Effect.provide(lively))
  )
})
