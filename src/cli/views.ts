/**
 * Runs, steps, workers and namespaces as JSON for scripts. The names are those of the SDK's own descriptions, times are
 * ISO 8601 in UTC, and what has no value is left out. These shapes only ever grow.
 */
import { Result } from "effect"
import type { Namespace, Worker } from "../Admin.ts"
import type { Payload, Run, Step } from "../Run.ts"

/** The newer parts of `JSON`, which the compiler's library does not know yet. */
interface ExactJson {
  readonly rawJSON: (text: string) => unknown
  readonly parse: (
    text: string,
    reviver: (key: string, value: unknown, context: { readonly source?: string }) => unknown
  ) => unknown
}

const exactJson = JSON as unknown as ExactJson

/** A value that prints as it was written, whatever the precision of its numbers; throws when it is no JSON. */
const parse = (text: string): unknown =>
  exactJson.parse(text, (_, value, { source }) =>
    typeof value === "number" && source !== undefined && String(value) !== source ? exactJson.rawJSON(source) : value
  )

/** The value of a payload, or its text if that is not JSON. */
export const value = (payload: Payload | undefined): unknown => {
  if (payload === undefined) return undefined
  const text = new TextDecoder().decode(payload.data)
  return Result.getOrElse(
    Result.try(() => parse(text)),
    () => text
  )
}

/** A time in milliseconds since the epoch as text. */
export const time = (millis: number | undefined): string | undefined =>
  millis === undefined ? undefined : new Date(millis).toISOString()

export const run = (run: Run) => ({
  runId: run.runId,
  id: run.externalId,
  namespace: run.namespace,
  taskQueue: run.taskQueue,
  workflowType: run.workflowType,
  version: run.version,
  status: run.status,
  input: value(run.input),
  output: value(run.output),
  error: run.error,
  attempts: run.attempts,
  createdAt: time(run.createdAt),
  startedAt: time(run.startedAt),
  finishedAt: time(run.finishedAt),
  wakeUpAt: time(run.wakeUpAt),
  workerId: run.workerId,
  parentRunId: run.parentRunId,
  scheduleId: run.scheduleId
})

export const step = (step: Step) => ({
  stepId: step.stepId,
  name: step.name,
  kind: step.kind,
  status: step.status,
  attempt: step.attempt,
  input: value(step.input),
  output: value(step.output),
  error: step.error,
  createdAt: time(step.createdAt),
  startedAt: time(step.startedAt),
  finishedAt: time(step.finishedAt),
  dueAt: time(step.dueAt),
  cancelled: step.cancelled,
  childRunId: step.childRunId
})

/** How a run ended. */
export const outcome = (run: Pick<Run, "runId" | "externalId" | "status" | "output" | "error">) => ({
  runId: run.runId,
  id: run.externalId,
  status: run.status,
  output: value(run.output),
  error: run.error
})

export const worker = (worker: Worker) => ({
  workerId: worker.workerId,
  taskQueue: worker.taskQueue,
  status: worker.status,
  version: worker.version,
  workflowTypes: worker.workflowTypes,
  hostname: worker.hostname,
  pid: worker.pid,
  labels: worker.labels,
  activeRuns: worker.activeRuns,
  queueConcurrencyLimit: worker.queueConcurrencyLimit,
  workflowTypeConcurrency: worker.workflowTypeConcurrency,
  registeredAt: worker.registeredAt.toISOString(),
  lastHeartbeatAt: worker.lastHeartbeatAt.toISOString()
})

export const namespace = (namespace: Namespace) => ({
  id: namespace.id,
  name: namespace.name,
  displayName: namespace.displayName,
  description: namespace.description,
  enabled: namespace.enabled,
  createdAt: namespace.createdAt.toISOString(),
  updatedAt: namespace.updatedAt.toISOString()
})
