/** What can be known of a run and its steps. Plain data, the same words as the wire contract. */
import { Result } from "effect"
import * as KagziError from "./KagziError.ts"

/** Where a run is in its life. `SCHEDULED` and `PAUSED` belong to schedules only. */
export type Status = "PENDING" | "RUNNING" | "SLEEPING" | "COMPLETED" | "FAILED" | "CANCELLED" | "SCHEDULED" | "PAUSED"

/** Whether a run in that state has ended. */
export const isTerminal = (status: Status): boolean =>
  status === "COMPLETED" || status === "FAILED" || status === "CANCELLED"

/** JSON text in UTF-8, with metadata that is stored and returned unchanged. */
export interface Payload {
  readonly data: Uint8Array
  readonly metadata: Readonly<Record<string, string>>
}

/** What stands for an absent value: JSON `null`. Payloads are never empty. */
export const nothing: Payload = { data: new TextEncoder().encode("null"), metadata: {} }

/** The longest that a sleep or a retry may wait, in milliseconds: 10 years, of which three may be leap years. */
export const longestWaitMillis = 3_653 * 24 * 60 * 60 * 1_000

/**
 * What a start does when a run has its id. One that has not ended is given (`use-active`, `return-finished`) or refused
 * with `Conflict` (`reject`). In place of one that has ended a new run is started (`use-active`), or it is given
 * (`return-finished`) or refused.
 */
export type IfExists = "use-active" | "reject" | "return-finished"

/** What a step is: code that ran, a timer, or another workflow. */
export type StepKind = "FUNCTION" | "SLEEP" | "CHILD_WORKFLOW"

/** Where one attempt of a step is in its life. */
export type StepStatus = "PENDING" | "RUNNING" | "COMPLETED" | "FAILED"

/** A run as clients see it. Times are milliseconds since the epoch. */
export interface Run {
  readonly namespace: string
  readonly runId: string
  readonly externalId: string
  readonly taskQueue: string
  readonly workflowType: string
  readonly version: string
  readonly status: Status
  readonly input: Payload
  readonly output?: Payload
  readonly error?: KagziError.Detail
  /** Executions by the run's own retry policy, the first included. */
  readonly attempts: number
  readonly priority: number
  readonly createdAt: number
  readonly startedAt?: number
  readonly finishedAt?: number
  /** When a sleeping or delayed run goes on. */
  readonly wakeUpAt?: number
  readonly workerId?: string
  readonly parentRunId?: string
  readonly parentStepId?: string
  readonly scheduleId?: string
  readonly cronExpr?: string
}

/** One attempt of a step as clients see it. Times are milliseconds since the epoch. */
export interface Step {
  readonly namespace: string
  readonly runId: string
  readonly stepId: string
  readonly name: string
  readonly kind: StepKind
  readonly status: StepStatus
  readonly attempt: number
  readonly input: Payload
  readonly output?: Payload
  readonly error?: KagziError.Detail
  readonly createdAt: number
  readonly startedAt?: number
  readonly finishedAt?: number
  /** When a sleep ends, or when a pending retry may begin. */
  readonly dueAt?: number
  /** Place in the order in which the steps of the run ended, from 1; absent while it has not ended for good. */
  readonly sequence?: number
  /** Its branch lost a race; it never ends. */
  readonly cancelled: boolean
  readonly childRunId?: string
}

/** A run for reading: its payloads as values, its times as dates, its failure as an error. */
export interface Description {
  readonly runId: string
  /** The caller's own id for the run. */
  readonly id: string
  readonly namespace: string
  readonly taskQueue: string
  readonly workflowType: string
  readonly version: string
  readonly status: Status
  readonly input: unknown
  /** Of a completed run. */
  readonly output: unknown
  /** Of a failed run. */
  readonly error: KagziError.KagziError | undefined
  /** Executions by the run's own retry policy, the first included. */
  readonly attempts: number
  readonly createdAt: Date
  readonly startedAt: Date | undefined
  readonly finishedAt: Date | undefined
  /** When a sleeping or delayed run goes on. */
  readonly wakeUpAt: Date | undefined
  readonly workerId: string | undefined
  readonly parentRunId: string | undefined
  readonly scheduleId: string | undefined
}

/** One attempt of a step for reading. */
export interface StepDescription {
  readonly stepId: string
  readonly name: string
  readonly kind: StepKind
  readonly status: StepStatus
  readonly attempt: number
  readonly input: unknown
  readonly output: unknown
  readonly error: KagziError.KagziError | undefined
  readonly createdAt: Date
  readonly startedAt: Date | undefined
  readonly finishedAt: Date | undefined
  /** When a sleep ends, or when a pending retry may begin. */
  readonly dueAt: Date | undefined
  /** Its branch lost a race; it never ends. */
  readonly cancelled: boolean
}

/** The value of a payload, or its text where that is not JSON. */
export const jsonOf = (payload: Payload | undefined): unknown => {
  if (payload === undefined || payload.data.length === 0) return undefined
  const text = new TextDecoder().decode(payload.data)
  return Result.getOrElse(
    Result.try((): unknown => JSON.parse(text)),
    () => text
  )
}

const date = (millis: number | undefined) => (millis === undefined ? undefined : new Date(millis))

const errorOf = (detail: KagziError.Detail | undefined) =>
  detail === undefined ? undefined : KagziError.fromDetail(detail)

/** The run for reading. */
export const describe = (run: Run): Description => ({
  runId: run.runId,
  id: run.externalId,
  namespace: run.namespace,
  taskQueue: run.taskQueue,
  workflowType: run.workflowType,
  version: run.version,
  status: run.status,
  input: jsonOf(run.input),
  output: jsonOf(run.output),
  error: errorOf(run.error),
  attempts: run.attempts,
  createdAt: new Date(run.createdAt),
  startedAt: date(run.startedAt),
  finishedAt: date(run.finishedAt),
  wakeUpAt: date(run.wakeUpAt),
  workerId: run.workerId,
  parentRunId: run.parentRunId,
  scheduleId: run.scheduleId
})

/** The attempt of a step for reading. */
export const describeStep = (step: Step): StepDescription => ({
  stepId: step.stepId,
  name: step.name,
  kind: step.kind,
  status: step.status,
  attempt: step.attempt,
  input: jsonOf(step.input),
  output: jsonOf(step.output),
  error: errorOf(step.error),
  createdAt: new Date(step.createdAt),
  startedAt: date(step.startedAt),
  finishedAt: date(step.finishedAt),
  dueAt: date(step.dueAt),
  cancelled: step.cancelled
})
