/** What workers do alike by every way to a server. Tests keep apart by namespace. */
import { assert, type Vitest } from "@effect/vitest"
import { Deferred, Effect, Fiber, Scope } from "effect"
import { WorkerService } from "../../gen/kagzi/v1/worker_pb.ts"
import type * as KagziError from "../../src/KagziError.ts"
import * as RetryPolicy from "../../src/RetryPolicy.ts"
import { type Held, type Notice, Protocol, type Task, type WorkerLink } from "../../src/protocol/Protocol.ts"
import * as Rpc from "../../src/protocol/Rpc.ts"
import type { Capabilities } from "./protocol.ts"
import { decoded, freshNamespace, json, nextTask, started, startRequest, workerOptions } from "./protocolRequests.ts"

const declined: KagziError.Detail = {
  code: "Unavailable",
  message: "the card was declined, 100 % sure",
  nonRetryable: true,
  subject: "card",
  subjectId: "4",
  metadata: { tag: "Declined" }
}

const call = (name: string) => ({ name, kind: "FUNCTION" as const, input: json(name) })

const sleep = (name: string, millis: number) => ({
  name,
  kind: "SLEEP" as const,
  input: json(null),
  sleep: { millis }
})

const nextNotice = (link: WorkerLink, tag: Notice["_tag"]): Effect.Effect<Notice> =>
  Effect.flatMap(link.notice, (notice) => (notice._tag === tag ? Effect.succeed(notice) : nextNotice(link, tag)))

export const workers = (it: Vitest.MethodsNonLive<Protocol | Rpc.Rpc>, { cut = false, extended }: Capabilities) => {
  /** Parks a run. What was begun again after a cut may be over by then, so that there is nothing to wait for. */
  const park = (link: WorkerLink, task: Task) =>
    Effect.catchIf(
      link.suspend(task),
      ({ _tag }) => cut && _tag === "PreconditionFailed",
      () => Effect.succeed(false)
    )

  /** Parks a run until its earliest wait is due, or gives it back where one is due by now, and takes it again. */
  const parkAndRetake = Effect.fnUntraced(function* (link: WorkerLink, task: Task) {
    if (!(yield* park(link, task))) yield* link.release(task)
    return yield* nextTask(link)
  })

  it.effect("hands a run to a worker, records its step, and gives its output to who waits for it", () =>
    Effect.gen(function* () {
      const { link, namespace, protocol, runId, task } = yield* started()
      const waiting = yield* Effect.forkChild(protocol.awaitRun(namespace, runId))
      assert.strictEqual(task.run.externalId, "order-1")
      assert.strictEqual(task.run.version, "2")
      assert.strictEqual(task.run.status, "RUNNING")
      assert.deepStrictEqual(task.run.input, json({ item: "ü" }))
      assert.lengthOf(task.history, 0)
      assert.isAbove(task.claimedAt, 0)
      assert.strictEqual(task.lease > 0, extended)

      const begun = yield* link.beginStep(task, call("charge"))
      assert.isTrue(begun.execute)
      assert.strictEqual(begun.step.status, "RUNNING")
      assert.isUndefined(begun.step.sequence)
      const done = yield* link.completeStep(task, begun.step.stepId, json(42))
      assert.strictEqual(done.step.status, "COMPLETED")
      assert.strictEqual(done.step.sequence, 1)
      const again = yield* link.beginStep(task, call("charge"))
      assert.isFalse(again.execute)
      assert.deepStrictEqual(again.step.output, json(42))
      yield* link.completeRun(task, json("done"))

      const run = yield* Fiber.join(waiting)
      assert.strictEqual(run.status, "COMPLETED")
      assert.strictEqual(decoded(run.output), "done")
      assert.strictEqual(run.workerId, link.workerId)
      const steps = yield* protocol.listSteps({ namespace, runId, name: "charge" }, {})
      assert.deepStrictEqual(
        steps.items.map((step) => [step.name, step.status, decoded(step.output)]),
        [["charge", "COMPLETED", 42]]
      )
    })
  )

  it.effect("ends a run with the failure it is given", () =>
    Effect.gen(function* () {
      const { link, namespace, protocol, runId, task } = yield* started()
      yield* link.failRun(task, declined)
      const run = yield* protocol.awaitRun(namespace, runId)
      assert.strictEqual(run.status, "FAILED")
      assert.deepStrictEqual(run.error, declined)
    })
  )

  for (const code of ["Unavailable", "Internal"] as const) {
    it.effect(`answers a step that failed for good with its failure, here ${code}, and does not run it again`, () =>
      Effect.gen(function* () {
        const { link, task } = yield* started()
        const error = { ...declined, code }
        const begun = yield* link.beginStep(task, call("charge"))
        const failed = yield* link.failStep(task, begun.step.stepId, error)
        assert.isFalse(failed.retry)
        assert.isFalse(failed.released)
        assert.deepStrictEqual(failed.step.error, error)
        const again = yield* link.beginStep(task, call("charge"))
        assert.isFalse(again.execute)
        assert.strictEqual(again.step.status, "FAILED")
        assert.deepStrictEqual(again.step.error, error)
      })
    )
  }

  it.effect("tries a failed step again as its policy says", () =>
    Effect.gen(function* () {
      const { link, task } = yield* started()
      const policy = RetryPolicy.make({ maximumAttempts: 2, initialInterval: 1, maximumInterval: 1 })
      const step = { ...call("charge"), retryPolicy: policy }
      const begun = yield* link.beginStep(task, step)
      const failed = yield* link.failStep(task, begun.step.stepId, { ...declined, nonRetryable: false })
      assert.isTrue(failed.retry)
      assert.strictEqual(failed.released, !extended)
      assert.strictEqual(failed.step.status, "PENDING")
      assert.strictEqual(failed.step.attempt, 2)
      assert.isDefined(failed.step.dueAt)
      assert.isAtLeast(failed.dueIn ?? -1, 0)
      const retaken = yield* failed.released ? nextTask(link) : parkAndRetake(link, task)
      assert.isAtLeast(retaken.lease, task.lease)
      const second = yield* link.beginStep(retaken, step)
      assert.isTrue(second.execute)
      assert.notStrictEqual(second.step.stepId, begun.step.stepId)
      const last = yield* link.failStep(retaken, second.step.stepId, declined)
      assert.isFalse(last.retry)
    })
  )

  it.effect("says of a parked run when it goes on", () =>
    Effect.gen(function* () {
      const { link, namespace, protocol, runId, task } = yield* started()
      const { step } = yield* link.beginStep(task, sleep("long", 1_000_000))
      assert.isTrue(yield* link.suspend(task))
      const parked = yield* protocol.getRun(namespace, runId)
      assert.strictEqual(parked.status, "SLEEPING")
      if (extended) assert.strictEqual(parked.wakeUpAt, step.dueAt)
      else assert.isDefined(parked.wakeUpAt)
    })
  )

  it.effect("parks a run until its sleep is over", () =>
    Effect.gen(function* () {
      const { link, task } = yield* started()
      const begun = yield* link.beginStep(task, sleep("nap", 60))
      assert.isFalse(begun.execute)
      assert.strictEqual(begun.step.status, "RUNNING")
      assert.isAtMost(begun.dueIn ?? Number.POSITIVE_INFINITY, 60)
      const { dueAt = 0 } = begun.step
      assert.isAbove(dueAt, 0)
      const retaken = yield* parkAndRetake(link, task)
      assert.isAtLeast(retaken.claimedAt, extended ? dueAt : 0)
      const ended = yield* link.beginStep(retaken, sleep("nap", 60))
      assert.strictEqual(ended.step.status, "COMPLETED")
      assert.isFalse(ended.execute)
      assert.strictEqual(ended.step.sequence, 1)
    })
  )

  it.effect("refuses commands for a run that was cancelled", () =>
    Effect.gen(function* () {
      const { link, namespace, protocol, runId, task } = yield* started()
      yield* protocol.cancelRun(namespace, runId)
      assert.strictEqual((yield* Effect.flip(link.beginStep(task, call("late"))))._tag, "PreconditionFailed")
      assert.strictEqual((yield* Effect.flip(link.completeRun(task, json(1))))._tag, "PreconditionFailed")
    })
  )

  it.effect("refuses to take up a step of another kind", () =>
    Effect.gen(function* () {
      const { link, task } = yield* started()
      yield* link.beginStep(task, call("one"))
      assert.strictEqual((yield* Effect.flip(link.beginStep(task, sleep("one", 5))))._tag, "PreconditionFailed")
    })
  )

  it.effect("tells a worker to drain once, and that it is no longer known", () =>
    Effect.gen(function* () {
      const protocol = yield* Protocol
      const workers = Rpc.client(WorkerService, yield* Rpc.Rpc)
      const link = yield* protocol.connect(workerOptions(freshNamespace()))
      yield* link.drain
      assert.deepStrictEqual(yield* link.notice, { _tag: "Drain" })
      yield* workers.deregister({ workerId: link.workerId, drain: false })
      assert.deepStrictEqual(yield* link.notice, { _tag: "Forgotten" })
    })
  )

  it.effect("gives the runs of a worker to others when it leaves", () =>
    Effect.gen(function* () {
      const protocol = yield* Protocol
      const namespace = freshNamespace()
      const { runId } = yield* protocol.start(startRequest(namespace))
      const scope = yield* Scope.make()
      const leaving = yield* Scope.provide(protocol.connect(workerOptions(namespace)), scope)
      yield* nextTask(leaving)
      const staying = yield* protocol.connect(workerOptions(namespace, { instanceId: "b", pid: 8 }))
      const next = yield* Effect.forkChild(nextTask(staying))
      yield* Scope.close(scope, yield* Effect.exit(Effect.void))
      assert.strictEqual((yield* Fiber.join(next)).runId, runId)
    })
  )

  if (!extended) return

  it.effect("brings all that is recorded of a run with it, whatever its size", () =>
    Effect.gen(function* () {
      const { link, task } = yield* started()
      const names = ["one", "two", "three", "four"]
      for (const name of names) {
        const { step } = yield* link.beginStep(task, call(name))
        yield* link.completeStep(task, step.stepId, json(name.repeat(150_000)))
      }
      yield* link.beginStep(task, sleep("long", 1_000_000))
      yield* link.release(task)
      const retaken = yield* nextTask(link)
      // A run that does not reach its worker is taken back, and handed over again.
      if (cut) assert.isAbove(retaken.lease, task.lease)
      else assert.strictEqual(retaken.lease, task.lease + 1)
      assert.deepStrictEqual(
        retaken.history.map((step) => [step.name, step.kind, step.status, step.sequence]),
        [
          ...names.map((name, index) => [name, "FUNCTION", "COMPLETED", index + 1]),
          ["long", "SLEEP", "RUNNING", undefined]
        ]
      )
      assert.deepStrictEqual(
        retaken.history.slice(0, 4).map((step) => decoded(step.output)),
        names.map((name) => name.repeat(150_000))
      )
      assert.deepStrictEqual(retaken.history[0]?.input, json("one"))
      assert.isDefined(retaken.history[4]?.dueAt)
    })
  )

  it.effect("refuses every command of a worker whose lease is gone", () =>
    Effect.gen(function* () {
      const { link, task } = yield* started()
      const { step } = yield* link.beginStep(task, call("one"))
      yield* link.release(task)
      const retaken = yield* nextTask(link)
      const commands: ReadonlyArray<(held: Held) => Effect.Effect<unknown, KagziError.KagziError>> = [
        (held) => link.beginStep(held, call("two")),
        (held) => link.completeStep(held, step.stepId, json(1)),
        (held) => link.failStep(held, step.stepId, declined),
        (held) => link.cancelStep(held, step.stepId),
        (held) => link.suspend(held),
        (held) => link.completeRun(held, json(1)),
        (held) => link.failRun(held, declined)
      ]
      for (const command of commands) {
        assert.strictEqual((yield* Effect.flip(command(task)))._tag, "PreconditionFailed")
      }
      yield* link.completeStep(retaken, step.stepId, json(2))
    })
  )

  it.effect("wakes a run for the earliest of several waits", () =>
    Effect.gen(function* () {
      const { link, task } = yield* started()
      yield* link.beginStep(task, sleep("long", 1_000_000))
      const { step } = yield* link.beginStep(task, sleep("short", 30))
      assert.isDefined(step.dueAt)
      const retaken = yield* parkAndRetake(link, task)
      assert.deepStrictEqual(
        retaken.history.map((record) => [record.name, record.status]),
        [
          ["long", "RUNNING"],
          ["short", "COMPLETED"]
        ]
      )
    })
  )

  it.effect("does not park a run with a wait that is due", () =>
    Effect.gen(function* () {
      const { link, task } = yield* started()
      const { step } = yield* link.beginStep(task, sleep("nap", 1))
      // lets the nap pass
      yield* Effect.sleep("20 millis")
      assert.isFalse(yield* park(link, task))
      const ended = yield* link.beginStep(task, sleep("nap", 1))
      assert.strictEqual(ended.step.status, "COMPLETED")
      assert.strictEqual(ended.step.stepId, step.stepId)
      const past = yield* link.beginStep(task, { ...sleep("past", 0), sleep: { until: 1 } })
      assert.strictEqual(past.step.status, "COMPLETED")
    })
  )

  it.effect("drops the timer of a branch that lost a race", () =>
    Effect.gen(function* () {
      const { link, task } = yield* started()
      const lost = yield* link.beginStep(task, sleep("lost", 1))
      yield* link.cancelStep(task, lost.step.stepId)
      yield* link.beginStep(task, sleep("won", 40))
      const retaken = yield* parkAndRetake(link, task)
      const [first, second] = retaken.history
      assert.isTrue(first?.cancelled)
      // Begun again after a cut, its sleep is over.
      if (!cut) assert.isUndefined(first?.sequence)
      assert.strictEqual(second?.status, "COMPLETED")
    })
  )

  it.effect("tells a worker which of its runs were cancelled and which it lost", () =>
    Effect.gen(function* () {
      const held: Array<Held> = []
      const { link, namespace, protocol, runId, task } = yield* started({}, { held: () => held })
      const unknown = { runId: "018f3a1e-0000-7000-8000-000000000000", lease: 4 }
      held.push(task, unknown)
      yield* protocol.cancelRun(namespace, runId)
      assert.deepStrictEqual(yield* nextNotice(link, "Cancelled"), {
        _tag: "Cancelled",
        held: { runId, lease: task.lease }
      })
      assert.deepStrictEqual(yield* nextNotice(link, "Lost"), { _tag: "Lost", held: unknown })
    })
  )

  it.effect("takes no run for a poll that was given up", () =>
    Effect.gen(function* () {
      const protocol = yield* Protocol
      const namespace = freshNamespace()
      const link = yield* protocol.connect(workerOptions(namespace))
      const polling = yield* Deferred.make<void>()
      const fiber = yield* Effect.forkChild(Effect.andThen(Deferred.succeed(polling, undefined), link.poll))
      yield* Deferred.await(polling)
      yield* Fiber.interrupt(fiber)
      const { runId } = yield* protocol.start(startRequest(namespace))
      assert.strictEqual((yield* nextTask(link)).runId, runId)
    })
  )
}
