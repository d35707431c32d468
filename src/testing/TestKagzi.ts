/**
 * Workflows under test: a whole server and a worker in this process, without ports or files, in virtual time.
 *
 * **Example**
 *
 * ```ts
 * it.effect("ships a month later", () =>
 *   Effect.gen(function* () {
 *     const run = yield* ProcessOrder.start(input)
 *     yield* TestKagzi.skip("30 days")
 *     assert.deepStrictEqual(yield* run.result, expected)
 *   }).pipe(Effect.provide(TestKagzi.layer({ workflows: [ProcessOrderLive] }))))
 * ```
 */
import { Duration, Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import * as Engine from "../engine/Engine.ts"
import { KagziClient } from "../KagziClient.ts"
import type { KagziError } from "../KagziError.ts"
import * as Unary from "../protocol/unary.ts"
import type * as RetryPolicy from "../RetryPolicy.ts"
import * as InProcess from "../server/inProcess.ts"
import * as SqliteStore from "../store/sqlite/SqliteStore.ts"
import * as Worker from "../Worker.ts"
import type * as Workflow from "../Workflow.ts"

/** What is under test, and how its worker is set up. */
export interface Options<W extends Workflow.Implementation.Any>
  extends Omit<Worker.Options<W>, "taskQueue" | "workflows" | "namespace"> {
  /** At least one. The services of their steps are requirements of the layer: give it the real ones or others. */
  readonly workflows: readonly [W, ...ReadonlyArray<W>]
  readonly defaultStepRetry?: RetryPolicy.RetryPolicy
}

/**
 * A client of a fresh server, with a worker for those workflows.
 *
 * **Details**
 *
 * Nothing happens by the real clock: under `it.effect` sleeps, retries and schedules wait until the test lets time pass
 * with `skip`. Under `it.live` they take as long as they say.
 */
export const layer = <W extends Workflow.Implementation.Any>(
  options: Options<W>
): Layer.Layer<KagziClient, KagziError, Workflow.Implementation.Services<W>> => {
  const [first] = options.workflows
  return Worker.layer({
    ...options,
    taskQueue: first.definition.taskQueue,
    gracePeriod: options.gracePeriod ?? 0
  }).pipe(
    Layer.provideMerge(KagziClient.layerProtocol),
    Layer.provide(Unary.layer),
    Layer.provide(InProcess.layer),
    Layer.provide(Layer.orDie(Layer.provide(engine, SqliteStore.layerMemory))),
    Layer.fresh
  )
}

const day = 86_400_000

// No worker is lost here and no poll either; without signs of life all virtual time is the workflows' own.
const engine = Engine.layer({
  heartbeatMillis: 20 * day,
  staleMillis: 21 * day,
  leaseMillis: 22 * day,
  pollTimeoutMillis: 20 * day
})

/** Turns of the event loop after which everything that can be done without time passing has been done. */
const turnsToRest = 50

const settle = Effect.forEach(Array.from({ length: turnsToRest }), () => Effect.yieldNow, { discard: true })

/**
 * Lets virtual time pass, with everything that happens in it, in order. Without a duration it only lets finish what
 * needs no time.
 *
 * **Gotchas**
 *
 * Needs the TestClock of `it.effect`. Steps that wait for something outside of Effect, such as a real network, are not
 * waited for.
 */
export const skip = (duration: Duration.Input = 0): Effect.Effect<void> =>
  Effect.gen(function* () {
    yield* settle
    let left = Duration.toMillis(Duration.fromInputUnsafe(duration))
    while (left > 0) {
      const next = Math.min(left, longestLeap)
      yield* TestClock.adjust(next)
      yield* settle
      left -= next
    }
  })

// What is started by one timer may set the next, which must not be leapt over.
const longestLeap = 86_400_000
