/** Attempts of steps as rows. */
import type { SQLInputValue } from "node:sqlite"
import type { Types } from "effect"
import * as RetryPolicy from "../../RetryPolicy.ts"
import type { Payload, Step } from "../../Run.ts"
import type { StepRecord } from "../Store.ts"
import { stepKind, stepKinds, stepStatus, stepStatuses } from "../rows/codes.ts"
import { bit, fromJson, fromMetadata, orNull, toJson, toJsonOrNull, toPayload } from "../rows/values.ts"

/** Payloads above this size, in bytes, go to a table of their own, so that an update does not rewrite them. */
export const inlineLimit = 1024

/** Columns that never change once an attempt exists. */
const fixed = ["step_id", "name", "kind", "attempt", "position", "created_at", "input_size", "input", "input_metadata"]

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
  name: string,
  kind: number,
  attempt: number,
  position: number,
  createdAt: number,
  inputSize: number,
  input: Uint8Array | null,
  inputMetadata: string | null,
  status: number,
  retryPolicy: string | null,
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
  row[6] + (row[18] ?? 0) + (row[11] === null ? 0 : Buffer.byteLength(row[11]))

/** Whether a payload has a row of its own. */
export const isApart = (payload: Payload): boolean => payload.data.byteLength > inlineLimit

const payloadValues = (payload: Payload | undefined): [SQLInputValue, SQLInputValue, SQLInputValue] =>
  payload === undefined
    ? [null, null, null]
    : [payload.data.byteLength, isApart(payload) ? null : payload.data, fromMetadata(payload.metadata)]

/** Nothing stands for the standard policy, which most steps have. */
const policyText = (policy: RetryPolicy.Resolved): string | null =>
  policy === RetryPolicy.standard ||
  (policy.maximumAttempts === RetryPolicy.standard.maximumAttempts &&
    policy.initialIntervalMillis === RetryPolicy.standard.initialIntervalMillis &&
    policy.backoffCoefficient === RetryPolicy.standard.backoffCoefficient &&
    policy.maximumIntervalMillis === RetryPolicy.standard.maximumIntervalMillis &&
    policy.nonRetryableErrors.length === 0)
    ? null
    : toJson(policy)

const fixedValues = (step: StepRecord): Array<SQLInputValue> => [
  step.stepId,
  step.name,
  stepKind[step.kind],
  step.attempt,
  step.position,
  step.createdAt,
  ...payloadValues(step.input)
]

export const stepMutableValues = (step: StepRecord): Array<SQLInputValue> => [
  stepStatus[step.status],
  policyText(step.retryPolicy),
  toJsonOrNull(step.error),
  orNull(step.startedAt),
  orNull(step.finishedAt),
  orNull(step.dueAt),
  orNull(step.sequence),
  bit(step.cancelled),
  orNull(step.childRunId),
  ...payloadValues(step.output)
]

/** What an insert sets: the columns, and their values in that order. */
export interface StepInsert {
  readonly columns: ReadonlyArray<string>
  readonly values: (step: StepRecord) => ReadonlyArray<SQLInputValue>
}

const whole: StepInsert = {
  columns: stepColumns,
  values: (step) => [...fixedValues(step), ...stepMutableValues(step)]
}

/** Most steps: code that runs or ran at its first attempt. Binding is half of what an insert costs. */
const plain: StepInsert = {
  columns: [
    "step_id",
    "name",
    "position",
    "created_at",
    "status",
    "retry_policy",
    "started_at",
    "finished_at",
    "sequence",
    "input_size",
    "input",
    "input_metadata",
    "output_size",
    "output",
    "output_metadata"
  ],
  values: (step) => [
    step.stepId,
    step.name,
    step.position,
    step.createdAt,
    stepStatus[step.status],
    policyText(step.retryPolicy),
    orNull(step.startedAt),
    orNull(step.finishedAt),
    orNull(step.sequence),
    ...payloadValues(step.input),
    ...payloadValues(step.output)
  ]
}

export const stepInserts = { whole, plain }

/** Whether the plain insert has all there is of an attempt. */
export const isPlain = (step: StepRecord): boolean =>
  step.kind === "FUNCTION" &&
  step.attempt === 1 &&
  step.dueAt === undefined &&
  step.error === undefined &&
  step.childRunId === undefined &&
  !step.cancelled

/** Reads a payload that has a row of its own, by the id of the step. */
export type Fetch = (stepId: string) => Uint8Array | null

export const toStepRecord = (
  { namespace, runId }: Pick<StepRecord, "namespace" | "runId">,
  row: readonly [...step: StepRow, ...rest: ReadonlyArray<unknown>],
  fetchInput: Fetch,
  fetchOutput: Fetch
): StepRecord => {
  const step: Types.Mutable<StepRecord> = {
    stepId: row[0],
    runId,
    namespace,
    name: row[1],
    kind: stepKinds[row[2]]!,
    attempt: row[3],
    position: row[4],
    createdAt: row[5],
    input: toPayload(row[6] > inlineLimit ? fetchInput(row[0]) : row[7], row[8]),
    status: stepStatuses[row[9]]!,
    retryPolicy: row[10] === null ? RetryPolicy.standard : fromJson(row[10]),
    cancelled: row[16] === 1
  }
  if (row[11] !== null) step.error = fromJson(row[11])
  if (row[12] !== null) step.startedAt = row[12]
  if (row[13] !== null) step.finishedAt = row[13]
  if (row[14] !== null) step.dueAt = row[14]
  if (row[15] !== null) step.sequence = row[15]
  if (row[17] !== null) step.childRunId = row[17]
  if (row[18] !== null) step.output = toPayload(row[18] > inlineLimit ? fetchOutput(row[0]) : row[19], row[20])
  return step
}

/** An attempt as clients see it. */
export const toStep = (record: StepRecord): Step => {
  const { position, retryPolicy, ...step } = record
  return step
}
