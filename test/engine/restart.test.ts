import { assert, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import * as Engine from "../../src/engine/Engine.ts"
import { Store } from "../../src/store/Store.ts"
import * as Stores from "../support/stores.ts"
import { type Bench, register, running, settle } from "./Bench.ts"

it.effect("a server that was away gives its workers the time they have to be heard of", () =>
  Effect.gen(function* () {
    const store = yield* Stores.open
    const engineOn = Effect.map(
      Layer.build(Layer.fresh(Engine.layer().pipe(Layer.provide(Layer.succeed(Store, store))))),
      (context) => ({ engine: Context.get(context, Engine.Engine) }) as Bench
    )
    const { run, workerId } = yield* Effect.scoped(
      Effect.gen(function* () {
        const bench = yield* engineOn
        const workerId = yield* register(bench)
        return { run: yield* running(bench, workerId), workerId }
      })
    )
    yield* TestClock.adjust("40 seconds")
    const { engine } = yield* engineOn
    yield* TestClock.adjust("29 seconds")
    yield* settle
    const held = [{ runId: run.runId, lease: run.lease }]
    const heard = yield* engine.execute({ _tag: "Heartbeat", workerId, held })
    assert.deepStrictEqual(heard.lost, [])
    yield* TestClock.adjust("30 seconds")
    yield* settle
    const gone = yield* Effect.flip(engine.execute({ _tag: "Heartbeat", workerId, held }))
    assert.strictEqual(gone._tag, "NotFound")
  })
)
