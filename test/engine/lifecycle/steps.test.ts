import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as RetryPolicy from "../../../src/RetryPolicy.ts"
import { detail, makeWorld, payload, read, refusal, unleased } from "./World.ts"

const twice = RetryPolicy.make({ maximumAttempts: 2, initialInterval: 100 })

describe("beginning a step", () => {
  it.effect("numbers the names of a run in the order they are first begun", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const { run } = world.running()
      world.batch([world.beginCommand(run, "a"), world.beginCommand(run, "b"), world.beginCommand(run, "a")])
      world.begin(run, "c")
      assert.deepStrictEqual(
        world.history(run).map(({ attempt, name, position }) => [name, position, attempt]),
        [
          ["a", 1, 1],
          ["b", 2, 1],
          ["c", 3, 1]
        ]
      )
      assert.strictEqual(world.run(run).stepCount, 3)
    })
  )

  it.effect("runs a step that was begun and not ended once more as the same attempt", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const { run, workerId } = world.running()
      const first = world.begin(run, "a")
      world.now += 60_000
      const lease = Number(world.claim(workerId)?.lease)
      const second = world.begin({ ...run, lease }, "a")
      assert.isTrue(first.execute)
      assert.isTrue(second.execute)
      assert.strictEqual(second.step.stepId, first.step.stepId)
      assert.strictEqual(second.step.attempt, 1)
    })
  )

  it.effect("completes the step that has the id, if its output came along, once", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const { run } = world.running()
      const command = world.beginCommand(run, "a", { output: payload(42) })
      for (let time = 0; time < 2; time++) {
        const { execute, step } = world.send(command)
        assert.isFalse(execute)
        assert.strictEqual(step.startedAt, step.finishedAt)
        assert.deepInclude(step, {
          stepId: command.stepId,
          status: "COMPLETED",
          sequence: 1
        })
        assert.strictEqual(read(step.output), 42)
      }
      assert.deepInclude(world.run(run), { stepCount: 1, sequence: 1 })
      // another that was executed ahead comes too late, or is another's attempt
      const other = world.begin(run, "b").step
      for (const name of ["a", "b"]) {
        const { execute, step } = world.send(world.beginCommand(run, name, { output: payload(43) }))
        assert.strictEqual(execute, name === "b")
        assert.strictEqual(step.stepId, name === "a" ? command.stepId : other.stepId)
      }
      assert.strictEqual(world.run(run).sequence, 1)
      refusal(world.try({ ...command, lease: 99 }), "PreconditionFailed", "")
      const nap = world.beginCommand(run, "c", { kind: "SLEEP", output: payload(42) })
      refusal(world.try(nap), "InvalidArgument", "FUNCTION")
      assert.strictEqual(world.run(run).stepCount, 2)
    })
  )

  it.effect("answers a completed step with its output", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const { run } = world.running()
      world.complete(run, world.begin(run, "a").step.stepId, 42)
      for (const of of [run, unleased(run)]) {
        const { execute, step } = world.begin(of, "a")
        assert.isFalse(execute)
        assert.strictEqual(read(step.output), 42)
      }
    })
  )

  it.effect("answers a step that failed for good with its failure and does not run it again", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const { run } = world.running()
      const error = { code: "Conflict", message: "sold out", nonRetryable: true, metadata: { a: "b" } } as const
      const { retry } = world.fail(run, world.begin(run, "a").step.stepId, error)
      assert.isFalse(retry)
      for (const of of [run, unleased(run)]) {
        const { execute, step } = world.begin(of, "a")
        assert.isFalse(execute)
        assert.strictEqual(step.status, "FAILED")
        assert.deepStrictEqual(step.error, detail(error))
      }
      assert.strictEqual(world.attempts(run, "a").length, 1)
    })
  )

  it.effect("refuses another kind under the same name, an empty name, and a run that is not there", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const { run } = world.running()
      world.begin(run, "a")
      const error = refusal(
        world.try(world.beginCommand(run, "a", { kind: "SLEEP" })),
        "PreconditionFailed",
        "non-deterministic"
      )
      assert.include(error.message, "FUNCTION")
      assert.include(error.message, "SLEEP")
      refusal(world.try(world.beginCommand(run, "")), "InvalidArgument", "step_name")
      refusal(world.try(world.beginCommand({ ...run, namespace: "other" }, "b")), "NotFound")
      refusal(world.try(world.beginCommand(unleased({ ...run, runId: world.start() }), "b")), "PreconditionFailed")
      refusal(
        world.try(world.beginCommand(run, "b", { retryPolicy: { maximumAttempts: -1, nonRetryableErrors: [] } })),
        "InvalidArgument",
        "maximumAttempts"
      )
    })
  )

  it.effect("resolves the policy from the step's, then the run's, then the default", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const { run } = world.running(RetryPolicy.make({ maximumAttempts: 9, initialInterval: 7 }))
      world.begin(run, "a", { retryPolicy: RetryPolicy.make({ maximumAttempts: 3 }) })
      assert.deepStrictEqual(world.history(run)[0]?.retryPolicy, {
        ...RetryPolicy.standard,
        maximumAttempts: 3,
        initialIntervalMillis: 7
      })
    })
  )
})

describe("ending a step", () => {
  it.effect("keeps the first output, and answers a repeat with the completed step", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const { run } = world.running()
      const { stepId } = world.begin(run, "a").step
      const first = world.complete(run, stepId, 1).step
      const second = world.complete(run, stepId, 2).step
      assert.strictEqual(first.status, "COMPLETED")
      assert.strictEqual(read(second.output), 1)
      assert.strictEqual(second.sequence, 1)
      refusal(
        world.try({ _tag: "FailStep", ...run, stepId, error: detail(), nextStepId: world.id() }),
        "PreconditionFailed",
        "COMPLETED"
      )
      assert.strictEqual(read(world.history(run)[0]?.output), 1)
    })
  )

  it.effect("gives each step that ends for good the next number", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const { run } = world.running()
      const [a, b, c] = ["a", "b", "c"].map((name) => world.begin(run, name).step.stepId)
      world.complete(run, String(c))
      world.fail(run, String(a), { nonRetryable: true })
      world.fail(run, String(b))
      assert.deepStrictEqual(
        world.history(run).map(({ name, sequence, status }) => [name, status, sequence]),
        [
          ["a", "FAILED", 2],
          ["b", "PENDING", undefined],
          ["c", "COMPLETED", 1]
        ]
      )
      assert.strictEqual(world.run(run).sequence, 2)
      assert.isTrue(world.run(run).stepFailed)
    })
  )

  it.effect("refuses a worker whose lease is lost, and a run that nobody runs", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const { run, workerId } = world.running()
      const { stepId } = world.begin(run, "a").step
      world.now += 60_000
      const lease = Number(world.claim(workerId)?.lease)
      const complete = { _tag: "CompleteStep", ...run, stepId, output: payload(1) } as const
      const error = refusal(world.try(complete), "PreconditionFailed")
      assert.deepStrictEqual(error.metadata, { "kagzi.lease": "lost" })
      assert.strictEqual(world.history(run)[0]?.status, "RUNNING")
      world.send({ ...complete, lease })
      world.send({ _tag: "ReleaseRun", ...run, lease })
      refusal(world.try({ ...complete, lease }), "PreconditionFailed")
      refusal(world.try({ _tag: "CompleteStep", ...unleased(run), stepId, output: payload(1) }), "PreconditionFailed")
    })
  )

  it.effect("knows steps only in their own run", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const { run } = world.running()
      const other = world.running()
      const { stepId } = world.begin(other.run, "a").step
      refusal(world.try({ _tag: "CompleteStep", ...run, stepId, output: payload(1) }), "NotFound", "step")
    })
  )
})

describe("a step that is tried again", () => {
  it.effect("gets a pending next attempt, and the run stays with its worker", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const { run } = world.running(twice)
      const { stepId } = world.begin(run, "a").step
      const { retry, step } = world.fail(run, stepId)
      assert.isTrue(retry)
      assert.strictEqual(step.status, "PENDING")
      assert.strictEqual(step.attempt, 2)
      assert.strictEqual(step.dueAt, world.now + 100)
      assert.notStrictEqual(step.stepId, stepId)
      assert.strictEqual(world.run(run).status, "RUNNING")
      assert.deepStrictEqual(
        world.attempts(run, "a").map(({ attempt, error, status }) => [attempt, status, error?.message]),
        [
          [1, "FAILED", "it broke"],
          [2, "PENDING", undefined]
        ]
      )
    })
  )

  it.effect("begins when it is due and not before, and fails for good when no attempt is left", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const { run } = world.running(twice)
      const next = world.fail(run, world.begin(run, "a").step.stepId).step
      const early = world.begin(run, "a")
      assert.isFalse(early.execute)
      assert.strictEqual(early.step.dueAt, next.dueAt)
      world.now += 100
      const due = world.begin(run, "a")
      assert.isTrue(due.execute)
      assert.strictEqual(due.step.stepId, next.stepId)
      assert.strictEqual(due.step.status, "RUNNING")
      assert.isUndefined(due.step.dueAt)
      const last = world.fail(run, next.stepId)
      assert.isFalse(last.retry)
      assert.strictEqual(last.step.sequence, 1)
    })
  )

  it.effect("answers a repeated failure as the first time", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const { run } = world.running(twice)
      const { stepId } = world.begin(run, "a").step
      const first = world.fail(run, stepId)
      const repeated = world.fail(run, stepId)
      assert.isTrue(repeated.retry)
      assert.strictEqual(repeated.step.stepId, first.step.stepId)
      world.now += 100
      world.begin(run, "a")
      world.fail(run, first.step.stepId)
      const last = world.fail(run, first.step.stepId)
      assert.isFalse(last.retry)
      assert.strictEqual(last.step.sequence, 1)
      assert.strictEqual(world.attempts(run, "a").length, 2)
      assert.strictEqual(world.run(run).sequence, 1)
    })
  )

  it.effect("releases the run of a peer without a lease until the attempt is due", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const { run: leased, workerId } = world.running(twice)
      const run = unleased(leased)
      const { stepId } = world.begin(run, "a").step
      const { step } = world.fail(run, stepId)
      assert.strictEqual(world.run(run).status, "PENDING")
      assert.strictEqual(world.run(run).dueAt, step.dueAt)
      refusal(world.try(world.beginCommand(run, "b")), "PreconditionFailed", "PENDING")
      assert.isUndefined(world.claim(workerId))
      world.now += 100
      assert.isDefined(world.claim(workerId))
      assert.isTrue(world.begin(run, "a").execute)
      refusal(world.try({ _tag: "CompleteStep", ...run, stepId, output: payload(1) }), "PreconditionFailed", "FAILED")
    })
  )
})

describe("a step whose branch lost a race", () => {
  it.effect("never ends, gets no number, and holds nothing up", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const { run, workerId } = world.running()
      const sleep = world.begin(run, "nap", { kind: "SLEEP", sleep: { millis: 100 } }).step
      const { step } = world.send({ _tag: "CancelStep", ...run, stepId: sleep.stepId })
      assert.isTrue(step.cancelled)
      assert.strictEqual(step.status, "FAILED")
      assert.strictEqual(step.error?.metadata["kagzi.cancelled"], "true")
      assert.isUndefined(step.dueAt)
      assert.isUndefined(step.sequence)
      assert.deepStrictEqual(world.send({ _tag: "CancelStep", ...run, stepId: sleep.stepId }).step, step)
      world.now += 100
      refusal(world.try({ _tag: "SuspendRun", ...run }), "PreconditionFailed", "waits for nothing")
      world.send({ _tag: "ReleaseRun", ...run })
      const lease = Number(world.claim(workerId)?.lease)
      const { execute } = world.begin({ ...run, lease }, "nap", { kind: "SLEEP", sleep: { millis: 100 } })
      assert.isFalse(execute)
      assert.isUndefined(world.history(run)[0]?.sequence)
      assert.isFalse(world.run(run).stepFailed)
    })
  )

  it.effect("keeps what it ended with", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const { run } = world.running()
      const { stepId } = world.begin(run, "a").step
      world.complete(run, stepId, 7)
      const { step } = world.send({ _tag: "CancelStep", ...run, stepId })
      assert.isTrue(step.cancelled)
      assert.strictEqual(step.status, "COMPLETED")
      assert.strictEqual(step.sequence, 1)
      assert.strictEqual(read(step.output), 7)
    })
  )

  it.effect("takes its pending retry with it, whichever attempt is named", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const { run } = world.running(twice)
      const { stepId } = world.begin(run, "a").step
      const next = world.fail(run, stepId).step
      const { step } = world.send({ _tag: "CancelStep", ...run, stepId })
      assert.strictEqual(step.stepId, next.stepId)
      assert.isTrue(step.cancelled)
      assert.isFalse(world.begin(run, "a").execute)
      refusal(
        world.try({ _tag: "CompleteStep", ...run, stepId: next.stepId, output: payload(1) }),
        "PreconditionFailed",
        "cancelled"
      )
    })
  )
})
