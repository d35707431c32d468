/**
 * Requests as commands of the engine, whichever way they came in. A failure says which field is wrong.
 *
 * The lease is what the caller says it holds the run under; none where it knows nothing of leases.
 */
import { Effect, Result } from "effect"
import type { CancelStepRequest, ReleaseRunRequest, SuspendRunRequest } from "../../gen/kagzi/v1/execution_pb.ts"
import type {
  BeginStepRequest,
  CompleteStepRequest,
  CompleteWorkflowRequest,
  DeregisterRequest,
  FailStepRequest,
  FailWorkflowRequest,
  HeartbeatRequest,
  RegisterRequest
} from "../../gen/kagzi/v1/worker_pb.ts"
import type { StartWorkflowRequest } from "../../gen/kagzi/v1/workflow_pb.ts"
import type * as Command from "../engine/Command.ts"
import { Engine } from "../engine/Engine.ts"
import type * as KagziError from "../KagziError.ts"
import * as codec from "../protocol/codec.ts"
import type { Read } from "../protocol/codec.ts"
import { readStepKind } from "../protocol/codecRun.ts"
import * as enums from "../protocol/enums.ts"
import { leaseHeader, readLease } from "../protocol/extensions.ts"
import {
  limited,
  nameProblem,
  type PayloadLimits,
  readNonEmpty,
  readPayload,
  readRun,
  readUuid,
  textProblem,
  textsProblem
} from "./checks.ts"
import type { Call } from "./Handler.ts"

/** What commands are made with. */
export interface Making extends PayloadLimits {
  readonly newId: () => string
}

type Lease = number | undefined

const fail = (message: string): Result.Result<never, string> => Result.fail(message)

interface UnderLease {
  readonly namespace: string
  readonly runId: string
  readonly lease?: number
}

const underLease = (request: { readonly namespace: string; readonly runId: string }, lease: Lease): Read<UnderLease> =>
  lease === undefined ? readRun(request) : Result.map(readRun(request), (run) => ({ ...run, lease }))

export const startRun = (request: StartWorkflowRequest, making: Making): Read<Command.StartRun> => {
  const { externalId, namespace, taskQueue, version, workflowType } = request
  const problem =
    nameProblem(namespace, "namespace") ??
    nameProblem(externalId, "external_id") ??
    nameProblem(taskQueue, "task_queue") ??
    nameProblem(workflowType, "workflow_type") ??
    textProblem(version, "version")
  if (problem !== undefined) return fail(problem)
  const ifExists = enums.ifExists.fromProto(request.ifExists)
  if (ifExists === undefined) return fail(`if_exists is unknown: ${request.ifExists}`)
  const input = readPayload(request.input, "input", making)
  if (Result.isFailure(input)) return fail(input.failure)
  const policy = request.retryPolicy === undefined ? undefined : codec.readRetryPolicy(request.retryPolicy)
  if (policy !== undefined && Result.isFailure(policy)) return fail(policy.failure)
  const runId = making.newId()
  return Result.succeed({
    _tag: "StartRun",
    runId,
    // of another kind of thing, so that it need not be another id
    namespaceId: runId,
    namespace,
    externalId,
    taskQueue,
    workflowType,
    version,
    input: input.success,
    ifExists,
    ...(policy === undefined ? {} : { retryPolicy: policy.success })
  })
}

export const registerWorker = (request: RegisterRequest, { newId }: Making): Read<Command.RegisterWorker> => {
  const { hostname, instanceId, labels, namespace, pid, queueConcurrencyLimit, taskQueue, version } = request
  const problem =
    nameProblem(namespace, "namespace") ??
    nameProblem(taskQueue, "task_queue") ??
    textProblem(hostname, "hostname") ??
    textProblem(instanceId, "instance_id") ??
    textProblem(version, "version") ??
    textsProblem(request.workflowTypes, "workflow_types") ??
    textsProblem(
      request.workflowTypeConcurrency.map(({ workflowType }) => workflowType),
      "workflow_type_concurrency"
    )
  if (problem !== undefined) return fail(problem)
  const limits = request.workflowTypeConcurrency.map(
    ({ maxConcurrent, workflowType }) => [workflowType, maxConcurrent] as const
  )
  return Result.succeed({
    _tag: "RegisterWorker",
    workerId: newId(),
    namespaceId: newId(),
    namespace,
    taskQueue,
    workflowTypes: request.workflowTypes,
    hostname,
    pid,
    instanceId,
    version,
    labels,
    workflowTypeConcurrency: Object.fromEntries(limits),
    ...(queueConcurrencyLimit === undefined ? {} : { queueConcurrencyLimit })
  })
}

export const heartbeat = (
  request: Pick<HeartbeatRequest, "workerId" | "reportsRuns" | "heldRuns" | "stream">
): Read<Command.Heartbeat> =>
  Result.flatMap(readUuid(request.workerId, "worker_id"), (workerId) =>
    Result.flatMap(Result.all(request.heldRuns.map(codec.readHeld)), (held) => {
      const problem = textsProblem(
        held.map(({ runId }) => runId),
        "held_runs"
      )
      return problem === undefined
        ? Result.succeed({
            _tag: "Heartbeat",
            workerId,
            ...(request.reportsRuns ? { held } : {}),
            ...(request.stream === 0 ? {} : { stream: request.stream })
          })
        : fail(problem)
    })
  )

export const deregisterWorker = ({ drain, workerId }: DeregisterRequest): Read<Command.DeregisterWorker> =>
  Result.map(readUuid(workerId, "worker_id"), (workerId) => ({ _tag: "DeregisterWorker", workerId, drain }))

const readSleep = (request: BeginStepRequest): Read<Command.BeginStep["sleep"]> => {
  if (request.sleep !== undefined) {
    return Result.map(codec.readDuration(request.sleep, "sleep"), (millis) => ({ millis }))
  }
  if (request.sleepUntil !== undefined) {
    return Result.map(codec.readDue(request.sleepUntil, "sleep_until"), (until) => ({ until }))
  }
  return Result.succeed(undefined)
}

export const beginStep = (request: BeginStepRequest, lease: Lease, making: Making): Read<Command.BeginStep> => {
  const run = underLease(request, lease)
  if (Result.isFailure(run)) return fail(run.failure)
  const name = readNonEmpty(request.stepName, "step_name")
  if (Result.isFailure(name)) return fail(name.failure)
  const kind = readStepKind(request.kind)
  if (Result.isFailure(kind)) return fail(kind.failure)
  const stepId = request.stepId === "" ? Result.succeed(making.newId()) : readUuid(request.stepId, "step_id")
  if (Result.isFailure(stepId)) return fail(stepId.failure)
  const input = readPayload(request.input, "input", making)
  if (Result.isFailure(input)) return fail(input.failure)
  const policy = request.retryPolicy === undefined ? undefined : codec.readRetryPolicy(request.retryPolicy)
  if (policy !== undefined && Result.isFailure(policy)) return fail(policy.failure)
  const sleep = readSleep(request)
  if (Result.isFailure(sleep)) return fail(sleep.failure)
  const output = request.output === undefined ? undefined : readPayload(request.output, "output", making)
  if (output !== undefined && Result.isFailure(output)) return fail(output.failure)
  return Result.succeed({
    _tag: "BeginStep",
    ...run.success,
    stepId: stepId.success,
    name: name.success,
    kind: kind.success,
    input: input.success,
    ...(policy === undefined ? {} : { retryPolicy: policy.success }),
    ...(sleep.success === undefined ? {} : { sleep: sleep.success }),
    ...(output === undefined ? {} : { output: output.success })
  })
}

export const completeStep = (
  request: CompleteStepRequest,
  lease: Lease,
  making: PayloadLimits
): Read<Command.CompleteStep> => {
  const run = underLease(request, lease)
  if (Result.isFailure(run)) return fail(run.failure)
  const stepId = readUuid(request.stepId, "step_id")
  if (Result.isFailure(stepId)) return fail(stepId.failure)
  const output = readPayload(request.output, "output", making)
  if (Result.isFailure(output)) return fail(output.failure)
  return Result.succeed({
    _tag: "CompleteStep",
    ...run.success,
    stepId: stepId.success,
    output: output.success
  })
}

export const failStep = (request: FailStepRequest, lease: Lease, { newId }: Making): Read<Command.FailStep> =>
  Result.flatMap(underLease(request, lease), (run) =>
    Result.flatMap(readUuid(request.stepId, "step_id"), (stepId) =>
      request.error === undefined
        ? fail("error is missing")
        : Result.succeed({
            _tag: "FailStep",
            ...run,
            stepId,
            error: codec.readErrorDetail(request.error),
            nextStepId: newId()
          })
    )
  )

export const cancelStep = (request: CancelStepRequest, lease: Lease): Read<Command.CancelStep> =>
  Result.flatMap(underLease(request, lease), (run) =>
    Result.map(readUuid(request.stepId, "step_id"), (stepId) => ({ _tag: "CancelStep", ...run, stepId }))
  )

export const suspendRun = (request: SuspendRunRequest, lease: Lease): Read<Command.SuspendRun> =>
  Result.map(underLease(request, lease), (run) => ({ _tag: "SuspendRun", ...run }))

export const releaseRun = (request: ReleaseRunRequest, lease: Lease): Read<Command.ReleaseRun> =>
  Result.map(underLease(request, lease), (run) => ({ _tag: "ReleaseRun", ...run }))

export const completeRun = (
  request: CompleteWorkflowRequest,
  lease: Lease,
  making: PayloadLimits
): Read<Command.CompleteRun> => {
  const run = underLease(request, lease)
  if (Result.isFailure(run)) return fail(run.failure)
  const output = readPayload(request.output, "output", making)
  return Result.isFailure(output)
    ? fail(output.failure)
    : Result.succeed({ _tag: "CompleteRun", ...run.success, output: output.success })
}

export const failRun = (request: FailWorkflowRequest, lease: Lease): Read<Command.FailRun> =>
  Result.flatMap(underLease(request, lease), (run) =>
    request.error === undefined
      ? fail("error is missing")
      : Result.succeed({ _tag: "FailRun", ...run, error: codec.readErrorDetail(request.error) })
  )

/** The command of a unary call. */
export const requestedCommand = <C>(
  read: (making: Making) => Read<C>
): Effect.Effect<C, KagziError.InvalidArgument, Engine> =>
  Effect.flatMap(Engine, ({ newIdUnsafe }) => limited((limits) => read({ ...limits, newId: newIdUnsafe })))

/** The lease in the header of a unary call. */
export const leaseOf = (call: Call): Effect.Effect<Lease, KagziError.InvalidArgument> =>
  codec.requested(readLease(call.header(leaseHeader)))
