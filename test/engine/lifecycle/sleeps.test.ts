import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { BeginStep } from "../../../src/engine/Command.ts"
import * as RetryPolicy from "../../../src/RetryPolicy.ts"
import { longestWaitMillis } from "../../../src/Run.ts"
import { detail, makeWorld, payload, read, refusal, unleased } from "./World.ts"

const nap = (sleep: NonNullable<BeginStep["sleep"]>) => ({ kind: "SLEEP", sleep }) as const

describe("a sleep begun with its timer", () => {
  it.effect("waits to the millisecond and is completed by asking when it is due", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const { run } = world.running()
      const begun = world.begin(run, "nap", nap({ millis: 1 }))
      assert.isFalse(begun.execute)
      assert.strictEqual(begun.step.status, "RUNNING")
      assert.strictEqual(begun.step.dueAt, world.now + 1)
      world.now += 1
      const { execute, step } = world.begin(run, "nap", nap({ millis: 1 }))
      assert.isFalse(execute)
      assert.strictEqual(step.status, "COMPLETED")
      assert.strictEqual(step.sequence, 1)
      assert.strictEqual(read(step.output), null)
    })
  )

  it.effect("keeps its first time when it is begun again", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const { run } = world.running()
      const { dueAt } = world.begin(run, "nap", nap({ millis: 100 })).step
      world.now += 60
      assert.strictEqual(world.begin(run, "nap", nap({ millis: 100 })).step.dueAt, dueAt)
    })
  )

  it.effect("ends at once when there is nothing to wait for", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const { run } = world.running()
      const sleeps = [{ millis: 0 }, { until: world.now }, { until: world.now - 5_000 }, { until: -1 }]
      for (const [index, sleep] of sleeps.entries()) {
        const { execute, step } = world.begin(run, `nap${index}`, nap(sleep))
        assert.isFalse(execute)
        assert.strictEqual(step.status, "COMPLETED")
        assert.strictEqual(step.sequence, index + 1)
      }
      assert.strictEqual(world.run(run).stepCount, sleeps.length)
    })
  )

  it.effect("is never shorter than asked for", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const { run } = world.running()
      assert.strictEqual(world.begin(run, "nap", nap({ millis: 0.25 })).step.dueAt, world.now + 1)
    })
  )

  it.effect("lasts at most ten years and is not negative", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const { run } = world.running()
      const tooLong = [
        { millis: longestWaitMillis + 1 },
        { until: world.now + longestWaitMillis + 1 },
        { millis: -1 },
        { millis: Number.NaN },
        { until: Number.POSITIVE_INFINITY }
      ]
      for (const sleep of tooLong) refusal(world.try(world.beginCommand(run, "x", nap(sleep))), "InvalidArgument")
      const longest = world.begin(run, "nap", nap({ millis: longestWaitMillis })).step
      assert.strictEqual(longest.dueAt, world.now + longestWaitMillis)
      refusal(world.try(world.beginCommand(run, "y", { sleep: { millis: 1 } })), "InvalidArgument", "SLEEP")
    })
  )

  it.effect("ends by its timer only", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const { run } = world.running()
      const { stepId } = world.begin(run, "nap", nap({ millis: 10 })).step
      refusal(world.try({ _tag: "CompleteStep", ...run, stepId, output: payload(1) }), "PreconditionFailed", "not due")
      refusal(
        world.try({ _tag: "FailStep", ...run, stepId, error: detail(), nextStepId: world.id() }),
        "PreconditionFailed",
        "SLEEP"
      )
    })
  )
})

describe("a claim", () => {
  it.effect("ends the due sleeps in the order of their times, and leaves other waits", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const { run, workerId } = world.running(RetryPolicy.make({ initialInterval: 150 }))
      world.begin(run, "second", nap({ millis: 200 }))
      world.begin(run, "first", nap({ millis: 100 }))
      world.begin(run, "third", nap({ millis: 200 }))
      world.begin(run, "later", nap({ millis: 201 }))
      world.fail(run, world.begin(run, "retried").step.stepId)
      const lost = world.begin(run, "lost", nap({ millis: 50 })).step
      world.send({ _tag: "CancelStep", ...run, stepId: lost.stepId })
      world.send({ _tag: "SuspendRun", ...run })
      assert.strictEqual(world.run(run).dueAt, world.now + 100)
      world.now += 200
      const lease = Number(world.claim(workerId)?.lease)
      assert.deepStrictEqual(
        world.history(run).map(({ name, sequence, status }) => [name, status, sequence]),
        [
          ["second", "COMPLETED", 2],
          ["first", "COMPLETED", 1],
          ["third", "COMPLETED", 3],
          ["later", "RUNNING", undefined],
          ["retried", "PENDING", undefined],
          ["lost", "FAILED", undefined]
        ]
      )
      assert.isTrue(world.begin({ ...run, lease }, "retried").execute)
    })
  )
})

describe("Sleep of a peer without a lease", () => {
  const begun = Effect.gen(function* () {
    const world = yield* makeWorld
    const { run: leased, workerId } = world.running()
    const run = unleased(leased)
    const { execute, step } = world.begin(run, "nap", { kind: "SLEEP" })
    assert.isTrue(execute)
    const sleep = (millis: number) => world.try({ _tag: "SleepStep", ...run, stepId: step.stepId, millis })
    return { world, run, workerId, step, sleep }
  })

  it.effect("parks the run until the sleep is due, and only then completes it", () =>
    Effect.gen(function* () {
      const { run, sleep, world, workerId } = yield* begun
      sleep(500)
      assert.strictEqual(world.run(run).status, "SLEEPING")
      assert.strictEqual(world.run(run).dueAt, world.now + 500)
      world.now += 499
      assert.isUndefined(world.claim(workerId))
      world.now += 1
      assert.isDefined(world.claim(workerId))
      const again = world.begin(run, "nap", { kind: "SLEEP" })
      assert.isFalse(again.execute)
      assert.strictEqual(again.step.status, "COMPLETED")
    })
  )

  it.effect("makes the run claimable at once when there is nothing to wait for", () =>
    Effect.gen(function* () {
      const { run, sleep, world, workerId } = yield* begun
      sleep(0)
      assert.strictEqual(world.run(run).status, "PENDING")
      assert.isDefined(world.claim(workerId))
      assert.isFalse(world.begin(run, "nap", { kind: "SLEEP" }).execute)
    })
  )

  it.effect("keeps the first time when the call is repeated, before and after a crash", () =>
    Effect.gen(function* () {
      const { run, sleep, step, world, workerId } = yield* begun
      sleep(90_000)
      const dueAt = world.run(run).dueAt
      world.now += 10
      assert.strictEqual(sleep(90_000)._tag, "Success")
      assert.strictEqual(world.run(run).dueAt, dueAt)
      assert.strictEqual(world.history(run)[0]?.dueAt, dueAt)
      assert.isDefined(dueAt)
      world.now = dueAt
      world.claim(workerId)
      assert.strictEqual(world.history(run)[0]?.stepId, step.stepId)
      assert.strictEqual(sleep(90_000)._tag, "Success")
      assert.strictEqual(world.run(run).status, "RUNNING")
    })
  )

  it.effect("is not skipped by a crash between BeginStep and Sleep", () =>
    Effect.gen(function* () {
      const { run, sleep, step, world, workerId } = yield* begun
      world.now += 60_000
      assert.isDefined(world.claim(workerId))
      const again = world.begin(run, "nap", { kind: "SLEEP" })
      assert.isTrue(again.execute)
      assert.strictEqual(again.step.stepId, step.stepId)
      sleep(1_000)
      assert.strictEqual(world.run(run).dueAt, world.now + 1_000)
    })
  )

  it.effect("is refused for what is not there, has ended, or is not a sleep", () =>
    Effect.gen(function* () {
      const { run, sleep, world } = yield* begun
      refusal(sleep(-1), "InvalidArgument")
      refusal(sleep(longestWaitMillis + 1), "InvalidArgument", "10 years")
      const unknown = { ...run, runId: world.id() }
      refusal(world.try({ _tag: "SleepStep", ...unknown, stepId: world.id(), millis: 1 }), "NotFound", "workflow")
      refusal(world.try({ _tag: "SleepStep", ...run, stepId: world.id(), millis: 1 }), "NotFound", "step")
      const { stepId } = world.begin(run, "code").step
      refusal(world.try({ _tag: "SleepStep", ...run, stepId, millis: 1 }), "PreconditionFailed", "FUNCTION")
      world.send({ _tag: "CancelRun", ...run })
      refusal(sleep(1), "PreconditionFailed", "CANCELLED")
    })
  )

  it.effect("does not park the run of a worker with a lease", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const { run } = world.running()
      const { stepId } = world.begin(run, "nap", { kind: "SLEEP" }).step
      const { step } = world.send({ _tag: "SleepStep", ...run, stepId, millis: 5 })
      assert.strictEqual(step.dueAt, world.now + 5)
      assert.strictEqual(world.run(run).status, "RUNNING")
    })
  )
})
