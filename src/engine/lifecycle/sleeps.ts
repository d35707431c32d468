/** Timers of SLEEP steps: when they end, and what that does to the run. */
import { Result } from "effect"
import { longestWaitMillis } from "../../Run.ts"
import type { RunRecord, StepRecord } from "../../store/Store.ts"
import type { BeginStep, Reply, SleepStep } from "../Command.ts"
import { type Decision, invalid, refused, wrongStatus } from "./failures.ts"
import * as Leases from "./leases.ts"
import { completed } from "./stepEnd.ts"
import type { WorkingSet } from "./WorkingSet.ts"

/** Why a wait can't be, or undefined. */
export const sleepProblem = (sleep: NonNullable<BeginStep["sleep"]>, now: number): string | undefined => {
  const millis = "millis" in sleep ? sleep.millis : sleep.until - now
  if (!Number.isFinite(millis)) return "sleep must be finite"
  if ("millis" in sleep && millis < 0) return "sleep must not be negative"
  if (millis > longestWaitMillis) return "sleep must not be longer than 10 years"
  return undefined
}

/** The millisecond at which a wait ends; never before the time asked for. */
const endOf = (sleep: NonNullable<BeginStep["sleep"]>, now: number): number =>
  Math.ceil("millis" in sleep ? now + sleep.millis : sleep.until)

/** Starts the timer of a sleep that has none yet; one that is due has ended. */
export const settle = (
  set: WorkingSet,
  run: RunRecord,
  step: StepRecord,
  sleep: BeginStep["sleep"],
  now: number
): StepRecord => {
  if (step.status !== "RUNNING") return step
  const dueAt = step.dueAt ?? (sleep === undefined ? undefined : endOf(sleep, now))
  if (dueAt === undefined) return step
  const timed = step.dueAt === undefined ? { ...step, dueAt } : step
  if (dueAt <= now) return completed(set, run, timed, undefined, now)
  return timed === step ? step : set.putStep(timed)
}

/** Ends all sleeps of a run that are due, in the order of their times. */
export const endDue = (set: WorkingSet, runId: string, now: number): void => {
  for (const wait of set.waits(runId)) {
    if (wait.dueAt > now) break
    const run = set.run(runId)
    if (run !== undefined && wait.kind === "SLEEP") completed(set, run, wait, undefined, now)
  }
}

/**
 * Starts the timer of a begun sleep. A peer without a lease stops executing after it, so its run is parked, or made
 * claimable when there is nothing to wait for.
 */
export const sleepStep = (
  set: WorkingSet,
  command: SleepStep,
  at: Leases.Circumstances
): Decision<Reply["SleepStep"]> => {
  const problem = sleepProblem({ millis: command.millis }, at.now)
  if (problem !== undefined) return invalid(problem)
  const leased = command.lease !== undefined
  const found = leased ? Leases.findHeld(set, command) : Leases.findActive(set, command)
  if (Result.isFailure(found)) return Result.fail(found.failure)
  const run = found.success
  return Result.flatMap(Leases.findStep(set, run, command.stepId), (step) => {
    if (step.kind !== "SLEEP") return refused(`Step ${step.name} is a ${step.kind} and not a SLEEP`)
    if (step.cancelled || step.status === "COMPLETED") return Result.succeed({ step })
    if (run.status !== "RUNNING") {
      // The same call again, after the first one parked the run.
      return step.dueAt === undefined ? wrongStatus(run.runId, run.status) : Result.succeed({ step })
    }
    const settled = settle(set, run, step, { millis: command.millis }, at.now)
    if (!leased) {
      const current = set.run(run.runId) ?? run
      const wait = set.waits(run.runId)[0]
      set.putRun(
        settled.status === "COMPLETED" || wait === undefined
          ? Leases.released(current, at.now)
          : Leases.parked(current, wait.dueAt)
      )
    }
    return Result.succeed({ step: settled })
  })
}
