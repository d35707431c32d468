/** How a worker gets a run, and how often one may be lost. */
import { Result } from "effect"
import type * as KagziError from "../../KagziError.ts"
import type { RunRecord, WorkerRecord } from "../../store/Store.ts"
import type { Claimed, ClaimRun, Reply } from "../Command.ts"
import { type Decision, invalid, refused } from "./failures.ts"
import * as Leases from "./leases.ts"
import * as Namespaces from "./namespaces.ts"
import * as Sleeps from "./sleeps.ts"
import type { WorkingSet } from "./WorkingSet.ts"
import * as Workers from "./workers.ts"

const defaultMaximumExpiries = 10

/**
 * How many leases in a row may run out before the run is given up: as many as its policy allows executions, and without
 * limit (0) where the policy has none. One lost worker alone never ends a run.
 */
const maximumExpiries = (run: RunRecord): number => {
  const maximum = run.retryPolicy?.maximumAttempts
  if (maximum === undefined) return defaultMaximumExpiries
  return maximum === 0 ? Number.POSITIVE_INFINITY : Math.max(2, maximum)
}

const givenUp = (run: RunRecord, expiries: number): KagziError.Detail => ({
  code: "Internal",
  message: `The workflow was given up: ${expiries} leases in a row ran out with no step ended in between`,
  nonRetryable: true,
  subject: "workflow",
  subjectId: run.runId,
  metadata: { "kagzi.expiries": String(expiries) }
})

/** The worker that asks, if it may be given a run. */
const claimant = (set: WorkingSet, command: ClaimRun): Decision<WorkerRecord> => {
  if (command.namespace === "") return invalid("namespace must not be empty")
  if (command.taskQueue === "") return invalid("task_queue must not be empty")
  if (command.workflowTypes.length === 0) return invalid("workflow_types must not be empty")
  const worker = set.worker(command.workerId)
  if (worker === undefined || worker.namespace !== command.namespace || worker.status === "OFFLINE") {
    return refused(`Worker ${command.workerId} is not registered or offline`)
  }
  if (worker.taskQueue !== command.taskQueue) {
    return refused(`Worker ${command.workerId} is registered for task queue ${worker.taskQueue}`)
  }
  if (worker.status === "DRAINING") return refused(`Worker ${command.workerId} is draining`)
  const foreign = command.workflowTypes.find((type) => !worker.workflowTypes.includes(type))
  if (foreign !== undefined) return refused(`Worker ${command.workerId} is not registered for workflow type ${foreign}`)
  const namespace = set.namespace(command.namespace)
  return namespace === undefined
    ? refused(`There is no namespace ${command.namespace}`)
    : Result.map(Namespaces.requireEnabled(namespace), () => worker)
}

const isClaimable = (run: RunRecord, command: ClaimRun, now: number): boolean =>
  run.dueAt !== undefined &&
  run.dueAt <= now &&
  run.namespace === command.namespace &&
  run.taskQueue === command.taskQueue &&
  command.workflowTypes.includes(run.workflowType)

const isTaken = (run: RunRecord, now: number): boolean => run.status === "RUNNING" && run.claimedAt === now

/**
 * Hands out the first runs that are still due and that no limit holds up, with their due sleeps ended: as many as there
 * are and are wanted.
 */
export const claimRun = (set: WorkingSet, command: ClaimRun, at: Leases.Circumstances): Decision<Reply["ClaimRun"]> => {
  if (command.limit < 1) return invalid("limit must be 1 or more")
  return Result.map(claimant(set, command), (worker) => {
    Workers.seen(set, worker, at.now)
    const runs: Array<Claimed> = []
    let exhausted = true
    for (const runId of set.candidates(command)) {
      if (runs.length === command.limit) break
      const run = set.run(runId)
      if (run === undefined || !isClaimable(run, command, at.now)) {
        // it may have kept a later run from being loaded, unless all that were due are loaded and another claim took it
        exhausted &&=
          run !== undefined &&
          ((set.hasAllDue(command) && isTaken(run, at.now)) || !command.workflowTypes.includes(run.workflowType))
        continue
      }
      const expiries = run.status === "RUNNING" ? run.expiries + 1 : run.expiries
      if (expiries >= maximumExpiries(run)) {
        set.putRun({ ...Leases.ended(run, "FAILED", at.now), expiries, error: givenUp(run, expiries) })
        exhausted = false
        continue
      }
      if (set.isFull(run)) {
        exhausted = false
        continue
      }
      set.putRun({
        ...run,
        status: "RUNNING",
        workerId: worker.workerId,
        leaseEpoch: run.leaseEpoch + 1,
        dueAt: Leases.endOf(worker, at),
        claimedAt: at.now,
        startedAt: run.startedAt ?? at.now,
        attempts: Math.max(1, run.attempts),
        expiries
      })
      Sleeps.endDue(set, runId, at.now)
      const claimed = set.run(runId) ?? run
      runs.push({ run: claimed, lease: claimed.leaseEpoch, claimedAt: at.now })
    }
    return { runs, exhausted: exhausted && runs.length < command.limit }
  })
}
