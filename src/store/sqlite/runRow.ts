/** Runs as rows. */
import type { SQLInputValue } from "node:sqlite"
import type { Types } from "effect"
import type { Payload, Run } from "../../Run.ts"
import { type RunRecord, wakeUpAt } from "../Store.ts"
import { runStatus, runStatuses } from "../rows/codes.ts"
import { bit, fromJson, orNull, toJsonOrNull } from "../rows/values.ts"
import { prefixed } from "./rows.ts"

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
  "claimed_at"
]

/** Columns of `run_progress`. */
const progress = ["expiries", "step_count", "sequence", "step_failed"]

/** Columns that are written with a new run. */
export const runWritten = [...fixed, ...mutable, "slot"]

/** Columns of `run_progress` that are written. */
export const progressWritten = ["seq", ...progress]

/** What a row is read with; `seq` is its key, by which its payloads and steps know it. */
export const runColumns = `${prefixed("r", [...runWritten, "seq"])}, ${prefixed("p", progress)}`

/** Where rows are read from; `index` is the one to use. */
export const runTables = (index = ""): string =>
  `runs AS r ${index === "" ? "" : `INDEXED BY ${index} `}LEFT JOIN run_progress AS p ON p.seq = r.seq`

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
  slot: number | null,
  seq: number,
  expiries: number | null,
  stepCount: number | null,
  sequence: number | null,
  stepFailed: number | null
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
  orNull(run.claimedAt)
]

export const runValues = (run: RunRecord): Array<SQLInputValue> => [
  ...fixedValues(run),
  ...mutableValues(run),
  orNull(run.slot)
]

/** What an update sets: the columns, and their values in that order. */
export interface RunUpdate {
  readonly columns: ReadonlyArray<string>
  readonly values: (run: RunRecord) => ReadonlyArray<SQLInputValue>
}

const indexed = ["status", "worker_id", "due_at"]

/**
 * SQLite writes the entries of every index on a column that is set, changed or not, so there is an update for each
 * choice of those that changed: bit 0 of its place stands for the status, bit 1 for the worker, bit 2 for the due time.
 */
export const runUpdates: ReadonlyArray<RunUpdate> = Array.from({ length: 8 }, (_, changed) => {
  const set = mutable.flatMap((column, place) => {
    const bitOfColumn = indexed.indexOf(column)
    return bitOfColumn < 0 || (changed & (1 << bitOfColumn)) !== 0 ? [place] : []
  })
  return {
    columns: set.map((place) => mutable[place]!),
    values: (run) => {
      const all = mutableValues(run)
      return set.map((place) => all[place]!)
    }
  }
})

/** Which of `runUpdates` makes one row of the other, if any is needed. */
export const runUpdate = (before: RunRecord, run: RunRecord): number | undefined => {
  const changed =
    (run.status === before.status ? 0 : 1) |
    (run.workerId === before.workerId ? 0 : 2) |
    (run.dueAt === before.dueAt ? 0 : 4)
  const stays =
    changed === 0 &&
    run.leaseEpoch === before.leaseEpoch &&
    run.error === before.error &&
    run.attempts === before.attempts &&
    run.startedAt === before.startedAt &&
    run.finishedAt === before.finishedAt &&
    run.claimedAt === before.claimedAt
  return stays ? undefined : changed
}

/** Whether a run got further, or lost what it had. */
export const hasProgressed = (before: RunRecord | undefined, run: RunRecord): boolean =>
  run.stepCount !== (before?.stepCount ?? 0) ||
  run.sequence !== (before?.sequence ?? 0) ||
  run.expiries !== (before?.expiries ?? 0) ||
  run.stepFailed !== (before?.stepFailed ?? false)

export const progressValues = (seq: number, run: RunRecord): ReadonlyArray<SQLInputValue> => [
  seq,
  run.expiries,
  run.stepCount,
  run.sequence,
  bit(run.stepFailed)
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
    status: runStatuses[row[13]]!,
    attempts: row[15],
    leaseEpoch: row[20],
    expiries: row[24] ?? 0,
    stepCount: row[25] ?? 0,
    sequence: row[26] ?? 0,
    stepFailed: row[27] === 1
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
  if (row[22] !== null) run.slot = row[22]
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
