/** Runs as rows. */
import type { Types } from "effect"
import type { Payload, Run } from "../../Run.ts"
import { runStatus, runStatuses } from "../rows/codes.ts"
import { bit, fromJson, orNull, toJsonOrNull, toPayload } from "../rows/values.ts"
import { type RunRecord, wakeUpAt } from "../Store.ts"
import { type Column, column, namesOf } from "./values.ts"

const id = column<RunRecord>("run_id", "text", (run) => run.runId)

/** Columns that never change once a run exists. */
const fixed: ReadonlyArray<Column<RunRecord>> = [
  id,
  column("namespace", "text", (run) => run.namespace),
  column("external_id", "text", (run) => run.externalId),
  column("task_queue", "text", (run) => run.taskQueue),
  column("workflow_type", "text", (run) => run.workflowType),
  column("version", "text", (run) => run.version),
  column("priority", "int4", (run) => run.priority),
  column("created_at", "int8", (run) => run.createdAt),
  column("parent_run_id", "text", (run) => orNull(run.parentRunId)),
  column("parent_step_id", "text", (run) => orNull(run.parentStepId)),
  column("schedule_id", "text", (run) => orNull(run.scheduleId)),
  column("cron_expr", "text", (run) => orNull(run.cronExpr)),
  column("retry_policy", "text", (run) => toJsonOrNull(run.retryPolicy)),
  column("slot", "int8", (run) => orNull(run.slot))
]

const mutable: ReadonlyArray<Column<RunRecord>> = [
  column("status", "int2", (run) => runStatus[run.status]),
  column("error", "text", (run) => toJsonOrNull(run.error)),
  column("attempts", "int4", (run) => run.attempts),
  column("started_at", "int8", (run) => orNull(run.startedAt)),
  column("finished_at", "int8", (run) => orNull(run.finishedAt)),
  column("worker_id", "text", (run) => orNull(run.workerId)),
  column("due_at", "int8", (run) => orNull(run.dueAt)),
  column("lease_epoch", "int8", (run) => run.leaseEpoch),
  column("claimed_at", "int8", (run) => orNull(run.claimedAt)),
  column("expiries", "int4", (run) => run.expiries),
  column("step_count", "int4", (run) => run.stepCount),
  column("sequence", "int4", (run) => run.sequence),
  column("step_failed", "int2", (run) => bit(run.stepFailed))
]

/** What an insert sets. */
export const runInsert: ReadonlyArray<Column<RunRecord>> = [...fixed, ...mutable]

/** What an update sets, behind the id of the run. */
export const runUpdate: ReadonlyArray<Column<RunRecord>> = [id, ...mutable]

export const runColumns = namesOf(runInsert)

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
  slot: number | null,
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
  stepFailed: number
]

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
    status: runStatuses[row[14]]!,
    attempts: row[16],
    leaseEpoch: row[21],
    expiries: row[23],
    stepCount: row[24],
    sequence: row[25],
    stepFailed: row[26] === 1
  }
  if (row[8] !== null) run.parentRunId = row[8]
  if (row[9] !== null) run.parentStepId = row[9]
  if (row[10] !== null) run.scheduleId = row[10]
  if (row[11] !== null) run.cronExpr = row[11]
  if (row[12] !== null) run.retryPolicy = fromJson(row[12])
  if (row[13] !== null) run.slot = row[13]
  if (row[15] !== null) run.error = fromJson(row[15])
  if (row[17] !== null) run.startedAt = row[17]
  if (row[18] !== null) run.finishedAt = row[18]
  if (row[19] !== null) run.workerId = row[19]
  if (row[20] !== null) run.dueAt = row[20]
  if (row[22] !== null) run.claimedAt = row[22]
  return run
}

/** A run with its payloads. */
export const fullRunColumns = [...runColumns, "input", "input_metadata", "output", "output_metadata"]

export type FullRunRow = readonly [
  ...run: RunRow,
  input: Uint8Array | null,
  inputMetadata: string | null,
  output: Uint8Array | null,
  outputMetadata: string | null
]

/** A run as clients see it at that time. */
export const toRun = (row: readonly [...run: FullRunRow, ...rest: ReadonlyArray<unknown>], now: number): Run => {
  const [input, inputMetadata, output, outputMetadata] = row.slice(27) as unknown as readonly [
    Uint8Array | null,
    string | null,
    Uint8Array | null,
    string | null
  ]
  const record = toRunRecord(row)
  const { claimedAt, dueAt, expiries, leaseEpoch, retryPolicy, sequence, slot, stepCount, stepFailed, ...shown } =
    record
  const run: Types.Mutable<Run> = { ...shown, input: toPayload(input, inputMetadata) }
  if (output !== null) run.output = toPayload(output, outputMetadata)
  const wakes = wakeUpAt(record, now)
  if (wakes !== undefined) run.wakeUpAt = wakes
  return run
}

/** What a payload is given to a run as. */
export interface RunPayload {
  readonly runId: string
  readonly payload: Payload
}
