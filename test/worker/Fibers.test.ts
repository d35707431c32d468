import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Scope } from "effect"
import * as Fibers from "../../src/worker/Fibers.ts"

describe("fibers on their own", () => {
  it.effect("start at once, and are waited for, those too that come meanwhile", () =>
    Effect.gen(function* () {
      const fibers = yield* Fibers.make
      const [first, second] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
      const ended: Array<string> = []
      const until = (deferred: Deferred.Deferred<void>, name: string) =>
        Effect.andThen(
          Deferred.await(deferred),
          Effect.sync(() => ended.push(name))
        )
      yield* fibers.run(Effect.sync(() => ended.push("at once")))
      assert.deepStrictEqual(ended, ["at once"])
      yield* fibers.run(until(first, "first"))
      const waiting = yield* Effect.forkChild(fibers.awaitEmpty, { startImmediately: true })
      yield* fibers.run(until(second, "second"))
      yield* Deferred.succeed(first, undefined)
      yield* Effect.yieldNow
      assert.isUndefined(waiting.pollUnsafe())
      yield* Deferred.succeed(second, undefined)
      yield* Fiber.join(waiting)
      assert.deepStrictEqual(ended, ["at once", "first", "second"])
    })
  )

  it.effect("are interrupted when the scope closes", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const fibers = yield* Scope.provide(Fibers.make, scope)
      let interrupted = 0
      const never = Effect.onInterrupt(Effect.never, () => Effect.sync(() => interrupted++))
      yield* fibers.run(never)
      yield* fibers.run(never)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(interrupted, 2)
    })
  )
})
