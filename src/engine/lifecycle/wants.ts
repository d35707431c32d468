/** Which rows a batch of commands needs to see. */
import type { Wants, WorkerKey } from "../../store/Store.ts"
import type { ClaimRun, Command } from "../Command.ts"
import type { FireSchedule } from "../ScheduleCommand.ts"
import { claimKey } from "./WorkingSet.ts"

/** Collects wants while a batch is read. */
class Collected {
  readonly namespaces = new Set<string>()
  readonly runs = new Set<string>()
  readonly externalIds: Array<{ readonly namespace: string; readonly externalId: string }> = []
  readonly steps: Array<Wants["steps"][number]> = []
  /** The runs of the steps that the commands so far begin, by the ids they may get. */
  readonly begun = new Map<string, string>()
  readonly stepIds = new Set<string>()
  readonly waits = new Set<string>()
  readonly workers = new Set<string>()
  readonly workerKeys: Array<WorkerKey> = []
  readonly workerRuns = new Set<string>()
  readonly renewing = new Set<string>()
  readonly schedules = new Set<string>()
  readonly scheduleRuns = new Set<string>()
  readonly firing: Array<FireSchedule> = []
  readonly claims = new Map<string, { readonly claim: ClaimRun; count: number }>()
  expires = false

  claim(command: ClaimRun): void {
    const key = claimKey(command)
    const entry = this.claims.get(key)
    if (entry === undefined) this.claims.set(key, { claim: command, count: command.limit })
    else entry.count += command.limit
  }
}

const collect = (wants: Collected, command: Command): void => {
  switch (command._tag) {
    case "CreateNamespace":
    case "UpdateNamespace":
      wants.namespaces.add(command.namespace)
      return
    case "DrainWorker":
      wants.workers.add(command.workerId)
      return
    case "StartRun":
      wants.namespaces.add(command.namespace)
      wants.externalIds.push({ namespace: command.namespace, externalId: command.externalId })
      return
    case "RetryRun":
      wants.namespaces.add(command.namespace)
      wants.runs.add(command.runId)
      return
    case "FindRun":
    case "CancelRun":
    case "TerminateRun":
    case "ReleaseRun":
    case "CompleteRun":
    case "FailRun":
      wants.runs.add(command.runId)
      return
    case "SuspendRun":
      wants.runs.add(command.runId)
      wants.waits.add(command.runId)
      return
    case "BeginStep":
      wants.runs.add(command.runId)
      wants.steps.push({ runId: command.runId, name: command.name, stepId: command.stepId })
      wants.begun.set(command.stepId, command.runId)
      return
    case "CompleteStep":
      wants.runs.add(command.runId)
      // a step that is begun in this batch is made by it, or loaded by its name
      if (wants.begun.get(command.stepId) !== command.runId) wants.stepIds.add(command.stepId)
      return
    case "FailStep":
    case "SleepStep":
    case "CancelStep":
      wants.runs.add(command.runId)
      wants.stepIds.add(command.stepId)
      // Parking needs the earliest wait; a repeated failure and a cancellation need the attempt that waits.
      wants.waits.add(command.runId)
      return
    case "RegisterWorker":
      wants.namespaces.add(command.namespace)
      wants.workerKeys.push(command)
      return
    case "Heartbeat":
      wants.workers.add(command.workerId)
      wants.renewing.add(command.workerId)
      wants.workerRuns.add(command.workerId)
      for (const { runId } of command.held ?? []) wants.runs.add(runId)
      return
    case "DeregisterWorker":
      wants.workers.add(command.workerId)
      wants.workerRuns.add(command.workerId)
      return
    case "ExpireWorkers":
      wants.expires = true
      return
    case "CreateSchedule":
      wants.namespaces.add(command.namespace)
      return
    case "UpdateSchedule":
    case "PauseSchedule":
    case "ResumeSchedule":
    case "DeleteSchedule":
      wants.schedules.add(command.scheduleId)
      return
    case "TriggerSchedule":
      wants.namespaces.add(command.namespace)
      wants.schedules.add(command.scheduleId)
      return
    case "FireSchedule":
      wants.namespaces.add(command.namespace)
      wants.schedules.add(command.scheduleId)
      if (command.overlap !== "allow") wants.scheduleRuns.add(command.scheduleId)
      wants.firing.push(command)
      return
    case "ClaimRun":
      wants.namespaces.add(command.namespace)
      wants.workers.add(command.workerId)
      wants.claim(command)
      return
  }
}

/** The rows that those commands need at that time. */
export const wantsOf = (
  commands: Iterable<Command>,
  at: { readonly now: number; readonly staleMillis: number }
): Wants => {
  const collected = new Collected()
  for (const command of commands) collect(collected, command)
  return {
    namespaces: collected.namespaces,
    runs: collected.runs,
    externalIds: collected.externalIds,
    steps: collected.steps,
    stepIds: collected.stepIds,
    waits: collected.waits,
    workers: collected.workers,
    workerKeys: collected.workerKeys,
    workerRuns: collected.workerRuns,
    schedules: collected.schedules,
    scheduleRuns: collected.scheduleRuns,
    slots: collected.firing.map(({ nextFireAt, scheduleId }) => ({ scheduleId, from: nextFireAt, to: at.now })),
    ...(collected.renewing.size > 0 ? { renewals: { workers: collected.renewing, at: at.now } } : {}),
    ...(collected.expires ? { quiet: { since: at.now - at.staleMillis, now: at.now } } : {}),
    claims: Array.from(collected.claims.values(), ({ claim, count }) => ({
      namespace: claim.namespace,
      taskQueue: claim.taskQueue,
      workflowTypes: claim.workflowTypes,
      dueBy: at.now,
      limit: count
    }))
  }
}
