/**
 * What every way to a server does alike. Each implementation of the port runs this suite on a server of its own.
 *
 * Tests keep apart by namespace. Nothing here waits but for something to happen.
 */
import { assert, layer } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Scope } from "effect"
import { WorkerService } from "../../gen/kagzi/v1/worker_pb.ts"
import type * as KagziError from "../../src/KagziError.ts"
import * as RetryPolicy from "../../src/RetryPolicy.ts"
import {
  type Held,
  type Notice,
  Protocol,
  type StartRequest,
  type Task,
  type WorkerLink,
  type WorkerOptions
} from "../../src/protocol/Protocol.ts"
import * as Rpc from "../../src/protocol/Rpc.ts"
import { decoded, freshNamespace, json, nextTask, startRequest, workerOptions } from "./protocolRequests.ts"

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

export interface Capabilities {
  /** Whether the server's additions are used: leases, histories, several waits. */
  readonly extended: boolean
  /** Whether there are sessions to use. */
  readonly session?: boolean
  /** Whether answers and runs get lost on their way, so that some of what follows comes late, and runs come again. */
  readonly cut?: boolean
}

export const suite = (
  name: string,
  implementation: Layer.Layer<Protocol | Rpc.Rpc, unknown>,
  { cut = false, extended, session = false }: Capabilities
) =>
  layer(Layer.fresh(implementation), { excludeTestServices: true })(`Protocol ${name}`, (it) => {
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

    const started = Effect.fnUntraced(function* (
      more: Partial<StartRequest> = {},
      worker: Partial<WorkerOptions> = {}
    ) {
      const protocol = yield* Protocol
      const namespace = freshNamespace()
      const { runId } = yield* protocol.start(startRequest(namespace, more))
      const link = yield* protocol.connect(workerOptions(namespace, worker))
      const task = yield* nextTask(link)
      assert.strictEqual(task.runId, runId)
      return { protocol, namespace, runId, link, task }
    })

    it.effect("starts a run once for an id, and describes it", () =>
      Effect.gen(function* () {
        const protocol = yield* Protocol
        const namespace = freshNamespace()
        const request = startRequest(namespace)
        const first = yield* protocol.start(request)
        assert.isFalse(first.alreadyExists)
        assert.deepStrictEqual(yield* protocol.start(request), { runId: first.runId, alreadyExists: true })
        const run = yield* protocol.getRun(namespace, first.runId)
        assert.deepStrictEqual(yield* protocol.getRunByExternalId(namespace, "order-1"), run)
        const { attempts, createdAt, priority, ...rest } = run
        assert.isAbove(createdAt, 0)
        assert.isTrue(Number.isInteger(attempts) && Number.isInteger(priority))
        assert.deepStrictEqual(rest, {
          namespace,
          runId: first.runId,
          externalId: "order-1",
          taskQueue: "orders",
          workflowType: "order",
          version: "2",
          status: "PENDING",
          input: json({ item: "ü" })
        })
      })
    )

    it.effect("does as told when the id belongs to a run that has ended", () =>
      Effect.gen(function* () {
        const protocol = yield* Protocol
        const namespace = freshNamespace()
        const first = yield* protocol.start(startRequest(namespace))
        yield* protocol.cancelRun(namespace, first.runId)
        const finished = Effect.result(protocol.start(startRequest(namespace, { ifExists: "return-finished" })))
        const rejected = yield* Effect.flip(protocol.start(startRequest(namespace, { ifExists: "reject" })))
        if (extended) {
          assert.deepStrictEqual((yield* Effect.fromResult(yield* finished)).runId, first.runId)
          assert.strictEqual(rejected._tag, "Conflict")
        } else {
          assert.strictEqual(rejected._tag, "PreconditionFailed")
          assert.include(rejected.message, "reject")
        }
        const second = yield* protocol.start(startRequest(namespace))
        assert.notStrictEqual(second.runId, first.runId)
      })
    )

    it.effect("lists runs by filter, a page at a time", () =>
      Effect.gen(function* () {
        const protocol = yield* Protocol
        const namespace = freshNamespace()
        const ids: Array<string> = []
        for (const externalId of ["a", "b", "c"]) {
          ids.unshift((yield* protocol.start(startRequest(namespace, { externalId }))).runId)
        }
        yield* protocol.start(startRequest(namespace, { externalId: "d", workflowType: "other", taskQueue: "others" }))
        const filter = { namespace, workflowType: "order", taskQueue: "orders", status: "PENDING" as const }
        const one = yield* protocol.listRuns(filter, { size: 2, includeTotal: true })
        assert.deepStrictEqual(
          one.items.map((run) => run.runId),
          ids.slice(0, 2)
        )
        assert.strictEqual(one.total, 3)
        assert.isDefined(one.next)
        const two = yield* protocol.listRuns(filter, {
          size: 2,
          ...(one.next === undefined ? {} : { token: one.next })
        })
        assert.deepStrictEqual(
          two.items.map((run) => run.runId),
          ids.slice(2)
        )
        assert.isUndefined(two.next)
        assert.isUndefined(two.total)
        assert.lengthOf((yield* protocol.listRuns({ namespace }, {})).items, 4)
        assert.lengthOf((yield* protocol.listRuns({ namespace, createdBefore: 1 }, {})).items, 0)
        assert.lengthOf((yield* protocol.listRuns({ namespace, createdAfter: 1 }, {})).items, 4)
      })
    )

    it.effect("cancels, terminates and retries runs", () =>
      Effect.gen(function* () {
        const protocol = yield* Protocol
        const namespace = freshNamespace()
        const { runId } = yield* protocol.start(startRequest(namespace))
        assert.strictEqual(yield* protocol.cancelRun(namespace, runId), "CANCELLED")
        assert.strictEqual((yield* Effect.flip(protocol.cancelRun(namespace, runId)))._tag, "PreconditionFailed")
        const again = yield* protocol.retryRun(namespace, runId)
        assert.notStrictEqual(again, runId)
        assert.deepStrictEqual((yield* protocol.getRun(namespace, again)).input, json({ item: "ü" }))
        assert.strictEqual(yield* protocol.terminateRun(namespace, again, "enough"), "FAILED")
        assert.include((yield* protocol.getRun(namespace, again)).error?.message, "enough")
        assert.strictEqual((yield* protocol.awaitRun(namespace, again)).status, "FAILED")
      })
    )

    it.effect("fails with the proper error for what does not exist and for what makes no sense", () =>
      Effect.gen(function* () {
        const protocol = yield* Protocol
        const namespace = freshNamespace()
        const unknown = "018f3a1e-0000-7000-8000-000000000000"
        const missing = yield* Effect.flip(protocol.getRun(namespace, unknown))
        assert.strictEqual(missing._tag, "NotFound")
        assert.strictEqual(missing.subject, "workflow")
        assert.strictEqual(missing.subjectId, unknown)
        assert.strictEqual((yield* Effect.flip(protocol.awaitRun(namespace, unknown)))._tag, "NotFound")
        assert.strictEqual((yield* Effect.flip(protocol.getRun(namespace, "no id")))._tag, "InvalidArgument")
        assert.strictEqual((yield* Effect.flip(protocol.getRun("", unknown)))._tag, "InvalidArgument")
        for (const [field, options] of [
          ["initialInterval", { initialInterval: -1 }],
          ["maximumAttempts", { maximumAttempts: -1 }],
          ["backoffCoefficient", { backoffCoefficient: 0.5 }]
        ] as const) {
          const retryPolicy = RetryPolicy.make(options)
          const invalid = yield* Effect.flip(protocol.start(startRequest(namespace, { retryPolicy })))
          assert.strictEqual(invalid._tag, "InvalidArgument")
          assert.include(invalid.message, field)
        }
      })
    )

    it.effect("makes namespaces, changes them, and switches them off and on", () =>
      Effect.gen(function* () {
        const protocol = yield* Protocol
        const namespace = freshNamespace()
        const made = yield* protocol.createNamespace({ namespace, displayName: "N", description: "ü" })
        assert.deepInclude(made, { namespace, displayName: "N", description: "ü", enabled: true })
        assert.isAbove(made.createdAt, 0)
        assert.deepStrictEqual(yield* protocol.getNamespace(namespace), made)
        assert.strictEqual((yield* Effect.flip(protocol.createNamespace({ namespace })))._tag, "Conflict")
        assert.strictEqual((yield* protocol.updateNamespace(namespace, { description: "" })).description, "")
        assert.isFalse((yield* protocol.disableNamespace(namespace)).enabled)
        const refused = yield* Effect.flip(protocol.start(startRequest(namespace)))
        assert.strictEqual(refused._tag, "PreconditionFailed")
        assert.isTrue((yield* protocol.enableNamespace(namespace)).enabled)
        const missing = yield* Effect.flip(protocol.getNamespace(`${namespace}-not`))
        assert.deepInclude(missing, { _tag: "NotFound", subject: "namespace", subjectId: `${namespace}-not` })

        const page = yield* protocol.listNamespaces({ size: 1, includeTotal: true })
        assert.lengthOf(page.items, 1)
        assert.isAtLeast(page.total ?? 0, 2)
        const next = yield* protocol.listNamespaces({ size: 100, token: page.next ?? "" })
        assert.notInclude(
          next.items.map((found) => found.namespace),
          page.items[0]?.namespace
        )
      })
    )

    it.effect("tells of workers, queues and types, and drains workers", () =>
      Effect.gen(function* () {
        const { link, namespace, protocol } = yield* started({}, { queueConcurrencyLimit: 5 })
        yield* protocol.start(startRequest(namespace, { externalId: "b", workflowType: "other", taskQueue: "others" }))
        const { items } = yield* protocol.listWorkers({ namespace, taskQueue: "orders", status: "ONLINE" }, {})
        assert.deepStrictEqual(
          items.map(({ workerId }) => workerId),
          [link.workerId]
        )
        const worker = yield* protocol.getWorker(link.workerId)
        assert.deepInclude(worker, {
          ...{ taskQueue: "orders", status: "ONLINE", hostname: "here", pid: 7, version: "1", activeRuns: 1 },
          ...{ workflowTypes: ["order"], labels: { region: "eu" }, queueConcurrencyLimit: 5 }
        })
        assert.isAbove(worker.registeredAt, 0)

        const depth = yield* protocol.queueDepth({ namespace })
        assert.deepStrictEqual(depth, { pending: 1, running: 1, sleeping: 0, byQueue: { orders: 0, others: 1 } })
        const ofQueue = yield* protocol.queueDepth({ namespace, taskQueue: "others" })
        assert.deepStrictEqual(ofQueue, { pending: 1, running: 0, sleeping: 0, byQueue: { others: 1 } })
        assert.deepStrictEqual(yield* protocol.stats(namespace), {
          ...{ runs: 2, byStatus: { PENDING: 1, RUNNING: 1 }, byType: { order: 1, other: 1 } },
          ...{ workers: 1, onlineWorkers: 1, schedules: 0, enabledSchedules: 0 }
        })
        assert.isAtLeast((yield* protocol.stats()).runs, 2)
        const types = yield* protocol.listWorkflowTypes(namespace, { size: 1 })
        assert.deepStrictEqual(types.items, [{ workflowType: "order", runs: 1, activeRuns: 1, taskQueues: ["orders"] }])
        assert.isDefined(types.next)

        yield* protocol.drainWorker(link.workerId)
        assert.strictEqual((yield* protocol.getWorker(link.workerId)).status, "DRAINING")
        const unknown = "018f3a1e-0000-7000-8000-000000000000"
        assert.strictEqual((yield* Effect.flip(protocol.drainWorker(unknown)))._tag, "NotFound")
      })
    )

    it.effect("says what the server is and how it does", () =>
      Effect.gen(function* () {
        const protocol = yield* Protocol
        assert.isTrue((yield* protocol.health).serving)
        const info = yield* protocol.serverInfo
        assert.notStrictEqual(info.version, "")
        assert.include(info.supportedFeatures, "execution.v1")
        if (session) assert.include(info.supportedFeatures, "session.v1")
      })
    )

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
  })
