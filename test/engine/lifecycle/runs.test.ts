import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Command } from "../../../src/engine/Command.ts"
import * as RetryPolicy from "../../../src/RetryPolicy.ts"
import { detail, makeWorld, payload, read, refusal, unleased } from "./World.ts"

describe("starting a run", () => {
  it.effect("makes a pending run that is due at once, and its namespace", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const runId = world.start({ namespace: "default", version: "" })
      const run = world.run({ runId })
      assert.strictEqual(run.status, "PENDING")
      assert.strictEqual(run.version, "1")
      assert.strictEqual(run.dueAt, world.now)
      assert.strictEqual(read(world.read(runId).input), "input")
    })
  )

  it.effect("refuses empty names and a policy that makes no sense", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      for (const field of ["namespace", "externalId", "taskQueue", "workflowType"] as const) {
        refusal(world.try(world.startCommand({ [field]: "" })), "InvalidArgument", "must not be empty")
      }
      const retryPolicy = RetryPolicy.make({ backoffCoefficient: 0.5 })
      refusal(world.try(world.startCommand({ retryPolicy })), "InvalidArgument", "backoffCoefficient")
      assert.deepStrictEqual(world.changes?.insertNamespaces, [])
    })
  )

  it.effect("gives the run that is there for the same id, in one batch as in two", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const commands = [1, 2, 3].map(() => world.startCommand({ externalId: "a" }))
      const replies = world.batch(commands).map((reply) => reply._tag === "Success" && reply.success)
      const runId = commands[0]?.runId
      assert.deepStrictEqual(replies, [
        { runId, alreadyExists: false },
        { runId, alreadyExists: true },
        { runId, alreadyExists: true }
      ] as typeof replies)
      assert.strictEqual(world.changes?.insertRuns.length, 1)
      assert.deepStrictEqual(world.send(world.startCommand({ externalId: "a" })), {
        runId: String(runId),
        alreadyExists: true
      })
    })
  )

  it.effect("makes a new run when the earlier one has ended, or does what is asked instead", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const earlier = world.start({ externalId: "a" })
      refusal(world.try(world.startCommand({ externalId: "a", ifExists: "reject" })), "Conflict")
      world.send({ _tag: "CancelRun", namespace: "default", runId: earlier })
      refusal(world.try(world.startCommand({ externalId: "a", ifExists: "reject" })), "Conflict")
      assert.strictEqual(world.start({ externalId: "a", ifExists: "return-finished" }), earlier)
      const later = world.start({ externalId: "a" })
      assert.notStrictEqual(later, earlier)
      assert.strictEqual(world.start({ externalId: "a" }), later)
    })
  )

  it.effect("replaces a run that ends in the same batch", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const runId = world.start({ externalId: "a" })
      const next = world.startCommand({ externalId: "a" })
      world.batch([{ _tag: "CancelRun", namespace: "default", runId }, next])
      assert.strictEqual(world.run(next).status, "PENDING")
      assert.strictEqual(world.run({ runId }).status, "CANCELLED")
    })
  )

  it.effect("is refused in a disabled namespace", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const runId = world.start()
      const workerId = world.register()
      world.disableNamespace("default")
      refusal(world.try(world.startCommand()), "PreconditionFailed", "disabled")
      refusal(world.try(world.claimCommand(workerId)), "PreconditionFailed", "disabled")
      world.send({ _tag: "CancelRun", namespace: "default", runId })
      refusal(
        world.try({ _tag: "RetryRun", namespace: "default", runId, newRunId: world.id() }),
        "PreconditionFailed",
        "disabled"
      )
    })
  )
})

describe("ending a run", () => {
  it.effect("stores the output of a run that completes, and answers a repeat under the same lease", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const { run, workerId } = world.running()
      const command: Command = { _tag: "CompleteRun", ...run, output: payload(1) }
      assert.deepStrictEqual(world.send(command), { status: "COMPLETED" })
      assert.deepStrictEqual(world.send({ ...command, output: payload(2) }), { status: "COMPLETED" })
      refusal(world.try({ ...command, ...unleased(run), lease: run.lease + 1 }), "PreconditionFailed")
      const { _tag, output, ...rest } = command
      refusal(world.try({ _tag, output, ...unleased(rest) }), "PreconditionFailed", "COMPLETED")
      const ended = world.read(run.runId)
      assert.strictEqual(read(ended.output), 1)
      assert.strictEqual(ended.workerId, workerId)
      assert.strictEqual(ended.finishedAt, world.now)
      assert.isUndefined(ended.wakeUpAt)
      assert.isUndefined(world.run(run).dueAt)
    })
  )

  it.effect("writes nothing when the run is not RUNNING", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const runId = world.start()
      const run = { namespace: "default", runId }
      const error = refusal(world.try({ _tag: "CompleteRun", ...run, output: payload(1) }), "PreconditionFailed")
      assert.deepStrictEqual(error.metadata, { "kagzi.run": "PENDING" })
      refusal(world.try({ _tag: "FailRun", ...run, error: detail() }), "PreconditionFailed")
      assert.deepStrictEqual(world.changes?.outputs, [])
      assert.isUndefined(world.read(runId).output)
    })
  )

  it.effect("stores the whole error of a run that fails, and answers a repeat under the same lease", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const { run } = world.running()
      const error = detail({
        code: "Conflict",
        nonRetryable: true,
        retryAfterMillis: 5,
        subject: "s",
        subjectId: "i",
        metadata: { a: "b" }
      })
      assert.deepStrictEqual(world.send({ _tag: "FailRun", ...run, error }), { status: "FAILED" })
      assert.deepStrictEqual(world.send({ _tag: "FailRun", ...run, error: detail() }), { status: "FAILED" })
      assert.deepStrictEqual(world.read(run.runId).error, error)
    })
  )

  it.effect("tries a run again by its own policy, if it was given one", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const { run, workerId } = world.running(RetryPolicy.make({ maximumAttempts: 2, initialInterval: 100 }))
      assert.deepStrictEqual(world.send({ _tag: "FailRun", ...run, error: detail() }), { status: "PENDING" })
      assert.strictEqual(world.run(run).attempts, 2)
      assert.strictEqual(world.run(run).dueAt, world.now + 100)
      assert.isUndefined(world.claim(workerId))
      world.now += 100
      const again = world.claim(workerId)
      assert.strictEqual(again?.run.attempts, 2)
      const held = { ...run, lease: Number(again?.lease) }
      assert.deepStrictEqual(world.send({ _tag: "FailRun", ...held, error: detail() }), { status: "FAILED" })
    })
  )

  it.effect("does not try a run again without a policy, for good errors, or after a step that failed for good", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const policy = RetryPolicy.make({ maximumAttempts: 5 })
      const plain = world.running()
      assert.strictEqual(world.send({ _tag: "FailRun", ...plain.run, error: detail() }).status, "FAILED")
      const final = world.running(policy)
      const error = detail({ nonRetryable: true })
      assert.strictEqual(world.send({ _tag: "FailRun", ...final.run, error }).status, "FAILED")
      const { run } = world.running(policy)
      world.fail(run, world.begin(run, "a").step.stepId, { nonRetryable: true })
      assert.strictEqual(world.send({ _tag: "FailRun", ...run, error: detail() }).status, "FAILED")
    })
  )

  it.effect("cancels a run in every state before its end, and refuses everything afterwards", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const pending = { namespace: "default", runId: world.start() }
      assert.deepStrictEqual(world.send({ _tag: "CancelRun", ...pending }), { status: "CANCELLED" })

      const { run } = world.running()
      const step = world.begin(run, "a").step
      const sleep = world.begin(run, "nap", { kind: "SLEEP", sleep: { millis: 1_000 } }).step
      world.send({ _tag: "SuspendRun", ...run })
      assert.strictEqual(world.run(run).status, "SLEEPING")
      assert.deepStrictEqual(world.send({ _tag: "CancelRun", ...unleased(run) }), { status: "CANCELLED" })

      for (const of of [run, unleased(run)]) {
        const commands: ReadonlyArray<Command> = [
          { _tag: "CancelRun", ...of },
          { _tag: "TerminateRun", ...of, reason: "x" },
          world.beginCommand(of, "b"),
          world.beginCommand(of, "a"),
          { _tag: "CompleteStep", ...of, stepId: step.stepId, output: payload(1) },
          { _tag: "FailStep", ...of, stepId: step.stepId, error: detail(), nextStepId: world.id() },
          { _tag: "SleepStep", ...of, stepId: sleep.stepId, millis: 5 },
          { _tag: "CancelStep", ...of, stepId: sleep.stepId },
          { _tag: "SuspendRun", ...of },
          { _tag: "ReleaseRun", ...of },
          { _tag: "CompleteRun", ...of, output: payload(1) },
          { _tag: "FailRun", ...of, error: detail() }
        ]
        for (const command of commands) {
          const error = refusal(world.try(command), "PreconditionFailed")
          assert.deepStrictEqual(error.metadata, { "kagzi.run": "CANCELLED" }, command._tag)
          assert.deepStrictEqual(Object.values(world.changes ?? {}).flat(), [], command._tag)
        }
      }
    })
  )

  it.effect("terminates with the reason and a mark, and only what is there", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const run = { namespace: "default", runId: world.start() }
      refusal(world.try({ _tag: "TerminateRun", ...run, namespace: "other", reason: "" }), "NotFound")
      refusal(world.try({ _tag: "TerminateRun", ...run, runId: world.id(), reason: "" }), "NotFound")
      assert.deepStrictEqual(world.send({ _tag: "TerminateRun", ...run, reason: "stuck" }), { status: "FAILED" })
      assert.strictEqual(world.run(run).error?.message, "stuck")
      assert.strictEqual(world.run(run).error?.metadata["kagzi.terminated"], "true")
      refusal(world.try({ _tag: "TerminateRun", ...run, reason: "" }), "PreconditionFailed", "FAILED")
    })
  )

  it.effect("retries an ended run as a new one with the same work and an id of its own", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const retryPolicy = RetryPolicy.make({ maximumAttempts: 7 })
      const runId = world.start({ externalId: "a", version: "v2", retryPolicy })
      const first = world.id()
      refusal(
        world.try({ _tag: "RetryRun", namespace: "default", runId, newRunId: first }),
        "PreconditionFailed",
        "not ended"
      )
      const second = world.id()
      // The second retry copies an input that is itself being copied in the same batch.
      world.batch([
        { _tag: "CancelRun", namespace: "default", runId },
        { _tag: "RetryRun", namespace: "default", runId, newRunId: first },
        { _tag: "CancelRun", namespace: "default", runId: first },
        { _tag: "RetryRun", namespace: "default", runId: first, newRunId: second }
      ])
      for (const newRunId of [first, second]) {
        const made = world.read(newRunId)
        assert.strictEqual(read(made.input), "input")
        assert.strictEqual(made.version, "v2")
        assert.strictEqual(made.externalId, `a~${newRunId}`)
        assert.deepStrictEqual(world.run(made).retryPolicy, retryPolicy)
      }
      assert.strictEqual(world.run({ runId: second }).status, "PENDING")
    })
  )
})

describe("parking and releasing a run", () => {
  it.effect("parks until the earliest wait, and answers a repeat the same", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const { run, workerId } = world.running()
      refusal(world.try({ _tag: "SuspendRun", ...run }), "PreconditionFailed", "waits for nothing")
      world.begin(run, "long", { kind: "SLEEP", sleep: { millis: 5_000 } })
      world.begin(run, "short", { kind: "SLEEP", sleep: { millis: 2_000 } })
      const wakeUpAt = world.now + 2_000
      assert.deepStrictEqual(world.send({ _tag: "SuspendRun", ...run }), { suspended: true, wakeUpAt })
      assert.deepStrictEqual(world.send({ _tag: "SuspendRun", ...run }), { suspended: true, wakeUpAt })
      const parked = world.read(run.runId)
      assert.strictEqual(parked.status, "SLEEPING")
      assert.strictEqual(parked.wakeUpAt, wakeUpAt)
      assert.strictEqual(parked.workerId, workerId)
      refusal(world.try(world.beginCommand(run, "x")), "PreconditionFailed", "lease")
    })
  )

  it.effect("does not park when a wait is due", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const { run } = world.running()
      world.begin(run, "nap", { kind: "SLEEP", sleep: { millis: 10 } })
      world.now += 10
      assert.deepStrictEqual(world.send({ _tag: "SuspendRun", ...run }), { suspended: false, wakeUpAt: world.now })
      assert.strictEqual(world.run(run).status, "RUNNING")
    })
  )

  it.effect("gives a run back, claimable at once, and answers a repeat", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const { run, workerId } = world.running()
      assert.deepStrictEqual(world.send({ _tag: "ReleaseRun", ...run }), { status: "PENDING" })
      assert.deepStrictEqual(world.send({ _tag: "ReleaseRun", ...run }), { status: "PENDING" })
      const again = world.claim(workerId)
      assert.strictEqual(again?.run.runId, run.runId)
      assert.strictEqual(again?.lease, run.lease + 1)
      assert.strictEqual(world.run(run).expiries, 0)
      refusal(world.try({ _tag: "ReleaseRun", ...run }), "PreconditionFailed", "lease")
    })
  )
})
