/** Namespaces, and what operators see and do, over a socket. */
import { randomUUID } from "node:crypto"
import { Code, ConnectError, createClient } from "@connectrpc/connect"
import { createConnectTransport } from "@connectrpc/connect-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { AdminService } from "../../gen/kagzi/v1/admin_pb.ts"
import { ErrorCode, ErrorDetailSchema } from "../../gen/kagzi/v1/common_pb.ts"
import { ExecutionService } from "../../gen/kagzi/v1/execution_pb.ts"
import { NamespaceService } from "../../gen/kagzi/v1/namespace_pb.ts"
import { StepKind, WorkerService, WorkerStatus } from "../../gen/kagzi/v1/worker_pb.ts"
import { WorkflowService } from "../../gen/kagzi/v1/workflow_pb.ts"
import { start } from "./support.ts"

const run = <A>(call: () => Promise<A>): Effect.Effect<A> => Effect.promise(call)

/** What a call was refused with. */
const refusal = (call: () => Promise<unknown>) =>
  Effect.promise(() =>
    call().then(
      () => assert.fail("the call succeeded"),
      (reason: unknown) => {
        const error = ConnectError.from(reason)
        return { code: error.code, detail: error.findDetails(ErrorDetailSchema)[0] }
      }
    )
  )

const codeOf = (call: () => Promise<unknown>) => Effect.map(refusal(call), ({ code }) => code)

const json = (value: unknown) => ({ data: new TextEncoder().encode(JSON.stringify(value)) })

const types = ["order", "mail"]

/** What workers of these tests declare beside the usual. */
interface Declared {
  readonly taskQueue?: string
  readonly pid?: number
  readonly labels?: { readonly [name: string]: string }
  readonly queueConcurrencyLimit?: number
  readonly workflowTypeConcurrency?: Array<{ readonly workflowType: string; readonly maxConcurrent: number }>
}

const bench = Effect.fnUntraced(function* () {
  const transport = createConnectTransport({ baseUrl: yield* start(), httpVersion: "2" })
  const workflows = createClient(WorkflowService, transport)
  const workers = createClient(WorkerService, transport)
  let pid = 0
  return {
    workflows,
    workers,
    admin: createClient(AdminService, transport),
    execution: createClient(ExecutionService, transport),
    namespaces: createClient(NamespaceService, transport),
    begin: (namespace: string, workflowType = "order", taskQueue = "queue") =>
      run(() => workflows.startWorkflow({ namespace, externalId: randomUUID(), taskQueue, workflowType })),
    register: (namespace: string, fields: Declared = {}) =>
      run(() =>
        workers.register({
          ...{ namespace, taskQueue: "queue", workflowTypes: types, hostname: "h", pid: ++pid, version: "7" },
          ...fields
        })
      ),
    poll: (namespace: string, workerId: string) =>
      workers.pollTask({ namespace, workerId, taskQueue: "queue", workflowTypes: types })
  }
})

describe("namespaces", () => {
  it.live("are created once, described, switched off and on", () =>
    Effect.gen(function* () {
      const { namespaces } = yield* bench()
      const made = yield* run(() =>
        namespaces.createNamespace({ namespace: "shop", displayName: "The Shop", description: "sells" })
      )
      const { namespace } = made
      assert.deepInclude(namespace, { namespace: "shop", displayName: "The Shop", description: "sells", enabled: true })
      assert.match(namespace?.id ?? "", /^[0-9a-f-]{36}$/)
      assert.deepStrictEqual((yield* run(() => namespaces.getNamespace({ namespace: "shop" }))).namespace, namespace)

      const again = yield* refusal(() => namespaces.createNamespace({ namespace: "shop", displayName: "x" }))
      assert.strictEqual(again.code, Code.Aborted)
      assert.deepInclude(again.detail, { code: ErrorCode.CONFLICT, nonRetryable: false })
      assert.strictEqual(yield* codeOf(() => namespaces.createNamespace({ namespace: "default" })), Code.Aborted)

      const renamed = yield* run(() => namespaces.updateNamespace({ namespace: "shop", displayName: "Shop" }))
      assert.deepInclude(renamed.namespace, { id: namespace?.id ?? "", displayName: "Shop", description: "sells" })
      const emptied = yield* run(() => namespaces.updateNamespace({ namespace: "shop", description: "" }))
      assert.deepInclude(emptied.namespace, { displayName: "Shop", description: "", enabled: true })
      const off = yield* run(() => namespaces.disableNamespace({ namespace: "shop" }))
      assert.deepInclude(off.namespace, { displayName: "Shop", enabled: false })
      assert.isTrue((yield* run(() => namespaces.enableNamespace({ namespace: "shop" }))).namespace?.enabled)

      const plain = yield* run(() => namespaces.createNamespace({ namespace: "plain" }))
      assert.deepInclude(plain.namespace, { displayName: "plain", description: "" })
    })
  )

  it.live("that do not exist are not found, and that have no name make no sense", () =>
    Effect.gen(function* () {
      const { namespaces } = yield* bench()
      const calls: ReadonlyArray<(request: { readonly namespace: string }) => Promise<unknown>> = [
        namespaces.getNamespace,
        namespaces.updateNamespace,
        namespaces.enableNamespace,
        namespaces.disableNamespace
      ]
      for (const call of calls) {
        const { code, detail } = yield* refusal(() => call({ namespace: "none" }))
        assert.strictEqual(code, Code.NotFound)
        assert.deepInclude(detail, { code: ErrorCode.NOT_FOUND, subject: "namespace", subjectId: "none" })
        assert.strictEqual(yield* codeOf(() => call({ namespace: "" })), Code.InvalidArgument)
      }
      assert.strictEqual(yield* codeOf(() => namespaces.createNamespace({ namespace: "" })), Code.InvalidArgument)
    })
  )

  it.live("are listed by name, a page at a time", () =>
    Effect.gen(function* () {
      const { namespaces } = yield* bench()
      for (const namespace of ["c", "a", "b"]) yield* run(() => namespaces.createNamespace({ namespace }))
      const first = yield* run(() => namespaces.listNamespaces({ page: { pageSize: 3, includeTotalCount: true } }))
      assert.deepStrictEqual(
        first.namespaces.map(({ namespace }) => namespace),
        ["a", "b", "c"]
      )
      assert.deepInclude(first.page, { hasMore: true, totalCount: 4n })
      const pageToken = first.page?.nextPageToken ?? ""
      const last = yield* run(() => namespaces.listNamespaces({ page: { pageToken } }))
      assert.deepStrictEqual(
        last.namespaces.map(({ namespace }) => namespace),
        ["default"]
      )
      assert.deepInclude(last.page, { hasMore: false, nextPageToken: "", totalCount: 0n })
      for (const pageToken of ["x", "YTpiOmM"]) {
        assert.strictEqual(
          yield* codeOf(() => namespaces.listNamespaces({ page: { pageToken } })),
          Code.InvalidArgument
        )
      }
    })
  )

  it.live("of large descriptions make pages that fit into a message", () =>
    Effect.gen(function* () {
      const { namespaces } = yield* bench()
      for (const namespace of ["a", "b", "c"]) {
        yield* run(() => namespaces.createNamespace({ namespace, description: "x".repeat(700_000) }))
      }
      const { namespaces: found, page } = yield* run(() => namespaces.listNamespaces({}))
      assert.lengthOf(found, 1)
      assert.isTrue(page?.hasMore)
    })
  )
})

describe("a disabled namespace", () => {
  it.live("starts nothing and hands out no task, while what runs may finish", () =>
    Effect.gen(function* () {
      const { begin, execution, namespaces, poll, register, workers, workflows } = yield* bench()
      const namespace = "shop"
      const { workerId } = yield* register(namespace)
      const { runId } = yield* begin(namespace)
      const { leaseEpoch } = yield* run(() => poll(namespace, workerId))
      const waiting = yield* begin(namespace)
      const under = { headers: { "kagzi-lease": String(leaseEpoch) } }
      const of = { namespace, runId }
      yield* run(() => namespaces.disableNamespace({ namespace }))

      const start = { namespace, externalId: "new", taskQueue: "queue", workflowType: "order" }
      const refused = yield* refusal(() => workflows.startWorkflow(start))
      assert.deepInclude(refused.detail, { code: ErrorCode.PRECONDITION_FAILED, nonRetryable: true })
      assert.strictEqual(yield* codeOf(() => poll(namespace, workerId)), Code.FailedPrecondition)

      assert.isTrue((yield* run(() => workers.heartbeat({ workerId }))).accepted)
      const step = { ...of, stepName: "a", kind: StepKind.FUNCTION }
      const { stepId } = yield* run(() => workers.beginStep(step, under))
      yield* run(() => workers.completeStep({ ...of, stepId, output: json(1) }, under))
      yield* run(() => execution.getHistory(of))
      yield* run(() => workers.completeWorkflow({ ...of, output: json(1) }, under))
      assert.strictEqual(yield* codeOf(() => workflows.retryWorkflow(of)), Code.FailedPrecondition)
      assert.strictEqual((yield* run(() => workflows.getWorkflow(of))).workflow?.runId, runId)

      yield* run(() => namespaces.enableNamespace({ namespace }))
      assert.strictEqual((yield* run(() => poll(namespace, workerId))).runId, waiting.runId)
      yield* run(() => workflows.startWorkflow(start))
    })
  )
})

describe("namespaces isolate", () => {
  it.live("every RPC on a run, a step or a worker of another one", () =>
    Effect.gen(function* () {
      const { admin, begin, execution, poll, register, workers, workflows } = yield* bench()
      const { workerId } = yield* register("a")
      const { runId } = yield* begin("a")
      const { leaseEpoch } = yield* run(() => poll("a", workerId))
      const under = { headers: { "kagzi-lease": String(leaseEpoch) } }
      const step = { stepName: "s", kind: StepKind.FUNCTION }
      const { stepId } = yield* run(() => workers.beginStep({ namespace: "a", runId, ...step }, under))
      const nap = { stepName: "n", kind: StepKind.SLEEP }
      const sleep = yield* run(() => workers.beginStep({ namespace: "a", runId, ...nap }, under))
      const before = yield* run(() => workflows.getWorkflow({ namespace: "a", runId }))
      yield* begin("b")

      const of = { namespace: "b", runId }
      const error = { message: "x" }
      const externalId = before.workflow?.externalId ?? ""
      const calls: Readonly<Record<string, (options?: typeof under) => Promise<unknown>>> = {
        getWorkflow: () => workflows.getWorkflow(of),
        getWorkflowByExternalId: () => workflows.getWorkflowByExternalId({ namespace: "b", externalId }),
        cancelWorkflow: () => workflows.cancelWorkflow(of),
        terminateWorkflow: () => workflows.terminateWorkflow({ ...of, reason: "x" }),
        retryWorkflow: () => workflows.retryWorkflow(of),
        beginStep: (options) => workers.beginStep({ ...of, ...step }, options),
        completeStep: (options) => workers.completeStep({ ...of, stepId, output: json(1) }, options),
        failStep: (options) => workers.failStep({ ...of, stepId, error }, options),
        sleep: (options) => workers.sleep({ ...of, stepId: sleep.stepId, duration: { seconds: 1n } }, options),
        completeWorkflow: (options) => workers.completeWorkflow({ ...of, output: json(1) }, options),
        failWorkflow: (options) => workers.failWorkflow({ ...of, error }, options),
        suspendRun: (options) => execution.suspendRun(of, options),
        cancelStep: (options) => execution.cancelStep({ ...of, stepId }, options),
        releaseRun: (options) => execution.releaseRun(of, options),
        getHistory: () => execution.getHistory(of),
        awaitResult: () => execution.awaitResult({ ...of, timeoutMs: 1n }),
        getStep: () => admin.getStep({ namespace: "b", stepId })
      }
      for (const [name, call] of Object.entries(calls)) {
        for (const options of [undefined, under]) {
          assert.strictEqual(yield* codeOf(() => call(options)), Code.NotFound, name)
        }
      }
      assert.strictEqual(yield* codeOf(() => poll("b", workerId)), Code.FailedPrecondition)
      assert.lengthOf((yield* run(() => admin.listSteps(of))).steps, 0)

      const listed = yield* run(() => workflows.listWorkflows({ namespace: "b" }))
      assert.lengthOf(listed.workflows, 1)
      assert.notStrictEqual(listed.workflows[0]?.runId, runId)
      assert.lengthOf((yield* run(() => admin.listWorkers({ namespace: "b" }))).workers, 0)
      const depth = yield* run(() => admin.getQueueDepth({ namespace: "b" }))
      assert.deepInclude(depth, { pendingCount: 1n, runningCount: 0n })
      const stats = yield* run(() => admin.getStats({ namespace: "b" }))
      assert.deepInclude(stats, { totalWorkflows: 1n, runningWorkflows: 0n, totalWorkers: 0n })

      // The same ids in another namespace are other things.
      const same = { namespace: "b", externalId, taskQueue: "queue", workflowType: "order" }
      assert.isFalse((yield* run(() => workflows.startWorkflow(same))).alreadyExists)
      assert.deepStrictEqual(yield* run(() => workflows.getWorkflow({ namespace: "a", runId })), before)
      const other = yield* register("b", { pid: 1 })
      assert.notStrictEqual(other.workerId, workerId)
      assert.notStrictEqual((yield* run(() => poll("b", other.workerId))).runId, runId)
    })
  )

  it.live("nothing is without a namespace", () =>
    Effect.gen(function* () {
      const { admin } = yield* bench()
      const namespace = ""
      assert.strictEqual(yield* codeOf(() => admin.listWorkers({ namespace })), Code.InvalidArgument)
      assert.strictEqual(yield* codeOf(() => admin.getStats({ namespace })), Code.InvalidArgument)
      assert.strictEqual(yield* codeOf(() => admin.getQueueDepth({ namespace })), Code.InvalidArgument)
      assert.strictEqual(yield* codeOf(() => admin.listWorkflowTypes({ namespace })), Code.InvalidArgument)
    })
  )
})

describe("workers", () => {
  it.live("are listed with what they declared and hold, the last first", () =>
    Effect.gen(function* () {
      const { admin, begin, poll, register, workers } = yield* bench()
      const namespace = "default"
      const { workerId: one } = yield* register(namespace)
      const { workerId: two } = yield* register(namespace, {
        taskQueue: "mails",
        labels: { region: "eu" },
        queueConcurrencyLimit: 4,
        workflowTypeConcurrency: [{ workflowType: "mail", maxConcurrent: 2 }]
      })
      const { workerId: three } = yield* register(namespace)
      yield* run(() => workers.deregister({ workerId: three, drain: false }))
      yield* begin(namespace)
      yield* run(() => poll(namespace, one))

      const ids = (request: Partial<Parameters<typeof admin.listWorkers>[0]>) =>
        Effect.map(
          run(() => admin.listWorkers({ namespace, ...request })),
          ({ workers }) => workers.map(({ workerId }) => workerId)
        )
      assert.deepStrictEqual(yield* ids({}), [three, two, one])
      assert.deepStrictEqual(yield* ids({ taskQueue: "mails" }), [two])
      assert.deepStrictEqual(yield* ids({ statusFilter: WorkerStatus.OFFLINE }), [three])
      assert.deepStrictEqual(yield* ids({ statusFilter: WorkerStatus.UNSPECIFIED, taskQueue: "queue" }), [three, one])
      assert.strictEqual(
        yield* codeOf(() => admin.listWorkers({ namespace, statusFilter: 9 as WorkerStatus })),
        Code.InvalidArgument
      )
      const first = yield* run(() => admin.listWorkers({ namespace, page: { pageSize: 2, includeTotalCount: true } }))
      assert.deepInclude(first.page, { hasMore: true, totalCount: 3n })
      assert.deepStrictEqual(yield* ids({ page: { pageToken: first.page?.nextPageToken ?? "" } }), [one])

      const { worker } = yield* run(() => admin.getWorker({ workerId: two }))
      assert.deepInclude(worker, {
        ...{ workerId: two, taskQueue: "mails", status: WorkerStatus.ONLINE, version: "7", hostname: "h", pid: 2 },
        ...{ workflowTypes: types, labels: { region: "eu" }, queueConcurrencyLimit: 4, activeWorkflowCount: 0 }
      })
      assert.deepStrictEqual(
        worker?.workflowTypeConcurrency.map(({ maxConcurrent, workflowType }) => [workflowType, maxConcurrent]),
        [["mail", 2]]
      )
      assert.isDefined(worker?.registeredAt)
      assert.isDefined(worker?.lastHeartbeatAt)
      const holder = yield* run(() => admin.getWorker({ workerId: one }))
      assert.strictEqual(holder.worker?.activeWorkflowCount, 1)
      assert.isUndefined(holder.worker?.queueConcurrencyLimit)
      const missing = yield* refusal(() => admin.getWorker({ workerId: randomUUID() }))
      assert.deepInclude(missing.detail, { code: ErrorCode.NOT_FOUND, subject: "worker" })
      assert.strictEqual(yield* codeOf(() => admin.getWorker({ workerId: "x" })), Code.InvalidArgument)
    })
  )

  it.live("drain when they are told to: they take nothing new, and their poll ends", () =>
    Effect.gen(function* () {
      const { admin, begin, poll, register, workers } = yield* bench()
      const namespace = "default"
      const { workerId } = yield* register(namespace)
      const polling = codeOf(() => poll(namespace, workerId))
      const answer = yield* run(() => admin.drainWorker({ workerId }))
      assert.isTrue(answer.success)
      assert.strictEqual(yield* polling, Code.FailedPrecondition)
      yield* begin(namespace)
      assert.strictEqual(yield* codeOf(() => poll(namespace, workerId)), Code.FailedPrecondition)
      assert.isTrue((yield* run(() => workers.heartbeat({ workerId }))).shouldDrain)
      assert.isTrue((yield* run(() => admin.drainWorker({ workerId }))).success)
      const { worker } = yield* run(() => admin.getWorker({ workerId }))
      assert.strictEqual(worker?.status, WorkerStatus.DRAINING)

      yield* run(() => workers.deregister({ workerId, drain: false }))
      assert.strictEqual(yield* codeOf(() => admin.drainWorker({ workerId })), Code.FailedPrecondition)
      assert.strictEqual(yield* codeOf(() => admin.drainWorker({ workerId: randomUUID() })), Code.NotFound)
    })
  )
})

describe("counts", () => {
  it.live("say how much there is of what, in one namespace or in all", () =>
    Effect.gen(function* () {
      const { admin, begin, execution, poll, register, workers, workflows } = yield* bench()
      const namespace = "shop"
      const { workerId } = yield* register(namespace)
      const { workerId: gone } = yield* register(namespace)
      yield* run(() => workers.deregister({ workerId: gone, drain: false }))
      const take = Effect.gen(function* () {
        const { leaseEpoch, runId } = yield* run(() => poll(namespace, workerId))
        return [{ namespace, runId }, { headers: { "kagzi-lease": String(leaseEpoch) } }] as const
      })
      yield* begin(namespace)
      const [done, doneUnder] = yield* take
      yield* run(() => workers.completeWorkflow({ ...done, output: json(1) }, doneUnder))
      yield* begin(namespace)
      const [failed, failedUnder] = yield* take
      yield* run(() => workers.failWorkflow({ ...failed, error: { message: "x", nonRetryable: true } }, failedUnder))
      yield* begin(namespace)
      const [asleep, asleepUnder] = yield* take
      const nap = { stepName: "nap", kind: StepKind.SLEEP, sleep: { seconds: 900n } }
      yield* run(() => workers.beginStep({ ...asleep, ...nap }, asleepUnder))
      yield* run(() => execution.suspendRun(asleep, asleepUnder))
      yield* begin(namespace)
      yield* take
      yield* begin(namespace, "mail", "mails")
      yield* begin(namespace, "mail", "mails")
      yield* begin(namespace, "order", "mails")
      const { runId } = yield* begin(namespace)
      yield* run(() => workflows.cancelWorkflow({ namespace, runId }))
      yield* begin("default", "other")

      const stats = yield* run(() => admin.getStats({ namespace }))
      assert.deepInclude(stats, {
        ...{ totalWorkflows: 8n, pendingWorkflows: 3n, runningWorkflows: 1n },
        ...{ completedWorkflows: 1n, failedWorkflows: 1n, totalWorkers: 2n, onlineWorkers: 1n },
        ...{ totalSchedules: 0n, enabledSchedules: 0n }
      })
      assert.deepStrictEqual(stats.workflowsByStatus, {
        ...{ PENDING: 3n, RUNNING: 1n, SLEEPING: 1n, COMPLETED: 1n, FAILED: 1n, CANCELLED: 1n }
      })
      assert.deepStrictEqual(stats.workflowsByType, { order: 6n, mail: 2n })
      const all = yield* run(() => admin.getStats({}))
      assert.deepInclude(all, { totalWorkflows: 9n, pendingWorkflows: 4n, totalWorkers: 2n })
      assert.deepStrictEqual(all.workflowsByType, { order: 6n, mail: 2n, other: 1n })
      assert.strictEqual((yield* run(() => admin.getStats({ namespace: "none" }))).totalWorkflows, 0n)

      const depth = yield* run(() => admin.getQueueDepth({ namespace }))
      assert.deepInclude(depth, { pendingCount: 3n, runningCount: 1n, sleepingCount: 1n })
      assert.deepStrictEqual(depth.depthByQueue, { mails: 3n, queue: 0n })
      const ofQueue = yield* run(() => admin.getQueueDepth({ namespace, taskQueue: "queue" }))
      assert.deepInclude(ofQueue, { pendingCount: 0n, runningCount: 1n, sleepingCount: 1n })
      assert.deepStrictEqual(ofQueue.depthByQueue, { queue: 0n })
      const nowhere = yield* run(() => admin.getQueueDepth({ namespace, taskQueue: "none" }))
      assert.deepInclude(nowhere, { pendingCount: 0n, runningCount: 0n, sleepingCount: 0n })

      const first = yield* run(() =>
        admin.listWorkflowTypes({ namespace, page: { pageSize: 1, includeTotalCount: true } })
      )
      assert.deepInclude(first.workflowTypes[0], {
        ...{ workflowType: "mail", totalRuns: 2n, activeRuns: 2n, taskQueues: ["mails"] }
      })
      assert.deepInclude(first.page, { hasMore: true, totalCount: 2n })
      const pageToken = first.page?.nextPageToken ?? ""
      const last = yield* run(() => admin.listWorkflowTypes({ namespace, page: { pageToken } }))
      assert.lengthOf(last.workflowTypes, 1)
      assert.deepInclude(last.workflowTypes[0], {
        ...{ workflowType: "order", totalRuns: 6n, activeRuns: 3n, taskQueues: ["mails", "queue"] }
      })
      assert.deepInclude(last.page, { hasMore: false, totalCount: 0n })
    })
  )
})
