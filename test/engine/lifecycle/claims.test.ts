import { assert, describe, it } from "@effect/vitest"
import { Effect, Result } from "effect"
import * as RetryPolicy from "../../../src/RetryPolicy.ts"
import { makeWorld, refusal } from "./World.ts"

describe("claiming a run", () => {
  it.effect("hands it out under a new lease and notes who has it since when", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const { run, workerId } = world.running()
      const row = world.run(run)
      assert.strictEqual(row.status, "RUNNING")
      assert.strictEqual(row.workerId, workerId)
      assert.strictEqual(row.leaseEpoch, 1)
      assert.strictEqual(row.dueAt, world.now + 60_000)
      assert.strictEqual(row.claimedAt, world.now)
      assert.strictEqual(row.attempts, 1)
      const startedAt = world.now
      world.send({ _tag: "ReleaseRun", ...run })
      world.now += 5
      assert.strictEqual(world.claim(workerId)?.claimedAt, world.now)
      assert.strictEqual(world.run(run).startedAt, startedAt)
      assert.strictEqual(world.run(run).attempts, 1)
    })
  )

  it.effect("gives each of several claims in one batch a run of its own, the earliest due first", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const workerId = world.register()
      const runs = [1, 2, 3].map(() => {
        world.now += 1
        return world.start()
      })
      world.start({ taskQueue: "elsewhere" })
      world.start({ workflowType: "other" })
      const command = world.claimCommand(workerId)
      const replies = world.batch([command, command, command, command])
      assert.deepStrictEqual(
        replies.map((reply) => {
          const claimed = Result.getOrThrow(reply)
          return "runs" in claimed ? claimed.runs[0]?.run.runId : undefined
        }),
        [...runs, undefined]
      )
    })
  )

  it.effect("is refused to workers that are unknown, offline, draining, or registered for other work", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      world.start()
      const workerId = world.register()
      const claim = world.claimCommand(workerId)
      refusal(world.try({ ...claim, workflowTypes: [] }), "InvalidArgument")
      refusal(world.try({ ...claim, namespace: "" }), "InvalidArgument")
      refusal(world.try({ ...claim, taskQueue: "" }), "InvalidArgument")
      refusal(world.try({ ...claim, workerId: world.id() }), "PreconditionFailed", "not registered")
      refusal(world.try({ ...claim, namespace: "other" }), "PreconditionFailed")
      refusal(world.try({ ...claim, taskQueue: "other" }), "PreconditionFailed", "task queue")
      refusal(world.try({ ...claim, workflowTypes: ["order", "other"] }), "PreconditionFailed", "other")
      world.send({ _tag: "DeregisterWorker", workerId, drain: true })
      refusal(world.try(claim), "PreconditionFailed", "draining")
      world.send({ _tag: "DeregisterWorker", workerId, drain: false })
      refusal(world.try(claim), "PreconditionFailed", "offline")
    })
  )
})

describe("a lease that runs out", () => {
  it.effect("makes the run claimable at that millisecond", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const { run, workerId } = world.running()
      world.now += 59_999
      assert.isUndefined(world.claim(workerId))
      world.now += 1
      assert.strictEqual(world.claim(workerId)?.lease, 2)
      assert.strictEqual(world.run(run).expiries, 1)
    })
  )

  it.effect("gives the run up after ten in a row and hands out the next one instead", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const { run, workerId } = world.running()
      for (let expiry = 1; expiry < 10; expiry++) {
        world.now += 60_000
        assert.strictEqual(world.claim(workerId)?.run.runId, run.runId)
      }
      world.now += 60_000
      const next = world.start()
      // Each claim of a batch brings one candidate: the first gives the run up and takes the other.
      const [first, second] = world.batch([world.claimCommand(workerId), world.claimCommand(workerId)])
      assert.strictEqual(world.run({ runId: next }).status, "RUNNING")
      assert.deepNestedInclude(first, { "success.runs[0].run.runId": next })
      assert.deepStrictEqual(second, Result.succeed({ runs: [], exhausted: false }) as typeof second)
      assert.strictEqual(world.run(run).status, "FAILED")
      assert.include(world.run(run).error?.message, "10 leases in a row ran out")
    })
  )

  it.effect("counts up to the attempts of the run's policy, but one crash never ends a run", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const expiriesUntilFailed = (maximumAttempts: number) => {
        const { run, workerId } = world.running(RetryPolicy.make({ maximumAttempts }))
        let expiries = 0
        while (world.run(run).status === "RUNNING" && expiries < 20) {
          world.now += 60_000
          world.claim(workerId)
          expiries++
        }
        world.try({ _tag: "CancelRun", ...run })
        return expiries
      }
      assert.strictEqual(expiriesUntilFailed(3), 3)
      assert.strictEqual(expiriesUntilFailed(1), 2)
      assert.strictEqual(expiriesUntilFailed(0), 20)
    })
  )

  it.effect("counts the same when its worker goes silent before that, and not when the worker gives the run back", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const { run, workerId } = world.running(RetryPolicy.make({ maximumAttempts: 3 }))
      world.send({ _tag: "DeregisterWorker", workerId, drain: false })
      for (let lost = 1; lost <= 3; lost++) {
        const next = world.register()
        assert.strictEqual(world.claim(next)?.run.runId, run.runId)
        world.now += 30_000
        world.send({ _tag: "ExpireWorkers" })
        assert.strictEqual(world.run(run).expiries, lost)
      }
      assert.isUndefined(world.claim(world.register()))
      assert.strictEqual(world.run(run).status, "FAILED")
      assert.include(world.run(run).error?.message, "3 leases in a row ran out")
    })
  )

  it.effect("counts anew after a step has ended", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const { run, workerId } = world.running(RetryPolicy.make({ maximumAttempts: 2 }))
      for (const name of ["a", "b", "c", "d"]) {
        world.now += 60_000
        const lease = Number(world.claim(workerId)?.lease)
        world.complete({ ...run, lease }, world.begin({ ...run, lease }, name).step.stepId)
        assert.strictEqual(world.run(run).expiries, 0)
      }
    })
  )

  it.effect("still belongs to its worker until someone else claims the run", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const { run } = world.running()
      world.now += 90_000
      assert.isTrue(world.begin(run, "a").execute)
    })
  )
})
