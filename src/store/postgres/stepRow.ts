/** Attempts of steps as rows. */
import type { Types } from "effect"
import * as RetryPolicy from "../../RetryPolicy.ts"
import type { Step } from "../../Run.ts"
import { stepKind, stepKinds, stepStatus, stepStatuses } from "../rows/codes.ts"
import { bit, fromJson, fromMetadata, orNull, toJson, toJsonOrNull, toPayload } from "../rows/values.ts"
import type { StepRecord } from "../Store.ts"
import { type Column, column, namesOf } from "./values.ts"

const id = column<StepRecord>("step_id", "text", (step) => step.stepId)

/** Columns that never change once an attempt exists. */
const fixed: ReadonlyArray<Column<StepRecord>> = [
  id,
  column("run_id", "text", (step) => step.runId),
  column("namespace", "text", (step) => step.namespace),
  column("name", "text", (step) => step.name),
  column("kind", "int2", (step) => stepKind[step.kind]),
  column("attempt", "int4", (step) => step.attempt),
  column("position", "int4", (step) => step.position),
  column("created_at", "int8", (step) => step.createdAt),
  column("input", "bytea", (step) => step.input.data),
  column("input_metadata", "text", (step) => fromMetadata(step.input.metadata))
]

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

const mutable: ReadonlyArray<Column<StepRecord>> = [
  column("status", "int2", (step) => stepStatus[step.status]),
  column("retry_policy", "text", (step) => policyText(step.retryPolicy)),
  column("error", "text", (step) => toJsonOrNull(step.error)),
  column("started_at", "int8", (step) => orNull(step.startedAt)),
  column("finished_at", "int8", (step) => orNull(step.finishedAt)),
  column("due_at", "int8", (step) => orNull(step.dueAt)),
  column("sequence", "int4", (step) => orNull(step.sequence)),
  column("cancelled", "int2", (step) => bit(step.cancelled)),
  column("child_run_id", "text", (step) => orNull(step.childRunId)),
  column("output", "bytea", (step) => step.output?.data ?? null),
  column("output_metadata", "text", (step) => (step.output === undefined ? null : fromMetadata(step.output.metadata)))
]

/** The only column of `steps_waiting`, so that an update of a step that waits for nothing touches no index. */
const waits = column<StepRecord>("waits", "int2", (step) =>
  step.dueAt !== undefined && (step.status === "PENDING" || step.status === "RUNNING") ? 1 : null
)

/** What an insert sets. */
export const stepInsert: ReadonlyArray<Column<StepRecord>> = [...fixed, ...mutable, waits]

/** What an update sets, behind the id of the step. */
export const stepUpdate: ReadonlyArray<Column<StepRecord>> = [id, ...mutable, waits]

export const stepColumns = namesOf([...fixed, ...mutable])

/** Bytes of payload of an attempt; what it failed with may be as large, and counts too. */
export const stepBytes = (alias: string): string =>
  `octet_length(${alias}.input) + coalesce(octet_length(${alias}.output), 0) + coalesce(octet_length(${alias}.error), 0)`

export type StepRow = readonly [
  stepId: string,
  runId: string,
  namespace: string,
  name: string,
  kind: number,
  attempt: number,
  position: number,
  createdAt: number,
  input: Uint8Array,
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
  output: Uint8Array | null,
  outputMetadata: string | null
]

export const toStepRecord = (row: readonly [...step: StepRow, ...rest: ReadonlyArray<unknown>]): StepRecord => {
  const step: Types.Mutable<StepRecord> = {
    stepId: row[0],
    runId: row[1],
    namespace: row[2],
    name: row[3],
    kind: stepKinds[row[4]]!,
    attempt: row[5],
    position: row[6],
    createdAt: row[7],
    input: toPayload(row[8], row[9]),
    status: stepStatuses[row[10]]!,
    retryPolicy: row[11] === null ? RetryPolicy.standard : fromJson(row[11]),
    cancelled: row[17] === 1
  }
  if (row[12] !== null) step.error = fromJson(row[12])
  if (row[13] !== null) step.startedAt = row[13]
  if (row[14] !== null) step.finishedAt = row[14]
  if (row[15] !== null) step.dueAt = row[15]
  if (row[16] !== null) step.sequence = row[16]
  if (row[18] !== null) step.childRunId = row[18]
  if (row[19] !== null) step.output = toPayload(row[19], row[20])
  return step
}

/** An attempt as clients see it. */
export const toStep = (record: StepRecord): Step => {
  const { position, retryPolicy, ...step } = record
  return step
}
