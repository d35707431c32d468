/** Runs as rows. */
import type { SQLInputValue } from "node:sqlite"
import type { Types } from "effect"
import type { Payload, Run } from "../../Run.ts"
import { type RunRecord, wakeUpAt } from "../Store.ts"
import { runStatus, runStatuses } from "./codes.ts"
import { bit, fromJson, orNull, toJsonOrNull } from "./rows.ts"

/** Columns that never change once a run exists. */
const fixed = [
  "run_id",
  "namespace",
  "external_id",
  "task_queue",
  "workflow_type",
  "version",
  "priority",
  "created_at",
  "parent_run_id",
  "parent_step_id",
  "schedule_id",
  "cron_expr",
  "retry_policy"
]

/** Columns that an update may set. */
const mutable = [
  "status",
  "error",
  "attempts",
  "started_at",
  "finished_at",
  "worker_id",
  "due_at",
  "lease_epoch",
  "claimed_at",
  "expiries",
  "step_count",
  "sequence",
  "step_failed"
]

export const runColumns = [...fixed, ...mutable, "slot"]

/** Places in `mutable` of the columns that indexes are built on. */
const indexed = [mutable.indexOf("status"), mutable.indexOf("worker_id"), mutable.indexOf("due_at")]

export type RunRow = readonly [
  runId: string,
  namespace: string,
  externalId: string,
  taskQueue: string,
  workflowType: string,
  version: string,
  priority: number,
  createdAt: number,
  parentRunId: string | null,
  parentStepId: string | null,
  scheduleId: string | null,
  cronExpr: string | null,
  retryPolicy: string | null,
  status: number,
  error: string | null,
  attempts: number,
  startedAt: number | null,
  finishedAt: number | null,
  workerId: string | null,
  dueAt: number | null,
  leaseEpoch: number,
  claimedAt: number | null,
  expiries: number,
  stepCount: number,
  sequence: number,
  stepFailed: number,
  slot: number | null
]

const fixedValues = (run: RunRecord): Array<SQLInputValue> => [
  run.runId,
  run.namespace,
  run.externalId,
  run.taskQueue,
  run.workflowType,
  run.version,
  run.priority,
  run.createdAt,
  orNull(run.parentRunId),
  orNull(run.parentStepId),
  orNull(run.scheduleId),
  orNull(run.cronExpr),
  toJsonOrNull(run.retryPolicy)
]

const mutableValues = (run: RunRecord): Array<SQLInputValue> => [
  runStatus[run.status],
  toJsonOrNull(run.error),
  run.attempts,
  orNull(run.startedAt),
  orNull(run.finishedAt),
  orNull(run.workerId),
  orNull(run.dueAt),
  run.leaseEpoch,
  orNull(run.claimedAt),
  run.expiries,
  run.stepCount,
  run.sequence,
  bit(run.stepFailed)
]

export const runValues = (run: RunRecord): Array<SQLInputValue> => [
  ...fixedValues(run),
  ...mutableValues(run),
  orNull(run.slot)
]

/**
 * The columns to set, and their values. SQLite writes the entries of every index on a column that is set, changed or
 * not, so where the row before is known those that stay are left out: most updates are progress of a running run.
 */
export const runUpdate = (
  run: RunRecord,
  before: RunRecord | undefined
): { readonly columns: ReadonlyArray<string>; readonly values: ReadonlyArray<SQLInputValue> } => {
  const values = mutableValues(run)
  if (before === undefined) return { columns: mutable, values }
  const old = mutableValues(before)
  const stays = (_: unknown, place: number) => !indexed.includes(place) || values[place] !== old[place]
  return { columns: mutable.filter(stays), values: values.filter(stays) }
}

export const toRunRecord = (row: readonly [...run: RunRow, ...rest: ReadonlyArray<unknown>]): RunRecord => {
  const run: Types.Mutable<RunRecord> = {
    runId: row[0],
    namespace: row[1],
    externalId: row[2],
    taskQueue: row[3],
    workflowType: row[4],
    version: row[5],
    priority: row[6],
    createdAt: row[7],
    status: runStatuses[row[13]]!,
    attempts: row[15],
    leaseEpoch: row[20],
    expiries: row[22],
    stepCount: row[23],
    sequence: row[24],
    stepFailed: row[25] === 1
  }
  if (row[8] !== null) run.parentRunId = row[8]
  if (row[9] !== null) run.parentStepId = row[9]
  if (row[10] !== null) run.scheduleId = row[10]
  if (row[11] !== null) run.cronExpr = row[11]
  if (row[12] !== null) run.retryPolicy = fromJson(row[12])
  if (row[14] !== null) run.error = fromJson(row[14])
  if (row[16] !== null) run.startedAt = row[16]
  if (row[17] !== null) run.finishedAt = row[17]
  if (row[18] !== null) run.workerId = row[18]
  if (row[19] !== null) run.dueAt = row[19]
  if (row[21] !== null) run.claimedAt = row[21]
  if (row[26] !== null) run.slot = row[26]
  return run
}

/** A run as clients see it at that time. */
export const toRun = (record: RunRecord, input: Payload, output: Payload | undefined, now: number): Run => {
  const { claimedAt, dueAt, expiries, leaseEpoch, retryPolicy, sequence, slot, stepCount, stepFailed, ...shown } =
    record
  const run: Types.Mutable<Run> = { ...shown, input }
  if (output !== undefined) run.output = output
  const wakes = wakeUpAt(record, now)
  if (wakes !== undefined) run.wakeUpAt = wakes
  return run
}
