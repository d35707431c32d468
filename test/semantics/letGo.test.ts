/** What happens to bodies and steps when a worker stops while it has work. */
import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Schema } from "effect"
import { Step, Workflow } from "../../src/index.ts"
import { client, Ledger, withWorker } from "../support/harness.ts"

const Computing = Workflow.make("computing", { taskQueue: "computing", output: Schema.String })

it.live("a body whose run is given back while it computes runs no finalizer of its own", () =>
  Effect.gen(function* () {
    const ledger = new Ledger()
    const computing = yield* Deferred.make<void>()
    let go = false
    const implementation = Computing.implement(() =>
      Effect.gen(function* () {
        yield* Step.run("first", ledger.note("first"))
        yield* Deferred.succeed(computing, undefined)
        while (!go) yield* Effect.yieldNow
        yield* ledger.note("computed")
        return yield* Step.run("second", ledger.note("second"))
      }).pipe(Effect.ensuring(ledger.note("finalized")))
    )
    const handle = yield* Computing.start(undefined)
    yield* withWorker(implementation)(Deferred.await(computing))
    go = true
    while (ledger.count("computed") === 0) yield* Effect.yieldNow
    yield* Effect.yieldNow
    assert.deepStrictEqual(ledger.entries, ["first", "computed"])
    assert.strictEqual(yield* withWorker(implementation)(handle.result), "second")
    assert.deepStrictEqual(ledger.entries, ["first", "computed", "computed", "second", "finalized"])
  }).pipe(Effect.provide(client))
)

it.live("a run is given back only when its interrupted step has cleaned up", () =>
  Effect.gen(function* () {
    const ledger = new Ledger()
    const started = yield* Deferred.make<void>()
    let first = true
    const implementation = Computing.implement(() =>
      Step.run(
        "step",
        Effect.suspend(() => {
          if (!first) return ledger.note("again")
          first = false
          return Effect.andThen(Deferred.succeed(started, undefined), Effect.never).pipe(
            Effect.onInterrupt(() => Effect.delay(ledger.note("cleaned up"), "50 millis"))
          )
        })
      )
    )
    const handle = yield* Computing.start(undefined)
    yield* withWorker(implementation)(Deferred.await(started))
    assert.strictEqual(yield* withWorker(implementation)(handle.result), "again")
    assert.deepStrictEqual(ledger.entries, ["cleaned up", "again"])
  }).pipe(Effect.provide(client))
)
