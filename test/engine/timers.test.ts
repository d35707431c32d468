import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import type { StepKind } from "../../src/Run.ts"
import { type Bench, claim, makeBench, register, running, settle, start } from "./Bench.ts"
import { detail, payload } from "./lifecycle/World.ts"

const patient = { staleMillis: 10_000_000, pollTimeoutMillis: 10_000_000 }

interface Held {
  readonly namespace: string
  readonly runId: string
  readonly lease?: number
}

const begin = Effect.fnUntraced(function* (
  { engine }: Bench,
  run: Held,
  name: string,
  kind: StepKind,
  sleep?: { readonly millis: number }
) {
  const stepId = yield* engine.newId
  const timer = sleep === undefined ? {} : { sleep }
  return (yield* engine.execute({ _tag: "BeginStep", ...run, stepId, name, kind, input: payload(null), ...timer })).step
})

/** Asserts that a waiter gets its run when that much time has passed, and not a millisecond before. */
const arrivesAfter = Effect.fnUntraced(function* <A, E>(fiber: Fiber.Fiber<A, E>, millis: number) {
  yield* TestClock.adjust(millis - 1)
  assert.isUndefined(fiber.pollUnsafe(), "not early")
  yield* TestClock.adjust(1)
  yield* settle
  assert.isDefined(fiber.pollUnsafe(), "not late")
  return yield* Fiber.join(fiber)
})

describe("an idle server", () => {
  it.effect("wakes a sleeping run at its millisecond", () =>
    Effect.gen(function* () {
      const bench = yield* makeBench(patient)
      const workerId = yield* register(bench)
      const run = yield* running(bench, workerId)
      yield* begin(bench, run, "nap", "SLEEP", { millis: 3_600_000 })
      yield* bench.engine.execute({ _tag: "SuspendRun", ...run })
      const waiting = yield* Effect.forkChild(claim(bench, workerId))
      const task = yield* arrivesAfter(waiting, 3_600_000)
      assert.strictEqual(task?.history[0]?.status, "COMPLETED")
      assert.strictEqual(task?.claimedAt, 3_600_000)
    })
  )

  it.effect("hands out a delayed retry and an expired lease at their milliseconds", () =>
    Effect.gen(function* () {
      const bench = yield* makeBench(patient)
      const workerId = yield* register(bench)
      const { namespace, runId } = yield* running(bench, workerId)
      const run = { namespace, runId }
      const { stepId } = yield* begin(bench, run, "a", "FUNCTION")
      const error = detail({ retryAfterMillis: 700 })
      const nextStepId = yield* bench.engine.newId
      yield* bench.engine.execute({ _tag: "FailStep", ...run, stepId, error, nextStepId })
      const retried = yield* Effect.forkChild(claim(bench, workerId))
      assert.strictEqual((yield* arrivesAfter(retried, 700))?.run.runId, runId)
      const expired = yield* Effect.forkChild(claim(bench, workerId))
      assert.strictEqual((yield* arrivesAfter(expired, 60_000))?.lease, 3)
    })
  )

  it.effect("wakes waiters earlier when something earlier comes up", () =>
    Effect.gen(function* () {
      const bench = yield* makeBench(patient)
      const workerId = yield* register(bench)
      const late = yield* running(bench, workerId)
      const early = yield* running(bench, workerId)
      yield* begin(bench, late, "nap", "SLEEP", { millis: 50_000 })
      yield* bench.engine.execute({ _tag: "SuspendRun", ...late })
      const waiting = yield* Effect.forkChild(claim(bench, workerId))
      yield* settle
      yield* begin(bench, early, "nap", "SLEEP", { millis: 100 })
      yield* bench.engine.execute({ _tag: "SuspendRun", ...early })
      assert.strictEqual((yield* arrivesAfter(waiting, 100))?.run.runId, early.runId)
    })
  )

  it.effect("wakes many runs that are due together for as many waiters", () =>
    Effect.gen(function* () {
      const bench = yield* makeBench(patient)
      const workerId = yield* register(bench)
      for (let count = 0; count < 10; count++) {
        const run = yield* running(bench, workerId)
        yield* begin(bench, run, "nap", "SLEEP", { millis: 1_000 })
        yield* bench.engine.execute({ _tag: "SuspendRun", ...run })
      }
      const waiting = yield* Effect.forEach(Array(10).keys(), () => Effect.forkChild(claim(bench, workerId)))
      yield* settle
      yield* TestClock.adjust(1_000)
      const tasks = yield* Effect.forEach(waiting, Fiber.join)
      assert.strictEqual(new Set(tasks.map((task) => task?.run.runId)).size, 10)
    })
  )

  it.effect("takes the runs of a silent worker away after thirty seconds", () =>
    Effect.gen(function* () {
      const bench = yield* makeBench()
      yield* TestClock.adjust(7_000)
      const silent = yield* register(bench)
      const run = yield* running(bench, silent)
      yield* TestClock.adjust(20_000)
      const alive = yield* register(bench)
      const waiting = yield* Effect.forkChild(claim(bench, alive))
      const task = yield* arrivesAfter(waiting, 10_000)
      assert.strictEqual(task?.run.runId, run.runId)
      const failure = yield* Effect.flip(bench.engine.execute({ _tag: "Heartbeat", workerId: silent }))
      assert.strictEqual(failure._tag, "NotFound")
      yield* bench.engine.execute({ _tag: "Heartbeat", workerId: alive })
    })
  )

  it.effect("does nothing while nothing is due", () =>
    Effect.gen(function* () {
      const bench = yield* makeBench(patient)
      const workerId = yield* register(bench)
      const waiting = yield* Effect.forkChild(claim(bench, workerId))
      yield* settle
      bench.control.transactions.length = 0
      yield* TestClock.adjust(5_000_000)
      assert.deepStrictEqual(bench.control.transactions, [])
      yield* start(bench)
      assert.isDefined(yield* Fiber.join(waiting))
    })
  )
})

describe("waiting for the end of a run", () => {
  it.effect("answers when it has ended, with its output", () =>
    Effect.gen(function* () {
      const bench = yield* makeBench()
      const run = yield* running(bench, yield* register(bench))
      const waiting = yield* Effect.forkChild(bench.engine.awaitRun("default", run.runId, 30_000))
      yield* settle
      assert.isUndefined(waiting.pollUnsafe())
      yield* bench.engine.execute({ _tag: "CompleteRun", ...run, output: payload(5) })
      const ended = yield* Fiber.join(waiting)
      assert.strictEqual(ended.status, "COMPLETED")
      assert.deepStrictEqual(ended.output, payload(5))
      assert.strictEqual((yield* bench.engine.awaitRun("default", run.runId, 30_000)).status, "COMPLETED")
    })
  )

  it.effect("answers with the unfinished run when the time is over", () =>
    Effect.gen(function* () {
      const bench = yield* makeBench()
      const { runId } = yield* start(bench)
      assert.strictEqual((yield* bench.engine.awaitRun("default", runId, 0)).status, "PENDING")
      const waiting = yield* Effect.forkChild(bench.engine.awaitRun("default", runId, 2_000))
      const run = yield* arrivesAfter(waiting, 2_000)
      assert.strictEqual(run.status, "PENDING")
    })
  )

  it.effect("fails for a run that is not there", () =>
    Effect.gen(function* () {
      const bench = yield* makeBench()
      const { runId } = yield* start(bench)
      const failure = yield* Effect.flip(bench.engine.awaitRun("other", runId, 1_000))
      assert.strictEqual(failure._tag, "NotFound")
    })
  )
})
