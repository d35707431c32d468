/**
 * What every way to a server does alike. Each implementation of the port runs this suite on a server of its own.
 *
 * Tests keep apart by namespace. Nothing here waits but for something to happen.
 */
import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as RetryPolicy from "../../src/RetryPolicy.ts"
import { Protocol } from "../../src/protocol/Protocol.ts"
import type * as Rpc from "../../src/protocol/Rpc.ts"
import { freshNamespace, json, started, startRequest } from "./protocolRequests.ts"
import { workers } from "./protocolWorkers.ts"

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
  capabilities: Capabilities
) =>
  layer(Layer.fresh(implementation), { excludeTestServices: true })(`Protocol ${name}`, (it) => {
    const { extended, session = false } = capabilities
    workers(it, capabilities)

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
  })
