/** Attempts of steps as rows. */
import type { SQLInputValue } from "node:sqlite"
import type { Types } from "effect"
import type { Payload, Step } from "../../Run.ts"
import type { StepRecord } from "../Store.ts"
import { stepKind, stepKinds, stepStatus, stepStatuses } from "./codes.ts"
import { bit, fromJson, fromMetadata, orNull, toJson, toJsonOrNull, toPayload } from "./rows.ts"

/** Payloads above this size, in bytes, go to a table of their own, so that an update does not rewrite them. */
export const inlineLimit = 1024

/** Columns that never change once an attempt exists. */
const fixed = [
  "step_id",
  "run_id",
  "namespace",
  "name",
  "kind",
  "attempt",
  "position",
  "created_at",
  "input_size",
  "input",
  "input_metadata"
]

/** Columns that an update sets. */
export const stepMutable = [
  "status",
  "retry_policy",
  "error",
  "started_at",
  "finished_at",
  "due_at",
  "sequence",
  "cancelled",
  "child_run_id",
  "output_size",
  "output",
  "output_metadata"
]

export const stepColumns = [...fixed, ...stepMutable]

export type StepRow = readonly [
  stepId: string,
  runId: string,
  namespace: string,
  name: string,
  kind: number,
  attempt: number,
  position: number,
  createdAt: number,
  inputSize: number,
  input: Uint8Array | null,
  inputMetadata: string | null,
  status: number,
  retryPolicy: string,
  error: string | null,
  startedAt: number | null,
  finishedAt: number | null,
  dueAt: number | null,
  sequence: number | null,
  cancelled: number,
  childRunId: string | null,
  outputSize: number | null,
  output: Uint8Array | null,
  outputMetadata: string | null
]

/** Bytes of payload of an attempt; what it failed with may be as large, and counts too. */
export const payloadBytes = (row: StepRow): number =>
  row[8] + (row[20] ?? 0) + (row[13] === null ? 0 : Buffer.byteLength(row[13]))

/** Whether a payload has a row of its own. */
export const isApart = (payload: Payload): boolean => payload.data.byteLength > inlineLimit

const payloadValues = (payload: Payload | undefined): [SQLInputValue, SQLInputValue, SQLInputValue] =>
  payload === undefined
    ? [null, null, null]
    : [payload.data.byteLength, isApart(payload) ? null : payload.data, fromMetadata(payload.metadata)]

const fixedValues = (step: StepRecord): Array<SQLInputValue> => [
  step.stepId,
  step.runId,
  step.namespace,
  step.name,
  stepKind[step.kind],
  step.attempt,
  step.position,
  step.createdAt,
  ...payloadValues(step.input)
]

export const stepMutableValues = (step: StepRecord): Array<SQLInputValue> => [
  stepStatus[step.status],
  toJson(step.retryPolicy),
  toJsonOrNull(step.error),
  orNull(step.startedAt),
  orNull(step.finishedAt),
  orNull(step.dueAt),
  orNull(step.sequence),
  bit(step.cancelled),
  orNull(step.childRunId),
  ...payloadValues(step.output)
]

export const stepValues = (step: StepRecord): Array<SQLInputValue> => [...fixedValues(step), ...stepMutableValues(step)]

/** Reads a payload that has a row of its own, by the id of the step. */
export type Fetch = (stepId: string) => Uint8Array | null

export const toStepRecord = (row: StepRow, fetchInput: Fetch, fetchOutput: Fetch): StepRecord => {
  const step: Types.Mutable<StepRecord> = {
    stepId: row[0],
    runId: row[1],
    namespace: row[2],
    name: row[3],
    kind: stepKinds[row[4]]!,
    attempt: row[5],
    position: row[6],
    createdAt: row[7],
    input: toPayload(row[8] > inlineLimit ? fetchInput(row[0]) : row[9], row[10]),
    status: stepStatuses[row[11]]!,
    retryPolicy: fromJson(row[12]),
    cancelled: row[18] === 1
  }
  if (row[13] !== null) step.error = fromJson(row[13])
  if (row[14] !== null) step.startedAt = row[14]
  if (row[15] !== null) step.finishedAt = row[15]
  if (row[16] !== null) step.dueAt = row[16]
  if (row[17] !== null) step.sequence = row[17]
  if (row[19] !== null) step.childRunId = row[19]
  if (row[20] !== null) step.output = toPayload(row[20] > inlineLimit ? fetchOutput(row[0]) : row[21], row[22])
  return step
}

/** An attempt as clients see it. */
export const toStep = (record: StepRecord): Step => {
  const { position, retryPolicy, ...step } = record
  return step
}
