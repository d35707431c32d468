/** The life of a step: begun, ended, tried again, or dropped with its branch. */
import { Result } from "effect"
import type * as KagziError from "../../KagziError.ts"
import { cancelledMark, mismatchMark } from "../../marks.ts"
import * as RetryPolicy from "../../RetryPolicy.ts"
import type { RunRecord, StepRecord } from "../../store/Store.ts"
import type { BeginStep, CancelStep, CompleteStep, FailStep, Reply } from "../Command.ts"
import { type Decision, invalid, refused } from "./failures.ts"
import * as Leases from "./leases.ts"
import { nextAttemptAt } from "./retry.ts"
import * as Sleeps from "./sleeps.ts"
import { completed, failed } from "./stepEnd.ts"
import type { WorkingSet } from "./WorkingSet.ts"

const problemOf = (command: BeginStep, now: number): string | undefined => {
  if (command.name === "") return "step_name must not be empty"
  const policy = command.retryPolicy === undefined ? undefined : RetryPolicy.problem(command.retryPolicy)
  if (policy !== undefined) return `retry_policy: ${policy}`
  if (command.output !== undefined && command.kind !== "FUNCTION") return "only a FUNCTION step has an output"
  if (command.sleep === undefined) return undefined
  return command.kind === "SLEEP" ? Sleeps.sleepProblem(command.sleep, now) : "only a SLEEP step has a timer"
}

/** The first attempt of a step not seen before. */
const insert = (set: WorkingSet, run: RunRecord, command: BeginStep, now: number): StepRecord => {
  const position = run.stepCount + 1
  set.putRun({ ...run, stepCount: position })
  return set.putStep({
    namespace: run.namespace,
    runId: run.runId,
    stepId: command.stepId,
    name: command.name,
    kind: command.kind,
    status: "RUNNING",
    attempt: 1,
    input: command.input,
    createdAt: now,
    startedAt: now,
    cancelled: false,
    position,
    retryPolicy:
      command.retryPolicy === undefined && run.retryPolicy === undefined
        ? RetryPolicy.standard
        : RetryPolicy.resolve(command.retryPolicy, run.retryPolicy)
  })
}

const startAgain = (set: WorkingSet, step: StepRecord, now: number): StepRecord => {
  const { dueAt: _, ...rest } = step
  return set.putStep({ ...rest, status: "RUNNING", startedAt: now })
}

/** A sleep runs no code; a peer without a lease is told to go on, which for it means to call Sleep. */
const beginSleep = (
  set: WorkingSet,
  run: RunRecord,
  step: StepRecord,
  command: BeginStep,
  now: number
): Reply["BeginStep"] => {
  const settled = Sleeps.settle(set, run, step, command.sleep, now)
  const untimed = settled.status === "RUNNING" && (settled.dueAt === undefined || command.lease === undefined)
  return { step: settled, execute: untimed }
}

/** Ids may come from workers. One that was not loaded is refused by the database. */
const taken = (stepId: string) => invalid(`There is already a step ${stepId}`)

const begin = (set: WorkingSet, command: BeginStep, at: Leases.Circumstances): Decision<Reply["BeginStep"]> => {
  const problem = problemOf(command, at.now)
  if (problem !== undefined) return invalid(problem)
  const held = Leases.findHeld(set, command)
  if (Result.isFailure(held)) return Result.fail(held.failure)
  const run = held.success

  const known = set.latest(run.runId, command.name)
  if (known === undefined) {
    if (set.step(command.stepId) !== undefined) return taken(command.stepId)
    const step = insert(set, run, command, at.now)
    return Result.succeed(
      step.kind === "SLEEP"
        ? beginSleep(set, set.run(run.runId) ?? run, step, command, at.now)
        : { step, execute: true }
    )
  }
  if (known.kind !== command.kind) {
    return refused(
      `Workflow ${run.runId} is non-deterministic: step ${known.name} was recorded as ${known.kind} and is now ${command.kind}`,
      { [mismatchMark]: known.kind }
    )
  }
  if (known.cancelled) return Result.succeed({ step: known, execute: false })
  switch (known.status) {
    case "COMPLETED":
    case "FAILED":
      return Result.succeed({ step: known, execute: false })
    case "PENDING":
      return Result.succeed(
        known.dueAt !== undefined && known.dueAt > at.now
          ? { step: known, execute: false }
          : { step: startAgain(set, known, at.now), execute: true }
      )
    case "RUNNING":
      return Result.succeed(
        known.kind === "SLEEP" ? beginSleep(set, run, known, command, at.now) : { step: known, execute: true }
      )
  }
}

/** Begins a step, or says what became of it; and completes it if that was asked for and it is the one that was meant. */
export const beginStep = (
  set: WorkingSet,
  command: BeginStep,
  at: Leases.Circumstances
): Decision<Reply["BeginStep"]> => {
  const begun = begin(set, command, at)
  const { output, stepId } = command
  if (output === undefined || Result.isFailure(begun) || begun.success.step.stepId !== stepId) return begun
  return Result.map(completeStep(set, { ...command, _tag: "CompleteStep", output }, at), ({ step }) => ({
    step,
    execute: false
  }))
}

/** A begun step of a held run, whatever became of it. */
const findBegun = (
  set: WorkingSet,
  command: CompleteStep | FailStep
): Decision<{ readonly run: RunRecord; readonly step: StepRecord }> =>
  Result.flatMap(Leases.findHeld(set, command), (run) =>
    Result.map(Leases.findStep(set, run, command.stepId), (step) => ({ run, step }))
  )

const notRunning = (step: StepRecord) =>
  refused(
    `Step ${step.name} is ${step.cancelled ? "cancelled" : step.status}`,
    step.cancelled ? { [cancelledMark]: "true" } : {}
  )

export const completeStep = (
  set: WorkingSet,
  command: CompleteStep,
  at: Leases.Circumstances
): Decision<Reply["CompleteStep"]> =>
  Result.flatMap(findBegun(set, command), ({ run, step }) => {
    // The first output stays.
    if (step.status === "COMPLETED") return Result.succeed({ step })
    if (step.cancelled || step.status !== "RUNNING") return notRunning(step)
    if (step.kind === "SLEEP" && (step.dueAt === undefined || step.dueAt > at.now)) {
      return refused(`Step ${step.name} is a SLEEP that is not due`)
    }
    return Result.succeed({ step: completed(set, run, step, command.output, at.now) })
  })

/** The answer to a failure that was recorded before. */
const repeatedFailure = (set: WorkingSet, step: StepRecord): Reply["FailStep"] => {
  if (step.sequence !== undefined) return { step, retry: false }
  const next = set.latest(step.runId, step.name)
  return { step: next ?? step, retry: true }
}

const nextAttempt = (step: StepRecord, stepId: string, dueAt: number, now: number): StepRecord => ({
  namespace: step.namespace,
  runId: step.runId,
  stepId,
  name: step.name,
  kind: step.kind,
  status: "PENDING",
  attempt: step.attempt + 1,
  input: step.input,
  createdAt: now,
  dueAt,
  cancelled: false,
  position: step.position,
  retryPolicy: step.retryPolicy
})

/** Records a failed attempt and the next one. A peer without a lease stops executing then, so its run is released. */
export const failStep = (set: WorkingSet, command: FailStep, at: Leases.Circumstances): Decision<Reply["FailStep"]> =>
  Result.flatMap(findBegun(set, command), ({ run, step }) => {
    if (step.cancelled) return notRunning(step)
    if (step.status === "FAILED") return Result.succeed(repeatedFailure(set, step))
    if (step.status !== "RUNNING") return notRunning(step)
    if (step.kind === "SLEEP") return refused(`Step ${step.name} is a SLEEP, which can't fail`)
    const { error } = command
    const dueAt = nextAttemptAt(step.retryPolicy, step.attempt, error, at.now, at.random)
    if (dueAt === undefined) return Result.succeed({ step: failed(set, run, step, error, at.now), retry: false })
    if (set.step(command.nextStepId) !== undefined) return taken(command.nextStepId)
    set.putStep({ ...step, status: "FAILED", error, finishedAt: at.now })
    const next = set.putStep(nextAttempt(step, command.nextStepId, dueAt, at.now))
    if (command.lease === undefined) {
      set.putRun(Leases.released(run, Math.min(dueAt, set.waits(run.runId)[0]?.dueAt ?? dueAt)))
    }
    return Result.succeed({ step: next, retry: true })
  })

const lostRace = (step: StepRecord): KagziError.Detail => ({
  code: "Internal",
  message: "Its branch lost a race",
  nonRetryable: true,
  subject: "step",
  subjectId: step.stepId,
  metadata: { [cancelledMark]: "true" }
})

/** Drops a step with its branch: what has ended stays as it was recorded, and nothing more comes of it. */
export const cancelStep = (
  set: WorkingSet,
  command: CancelStep,
  at: Leases.Circumstances
): Decision<Reply["CancelStep"]> =>
  Result.flatMap(Leases.findHeld(set, command), (run) =>
    Result.map(Leases.findStep(set, run, command.stepId), (named) => {
      const step = set.latest(run.runId, named.name) ?? named
      if (step.cancelled) return { step }
      const { dueAt: _, ...rest } = step
      return {
        step: set.putStep(
          step.status === "COMPLETED" || step.status === "FAILED"
            ? { ...step, cancelled: true }
            : { ...rest, cancelled: true, status: "FAILED", error: lostRace(step), finishedAt: at.now }
        )
      }
    })
  )
