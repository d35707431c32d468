import { randomUUID } from "node:crypto"
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect"
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { AdminService, ServingStatus } from "../../gen/kagzi/v1/admin_pb.ts"
import { ErrorCode } from "../../gen/kagzi/v1/common_pb.ts"
import { ExecutionService } from "../../gen/kagzi/v1/execution_pb.ts"
import { StepKind, StepStatus, WorkerService } from "../../gen/kagzi/v1/worker_pb.ts"
import { IfExists, WorkflowService, WorkflowStatus } from "../../gen/kagzi/v1/workflow_pb.ts"
import { grpcError, rawGrpc, start, transports } from "./support.ts"

const namespace = "default"
const taskQueue = "orders"
const workflowType = "orders"

const json = (value: unknown) => ({ data: new TextEncoder().encode(JSON.stringify(value)), metadata: { type: "json" } })

const text = (payload: { readonly data: Uint8Array } | undefined) =>
  payload === undefined ? undefined : new TextDecoder().decode(payload.data)

const clients = (transport: Transport) => {
  const workflows = createClient(WorkflowService, transport)
  const workers = createClient(WorkerService, transport)
  return {
    workflows,
    workers,
    execution: createClient(ExecutionService, transport),
    admin: createClient(AdminService, transport),
    startRun: (externalId: string) =>
      workflows.startWorkflow({ namespace, externalId, taskQueue, workflowType, input: json({ externalId }) }),
    register: (pid: number, queue = taskQueue) =>
      workers.register({
        namespace,
        taskQueue: queue,
        workflowTypes: [workflowType],
        hostname: "h",
        pid,
        version: "1"
      }),
    poll: (workerId: string, queue = taskQueue) =>
      workers.pollTask({ namespace, workerId, taskQueue: queue, workflowTypes: [workflowType] })
  }
}

const run = <A>(call: () => Promise<A>): Effect.Effect<A> => Effect.promise(call)

const refusal = (call: () => Promise<unknown>): Effect.Effect<Code> =>
  Effect.promise(() =>
    call().then(
      () => assert.fail("the call succeeded"),
      (reason: unknown) => ConnectError.from(reason).code
    )
  )

/** What a worker of ours sends along. */
const under = (lease: bigint) => ({ headers: { "kagzi-lease": String(lease) } })

describe("the services over a socket", () => {
  it.live("serve a worker that knows nothing of leases, as the Rust SDK is", () =>
    Effect.gen(function* () {
      const server = yield* start()
      const { poll, register, startRun, workers, workflows } = clients(createGrpcTransport({ baseUrl: server }))
      const { workerId, heartbeatIntervalSecs } = yield* run(() => register(1))
      assert.strictEqual(heartbeatIntervalSecs, 10)
      assert.strictEqual((yield* run(() => register(1))).workerId, workerId)
      const beat = yield* run(() => workers.heartbeat({ workerId }))
      assert.deepStrictEqual([beat.accepted, beat.shouldDrain], [true, false])

      const { alreadyExists, runId } = yield* run(() => startRun("a"))
      assert.isFalse(alreadyExists)
      const task = yield* run(() => poll(workerId))
      assert.deepStrictEqual([task.runId, task.workflowType], [runId, workflowType])
      assert.strictEqual(text(task.input), `{"externalId":"a"}`)
      assert.deepStrictEqual(task.input?.metadata, { type: "json" })

      const of = { namespace, runId }
      const charge = { ...of, stepName: "charge", kind: StepKind.FUNCTION }
      const begun = yield* run(() => workers.beginStep(charge))
      assert.isTrue(begun.shouldExecute)
      assert.isUndefined(begun.record)
      const { step } = yield* run(() => workers.completeStep({ ...of, stepId: begun.stepId, output: json("paid") }))
      assert.strictEqual(step?.status, StepStatus.COMPLETED)
      assert.strictEqual(text(step?.output), `"paid"`)
      const again = yield* run(() => workers.beginStep(charge))
      assert.isFalse(again.shouldExecute)
      assert.strictEqual(text(again.cachedOutput), `"paid"`)

      const nap = { ...of, stepName: "nap", kind: StepKind.SLEEP }
      const asleep = yield* run(() => workers.beginStep(nap))
      assert.isTrue(asleep.shouldExecute)
      yield* run(() => workers.sleep({ ...of, stepId: asleep.stepId, duration: { seconds: 0n, nanos: 30_000_000 } }))
      const awake = yield* run(() => poll(workerId))
      assert.strictEqual(awake.runId, runId)
      const slept = yield* run(() => workers.beginStep(nap))
      assert.isFalse(slept.shouldExecute)
      assert.strictEqual(text(slept.cachedOutput), "null")

      const flaky = {
        ...of,
        stepName: "flaky",
        kind: StepKind.FUNCTION,
        retryPolicy: { maximumAttempts: 2, initialIntervalMs: 10n, backoffCoefficient: 1, maximumIntervalMs: 10n }
      }
      const error = { code: ErrorCode.UNAVAILABLE, message: "busy" }
      const first = yield* run(() => workers.beginStep(flaky))
      const failed = yield* run(() => workers.failStep({ ...of, stepId: first.stepId, error }))
      assert.isTrue(failed.scheduledRetry)
      assert.isDefined(failed.retryAt)
      assert.strictEqual((yield* run(() => poll(workerId))).runId, runId)
      const second = yield* run(() => workers.beginStep(flaky))
      assert.isTrue(second.shouldExecute)
      const last = yield* run(() => workers.failStep({ ...of, stepId: second.stepId, error }))
      assert.isFalse(last.scheduledRetry)
      const recorded = grpcError(yield* rawGrpc(server, WorkerService.method.beginStep, flaky))
      assert.strictEqual(recorded.status, Code.Unavailable)
      assert.deepInclude(recorded.detail, { code: ErrorCode.UNAVAILABLE, message: "busy", nonRetryable: false })

      const { status } = yield* run(() => workers.completeWorkflow({ ...of, output: json({ ok: true }) }))
      assert.strictEqual(status, WorkflowStatus.COMPLETED)
      const { workflow } = yield* run(() => workflows.getWorkflow(of))
      assert.strictEqual(workflow?.status, WorkflowStatus.COMPLETED)
      assert.strictEqual(text(workflow?.output), `{"ok":true}`)
      assert.strictEqual(workflow?.workerId, workerId)
      assert.isTrue((yield* run(() => workers.deregister({ workerId, drain: false }))).drained)
      const beatAgain = yield* rawGrpc(server, WorkerService.method.heartbeat, { workerId })
      assert.deepInclude(grpcError(beatAgain).detail, {
        code: ErrorCode.NOT_FOUND,
        subject: "worker",
        subjectId: workerId
      })
    })
  )

  for (const [index, [name]] of transports("http://127.0.0.1").entries()) {
    it.live(`serve clients over ${name}`, () =>
      Effect.gen(function* () {
        const [, transport] = transports(yield* start())[index] ?? assert.fail("no such transport")
        const { admin, startRun, workflows } = clients(transport)
        const info = yield* run(() => admin.getServerInfo({}))
        assert.deepStrictEqual(info.supportedFeatures, ["execution.v1", "schedules.v1", "session.v1"])
        const health = yield* run(() => admin.healthCheck({}))
        assert.strictEqual(health.status, ServingStatus.SERVING)
        assert.isDefined(health.timestamp)

        const { runId } = yield* run(() => startRun("a"))
        assert.deepInclude(yield* run(() => startRun("a")), { runId, alreadyExists: true })
        const of = { namespace, runId }
        const found = yield* run(() => workflows.getWorkflowByExternalId({ namespace, externalId: "a" }))
        assert.strictEqual(found.workflow?.runId, runId)
        const listed = yield* run(() => workflows.listWorkflows({ namespace, page: { includeTotalCount: true } }))
        assert.deepStrictEqual(
          listed.workflows.map((workflow) => workflow.runId),
          [runId]
        )
        assert.strictEqual(listed.page?.totalCount, 1n)

        const cancelled = yield* run(() => workflows.cancelWorkflow(of))
        assert.deepInclude(cancelled, { cancelled: true, status: WorkflowStatus.CANCELLED })
        const { newRunId } = yield* run(() => workflows.retryWorkflow(of))
        const ended = yield* run(() => workflows.terminateWorkflow({ namespace, runId: newRunId, reason: "enough" }))
        assert.deepInclude(ended, { terminated: true, status: WorkflowStatus.FAILED })
        const { workflow } = yield* run(() => workflows.getWorkflow({ namespace, runId: newRunId }))
        assert.include(workflow?.error?.message, "enough")
      })
    )
  }

  it.live("serve a worker under a lease, with records, histories and parked runs", () =>
    Effect.gen(function* () {
      const server = yield* start()
      const { admin, execution, poll, register, startRun, workers } = clients(createGrpcTransport({ baseUrl: server }))
      const connect = clients(createConnectTransport({ baseUrl: server, httpVersion: "2" }))
      const { workerId } = yield* run(() => register(2))
      const { runId } = yield* run(() => startRun("b"))
      const of = { namespace, runId }
      const task = yield* run(() => poll(workerId))
      const lease = under(task.leaseEpoch)
      assert.isTrue(task.leaseEpoch > 0n)
      assert.strictEqual(task.workflow?.externalId, "b")
      assert.isUndefined(task.workflow?.input)
      assert.isDefined(task.claimedAt)
      assert.deepStrictEqual([task.history.length, task.historyPageToken], [0, ""])

      const one = yield* run(() => workers.beginStep({ ...of, stepName: "one", kind: StepKind.FUNCTION }, lease))
      assert.strictEqual(one.record?.status, StepStatus.RUNNING)
      const done = yield* run(() => workers.completeStep({ ...of, stepId: one.stepId, output: json(1) }, lease))
      assert.strictEqual(done.record?.sequence, 1n)

      const sleep = { seconds: 3600n, nanos: 0 }
      const long = yield* run(() => workers.beginStep({ ...of, stepName: "long", kind: StepKind.SLEEP, sleep }, lease))
      assert.isTrue((long.record?.dueInMs ?? 0n) > 3_590_000n)
      const soon = { seconds: BigInt(Math.floor(Date.now() / 1000)) + 3600n, nanos: 0 }
      const until = yield* run(() =>
        workers.beginStep({ ...of, stepName: "until", kind: StepKind.SLEEP, sleepUntil: soon }, lease)
      )
      assert.strictEqual(until.record?.dueAt?.seconds, soon.seconds)
      const dropped = yield* run(() => execution.cancelStep({ ...of, stepId: until.stepId }, lease))
      assert.isTrue(dropped.record?.cancelled)
      const failed = yield* run(() =>
        workers
          .beginStep({ ...of, stepName: "bad", kind: StepKind.FUNCTION }, lease)
          .then(({ stepId }) =>
            workers.failStep(
              { ...of, stepId, error: { code: ErrorCode.INTERNAL, message: "no", nonRetryable: true } },
              lease
            )
          )
      )
      assert.strictEqual(failed.record?.status, StepStatus.FAILED)
      const replayed = yield* run(() => workers.beginStep({ ...of, stepName: "bad", kind: StepKind.FUNCTION }, lease))
      assert.isFalse(replayed.shouldExecute)
      assert.strictEqual(replayed.record?.error?.message, "no")

      const beat = yield* run(() =>
        workers.heartbeat({
          workerId,
          reportsRuns: true,
          heldRuns: [
            { runId, leaseEpoch: task.leaseEpoch },
            { runId, leaseEpoch: task.leaseEpoch + 1n }
          ]
        })
      )
      assert.deepStrictEqual(
        beat.lostRuns.map((held) => held.leaseEpoch),
        [task.leaseEpoch + 1n]
      )

      const history = yield* run(() => execution.getHistory(of))
      assert.deepStrictEqual(
        history.steps.map((step) => step.name),
        ["one", "long", "until", "bad"]
      )
      assert.strictEqual(history.nextPageToken, "")
      const steps = yield* run(() => admin.listSteps({ ...of, page: { pageSize: 3 } }))
      assert.strictEqual(steps.steps.length, 3)
      assert.isTrue(steps.page?.hasMore)
      const rest = yield* run(() =>
        admin.listSteps({ ...of, page: { pageSize: 3, pageToken: steps.page?.nextPageToken ?? "" } })
      )
      assert.deepStrictEqual([...steps.steps, ...rest.steps].map((step) => step.name).sort(), [
        "bad",
        "long",
        "one",
        "until"
      ])
      assert.deepStrictEqual([rest.page?.hasMore, rest.page?.nextPageToken], [false, ""])
      const step = yield* run(() => admin.getStep({ namespace, stepId: one.stepId }))
      assert.strictEqual(text(step.step?.output), "1")

      const released = yield* run(() => execution.releaseRun(of, lease).then(() => poll(workerId)))
      assert.strictEqual(released.runId, runId)
      assert.deepStrictEqual(
        released.history.map((found) => found.name),
        ["one", "long", "until", "bad"]
      )
      assert.strictEqual(
        (yield* run(() => execution.awaitResult({ ...of, timeoutMs: 1n }))).workflow?.status,
        WorkflowStatus.RUNNING
      )
      const stale = yield* refusal(() => connect.workers.completeWorkflow({ ...of, output: json(0) }, lease))
      assert.strictEqual(stale, Code.FailedPrecondition)
      const current = under(released.leaseEpoch)
      const parked = yield* run(() => execution.suspendRun(of, current))
      assert.isTrue(parked.suspended)
      assert.isDefined(parked.wakeUpAt)

      const { runId: other } = yield* run(() => startRun("c"))
      const next = yield* run(() => poll(workerId))
      assert.strictEqual(next.runId, other)
      const waiting = execution.awaitResult({ namespace, runId: other, timeoutMs: 60_000n })
      const outcome = yield* run(() =>
        workers.failWorkflow(
          { namespace, runId: other, error: { code: ErrorCode.CONFLICT, message: "broken", metadata: { a: "b" } } },
          under(next.leaseEpoch)
        )
      )
      assert.strictEqual(outcome.status, WorkflowStatus.FAILED)
      const { workflow } = yield* run(() => waiting)
      assert.strictEqual(workflow?.error?.message, "broken")
      assert.deepStrictEqual(workflow?.error?.metadata, { a: "b" })
    })
  )

  it.live("answer a plain JSON request", () =>
    Effect.gen(function* () {
      const server = yield* start()
      const post = (path: string, body: unknown) =>
        run(() =>
          fetch(`${server}/kagzi.v1.WorkflowService/${path}`, {
            method: "POST",
            headers: { "content-type": "application/json" },
            body: JSON.stringify(body)
          }).then((response) => response.json() as Promise<Record<string, unknown>>)
        )
      const { runId } = yield* post("StartWorkflow", {
        namespace,
        externalId: "e",
        taskQueue,
        workflowType,
        input: { data: Buffer.from("[1]").toString("base64") }
      })
      const { workflow } = yield* post("GetWorkflow", { namespace, runId })
      assert.deepInclude(workflow as Record<string, unknown>, {
        runId,
        externalId: "e",
        status: "WORKFLOW_STATUS_PENDING"
      })
    })
  )

  it.live("let pages of other origins call them and see errors", () =>
    Effect.gen(function* () {
      const server = yield* start()
      const url = `${server}/kagzi.v1.WorkflowService/GetWorkflow`
      const origin = "http://page.example"
      const preflight = yield* run(() =>
        fetch(url, {
          method: "OPTIONS",
          headers: {
            origin,
            "access-control-request-method": "POST",
            "access-control-request-headers": "content-type,x-grpc-web"
          }
        })
      )
      assert.strictEqual(preflight.status, 204)
      assert.strictEqual(preflight.headers.get("access-control-allow-origin"), "*")
      assert.strictEqual(preflight.headers.get("access-control-allow-headers"), "content-type,x-grpc-web")
      assert.include(preflight.headers.get("access-control-allow-methods"), "POST")
      const answer = yield* run(() =>
        fetch(url, { method: "POST", headers: { origin, "content-type": "application/json" }, body: "{}" })
      )
      assert.strictEqual(answer.status, 400)
      assert.strictEqual(answer.headers.get("access-control-allow-origin"), "*")
      assert.include(answer.headers.get("access-control-expose-headers")?.toLowerCase(), "grpc-status-details-bin")
    })
  )

  it.live("refuse an id that is in use when asked to", () =>
    Effect.gen(function* () {
      const [, transport] = transports(yield* start())[3] ?? assert.fail("no such transport")
      const { startRun, workflows } = clients(transport)
      yield* run(() => startRun("a"))
      const again = { namespace, externalId: "a", taskQueue, workflowType, ifExists: IfExists.REJECT }
      assert.strictEqual(yield* refusal(() => workflows.startWorkflow(again)), Code.Aborted)
      assert.strictEqual(yield* refusal(() => workflows.getWorkflow({ namespace, runId: randomUUID() })), Code.NotFound)
    })
  )
})
