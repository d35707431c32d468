/** Who may write to a run. */
import { Result } from "effect"
import { isTerminal } from "../../Run.ts"
import type { RunRecord, StepRecord, WorkerRecord } from "../../store/Store.ts"
import { type Decision, leaseLost, notFound, wrongStatus } from "./failures.ts"
import type { WorkingSet } from "./WorkingSet.ts"

/** What a decision depends on beside rows. Times in milliseconds; `random` is in [0, 1). */
export interface Circumstances {
  readonly now: number
  readonly random: number
  /** How long a claim or a heartbeat keeps a run. */
  readonly leaseMillis: number
  /** How long a worker may be silent before it counts as gone. */
  readonly staleMillis: number
  /** How often workers that register are told to show signs of life. */
  readonly heartbeatMillis: number
}

/** More than what is decided may be late, or servers may differ in what the time is. Milliseconds. */
const lateMillis = 60_000

/** The later of the two, unless the known one is so far ahead that the clock must have been set back since. */
export const later = (known: number, time: number): number =>
  known <= time + lateMillis ? Math.max(known, time) : time

/**
 * So many of the intervals that a worker was told of leases last at least, and it may be silent, with every server:
 * servers may be set differently.
 */
export const guaranteedIntervals = 2

interface OfRun {
  readonly namespace: string
  readonly runId: string
}

interface UnderLease extends OfRun {
  readonly lease?: number
}

/** The run of a command, if it is in the command's namespace. */
export const find = (set: WorkingSet, command: OfRun): Decision<RunRecord> => {
  const run = set.run(command.runId)
  return run === undefined || run.namespace !== command.namespace
    ? notFound("workflow", command.runId)
    : Result.succeed(run)
}

/** The run of a command, if it has not ended. */
export const findActive = (set: WorkingSet, command: OfRun): Decision<RunRecord> =>
  Result.flatMap(find(set, command), (run) =>
    isTerminal(run.status) ? wrongStatus(run.runId, run.status) : Result.succeed(run)
  )

/** Whether the command comes from the latest claim of the run. Peers that know no leases never say so. */
export const isLatestClaim = (run: RunRecord, command: UnderLease): boolean =>
  command.lease !== undefined && command.lease === run.leaseEpoch

/** Whether a run is held under that lease now. */
export const isHeld = (run: RunRecord, lease: number): boolean => run.status === "RUNNING" && run.leaseEpoch === lease

/** The run of a worker's command, if that worker may write to it. */
export const findHeld = (set: WorkingSet, command: UnderLease): Decision<RunRecord> =>
  Result.flatMap(findActive(set, command), (run) => {
    if (command.lease !== undefined) {
      return isHeld(run, command.lease) ? Result.succeed(run) : leaseLost(run.runId)
    }
    return run.status === "RUNNING" ? Result.succeed(run) : wrongStatus(run.runId, run.status)
  })

/** A step of that run. */
export const findStep = (set: WorkingSet, run: RunRecord, stepId: string): Decision<StepRecord> => {
  const step = set.step(stepId)
  return step === undefined || step.runId !== run.runId ? notFound("step", stepId) : Result.succeed(step)
}

/** When the lease ends of a run that a worker is given or holds now. */
export const endOf = (worker: WorkerRecord, at: Circumstances): number =>
  at.now + Math.max(at.leaseMillis, worker.patienceMillis)

/** The run with its lease renewed. A server that comes late, or has shorter leases, cuts nothing short. */
export const renewed = (run: RunRecord, worker: WorkerRecord, at: Circumstances): RunRecord => {
  const end = endOf(worker, at)
  return { ...run, dueAt: later(run.dueAt ?? end, end) }
}

/** The run without a holder, claimable at that time. */
export const released = (run: RunRecord, dueAt: number): RunRecord => ({ ...run, status: "PENDING", dueAt })

/** The run parked until that time. */
export const parked = (run: RunRecord, dueAt: number): RunRecord => ({ ...run, status: "SLEEPING", dueAt })

/** The run after its end. */
export const ended = (run: RunRecord, status: "COMPLETED" | "FAILED" | "CANCELLED", now: number): RunRecord => {
  const { dueAt: _, ...rest } = run
  return { ...rest, status, finishedAt: now }
}
