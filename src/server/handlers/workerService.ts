/** What workers do with their presence and with the outcome of runs. */
import { Effect } from "effect"
import { WorkerService } from "../../../gen/kagzi/v1/worker_pb.ts"
import { Engine } from "../../engine/Engine.ts"
import { held, readErrorDetail, readHeld, requested } from "../../protocol/codec.ts"
import * as enums from "../../protocol/enums.ts"
import { invalid, nonEmpty, payload, underLease, uuid } from "../checks.ts"
import { entry } from "../Handler.ts"
import { pollTask } from "./pollTask.ts"
import { stepEntries } from "./steps.ts"

const methods = WorkerService.method

const register = entry(
  methods.register,
  Effect.fnUntraced(function* (request) {
    const engine = yield* Engine
    const limits = request.workflowTypeConcurrency.map(
      ({ maxConcurrent, workflowType }) => [workflowType, maxConcurrent] as const
    )
    const worker = yield* engine.execute({
      _tag: "RegisterWorker",
      workerId: yield* engine.newId,
      namespaceId: yield* engine.newId,
      namespace: yield* nonEmpty(request.namespace, "namespace"),
      taskQueue: yield* nonEmpty(request.taskQueue, "task_queue"),
      workflowTypes: request.workflowTypes,
      hostname: request.hostname,
      pid: request.pid,
      instanceId: request.instanceId,
      version: request.version,
      labels: request.labels,
      workflowTypeConcurrency: Object.fromEntries(limits),
      ...(request.queueConcurrencyLimit === undefined ? {} : { queueConcurrencyLimit: request.queueConcurrencyLimit })
    })
    return {
      workerId: worker.workerId,
      heartbeatIntervalSecs: Math.max(1, Math.floor(engine.options.heartbeatMillis / 1000))
    }
  })
)

const heartbeat = entry(
  methods.heartbeat,
  Effect.fnUntraced(function* (request) {
    const workerId = yield* uuid(request.workerId, "worker_id")
    const reported = yield* Effect.forEach(request.heldRuns, (run) => requested(readHeld(run)))
    const reply = yield* (yield* Engine).execute({
      _tag: "Heartbeat",
      workerId,
      ...(request.reportsRuns ? { held: reported } : {})
    })
    return {
      accepted: true,
      shouldDrain: reply.shouldDrain,
      lostRuns: reply.lost.map(held),
      cancelledRuns: reply.cancelled.map(held)
    }
  })
)

const deregister = entry(
  methods.deregister,
  Effect.fnUntraced(function* (request) {
    const workerId = yield* uuid(request.workerId, "worker_id")
    return yield* (yield* Engine).execute({ _tag: "DeregisterWorker", workerId, drain: request.drain })
  })
)

const completeWorkflow = entry(
  methods.completeWorkflow,
  Effect.fnUntraced(function* (request, call) {
    const run = yield* underLease(request, call)
    const output = yield* payload(request.output, "output")
    const { status } = yield* (yield* Engine).execute({ _tag: "CompleteRun", output, ...run })
    return { status: enums.status.toProto(status) }
  })
)

const failWorkflow = entry(
  methods.failWorkflow,
  Effect.fnUntraced(function* (request, call) {
    const run = yield* underLease(request, call)
    if (request.error === undefined) return yield* invalid("error is missing")
    const error = readErrorDetail(request.error)
    const { status } = yield* (yield* Engine).execute({ _tag: "FailRun", error, ...run })
    return { status: enums.status.toProto(status) }
  })
)

export const workerService = [register, heartbeat, deregister, pollTask, ...stepEntries, completeWorkflow, failWorkflow]
