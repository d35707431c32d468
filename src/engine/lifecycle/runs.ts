/** The life of a run: its start, its end, and the ways between. */
import { Result } from "effect"
import type * as KagziError from "../../KagziError.ts"
import * as Errors from "../../KagziError.ts"
import { runStatusMark, terminatedMark } from "../../marks.ts"
import * as RetryPolicy from "../../RetryPolicy.ts"
import { isTerminal, type Status } from "../../Run.ts"
import type { RunRecord } from "../../store/Store.ts"
import type {
  CancelRun,
  CompleteRun,
  FailRun,
  ReleaseRun,
  Reply,
  RetryRun,
  StartRun,
  SuspendRun,
  TerminateRun
} from "../Command.ts"
import { type Decision, invalid, leaseLost, refused } from "./failures.ts"
import * as Leases from "./leases.ts"
import * as Namespaces from "./namespaces.ts"
import { nextAttemptAt } from "./retry.ts"
import type { WorkingSet } from "./WorkingSet.ts"

/** Whether the run was ended from outside, by a cancellation or a termination. */
export const wasStopped = (run: RunRecord): boolean =>
  run.status === "CANCELLED" || (run.status === "FAILED" && run.error?.metadata[terminatedMark] === "true")

/** A new run that may be claimed at once. */
export const pending = (
  fields: Pick<
    RunRecord,
    "namespace" | "runId" | "externalId" | "taskQueue" | "workflowType" | "version" | "priority" | "retryPolicy"
  >,
  now: number
): RunRecord => ({
  ...fields,
  status: "PENDING",
  attempts: 0,
  createdAt: now,
  dueAt: now,
  leaseEpoch: 0,
  expiries: 0,
  stepCount: 0,
  sequence: 0,
  stepFailed: false
})

const problemOf = (command: StartRun): string | undefined => {
  if (command.externalId === "") return "external_id must not be empty"
  if (command.taskQueue === "") return "task_queue must not be empty"
  if (command.workflowType === "") return "workflow_type must not be empty"
  const policy = command.retryPolicy === undefined ? undefined : RetryPolicy.problem(command.retryPolicy)
  return policy === undefined ? undefined : `retry_policy: ${policy}`
}

export const startRun = (set: WorkingSet, command: StartRun, at: Leases.Circumstances): Decision<Reply["StartRun"]> => {
  const problem = problemOf(command)
  if (problem !== undefined) return invalid(problem)
  const namespace = Result.flatMap(
    Namespaces.ensure(set, command.namespace, command.namespaceId, at.now),
    Namespaces.requireEnabled
  )
  if (Result.isFailure(namespace)) return Result.fail(namespace.failure)

  const earlier = set.runByExternalId(command.namespace, command.externalId)
  if (earlier !== undefined) {
    if (command.ifExists === "reject") {
      return Result.fail(
        Errors.make("Conflict", `There is already a workflow with id ${command.externalId}`, {
          subject: "workflow",
          subjectId: earlier.runId
        })
      )
    }
    if (!isTerminal(earlier.status) || command.ifExists === "return-finished") {
      return Result.succeed({ runId: earlier.runId, alreadyExists: true })
    }
  }
  const { externalId, retryPolicy, runId, taskQueue, workflowType } = command
  const version = command.version === "" ? "1" : command.version
  set.putRun(
    pending(
      {
        namespace: command.namespace,
        runId,
        externalId,
        taskQueue,
        workflowType,
        version,
        priority: 0,
        ...(retryPolicy === undefined ? {} : { retryPolicy })
      },
      at.now
    )
  )
  set.putInput(runId, command.input)
  return Result.succeed({ runId, alreadyExists: false })
}

const ofRetry = /~[0-9a-f-]{36}$/

/** A new run of the same work. Its external id is the earlier one's with the new run's id behind it. */
export const retryRun = (set: WorkingSet, command: RetryRun, at: Leases.Circumstances): Decision<Reply["RetryRun"]> => {
  const found = Leases.find(set, command)
  if (Result.isFailure(found)) return Result.fail(found.failure)
  const run = found.success
  if (!isTerminal(run.status)) return refused(`Workflow ${run.runId} has not ended`, { [runStatusMark]: run.status })
  const namespace = set.namespace(run.namespace)
  if (namespace !== undefined) {
    const enabled = Namespaces.requireEnabled(namespace)
    if (Result.isFailure(enabled)) return Result.fail(enabled.failure)
  }
  const { newRunId } = command
  set.putRun(
    pending(
      {
        namespace: run.namespace,
        runId: newRunId,
        externalId: `${run.externalId.replace(ofRetry, "")}~${newRunId}`,
        taskQueue: run.taskQueue,
        workflowType: run.workflowType,
        version: run.version,
        priority: run.priority,
        ...(run.retryPolicy === undefined ? {} : { retryPolicy: run.retryPolicy })
      },
      at.now
    )
  )
  set.copyInput(newRunId, run.runId)
  return Result.succeed({ newRunId })
}

export const cancelRun = (
  set: WorkingSet,
  command: CancelRun,
  at: Leases.Circumstances
): Decision<{ readonly status: Status }> =>
  Result.map(Leases.findActive(set, command), (run) => ({
    status: set.putRun(Leases.ended(run, "CANCELLED", at.now)).status
  }))

export const terminateRun = (
  set: WorkingSet,
  command: TerminateRun,
  at: Leases.Circumstances
): Decision<{ readonly status: Status }> =>
  Result.map(Leases.findActive(set, command), (run) => {
    const error: KagziError.Detail = {
      code: "Internal",
      message: command.reason === "" ? "The workflow was terminated" : command.reason,
      nonRetryable: true,
      subject: "workflow",
      subjectId: run.runId,
      metadata: { [terminatedMark]: "true" }
    }
    return { status: set.putRun({ ...Leases.ended(run, "FAILED", at.now), error }).status }
  })

export const completeRun = (
  set: WorkingSet,
  command: CompleteRun,
  at: Leases.Circumstances
): Decision<{ readonly status: Status }> => {
  const found = Leases.find(set, command)
  if (Result.isFailure(found)) return Result.fail(found.failure)
  if (found.success.status === "COMPLETED" && Leases.isLatestClaim(found.success, command)) {
    return Result.succeed({ status: "COMPLETED" })
  }
  return Result.map(Leases.findHeld(set, command), (run) => {
    set.putOutput(run.runId, command.output)
    return { status: set.putRun(Leases.ended(run, "COMPLETED", at.now)).status }
  })
}

/** When the run's own policy, given at its start, has it tried again. A step that failed for good would fail again. */
const runRetryAt = (run: RunRecord, error: KagziError.Detail, at: Leases.Circumstances): number | undefined =>
  run.retryPolicy === undefined || run.stepFailed
    ? undefined
    : nextAttemptAt(RetryPolicy.resolve(run.retryPolicy), run.attempts, error, at.now, at.random)

export const failRun = (
  set: WorkingSet,
  command: FailRun,
  at: Leases.Circumstances
): Decision<{ readonly status: Status }> => {
  const found = Leases.find(set, command)
  if (Result.isFailure(found)) return Result.fail(found.failure)
  const repeated =
    found.success.status === "FAILED" && !wasStopped(found.success) && Leases.isLatestClaim(found.success, command)
  if (repeated) return Result.succeed({ status: "FAILED" })
  return Result.map(Leases.findHeld(set, command), (run) => {
    const retryAt = runRetryAt(run, command.error, at)
    return {
      status: set.putRun(
        retryAt === undefined
          ? { ...Leases.ended(run, "FAILED", at.now), error: command.error }
          : { ...Leases.released(run, retryAt), attempts: run.attempts + 1 }
      ).status
    }
  })
}

/** Parks a run until its earliest wait is due, and answers a repeat as the first time. */
export const suspendRun = (
  set: WorkingSet,
  command: SuspendRun,
  at: Leases.Circumstances
): Decision<Reply["SuspendRun"]> => {
  const found = Leases.findActive(set, command)
  if (Result.isFailure(found)) return Result.fail(found.failure)
  const { dueAt, status } = found.success
  if (status === "SLEEPING" && dueAt !== undefined && Leases.isLatestClaim(found.success, command)) {
    return Result.succeed({ suspended: true, wakeUpAt: dueAt })
  }
  return Result.flatMap(Leases.findHeld(set, command), (run) => {
    const wait = set.waits(run.runId)[0]
    if (wait === undefined) return refused(`Workflow ${run.runId} waits for nothing`)
    const suspended = wait.dueAt > at.now
    if (suspended) set.putRun(Leases.parked(run, wait.dueAt))
    return Result.succeed({ suspended, wakeUpAt: wait.dueAt })
  })
}

/** Makes a run claimable at once, and answers a repeat as the first time. */
export const releaseRun = (
  set: WorkingSet,
  command: ReleaseRun,
  at: Leases.Circumstances
): Decision<{ readonly status: Status }> =>
  Result.flatMap(Leases.findActive(set, command), (run) => {
    if (command.lease !== undefined && !Leases.isLatestClaim(run, command)) return leaseLost(run.runId)
    if (run.status !== "RUNNING" && Leases.isLatestClaim(run, command)) return Result.succeed({ status: run.status })
    return Result.map(Leases.findHeld(set, command), (held) => ({
      status: set.putRun(Leases.released(held, at.now)).status
    }))
  })
