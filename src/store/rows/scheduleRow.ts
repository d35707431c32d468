/** Schedules as rows. */
import type { Types } from "effect"
import type { ScheduleRecord } from "../Store.ts"
import { overlap, overlaps } from "./codes.ts"
import { bit, orNull, type Value } from "./values.ts"

/** Columns that an update sets. */
export const scheduleMutable = [
  "task_queue",
  "workflow_type",
  "cron_expr",
  "timezone",
  "version",
  "enabled",
  "max_catchup",
  "overlap",
  "updated_at",
  "next_fire_at",
  "last_fired_at"
]

const counters = ["total_runs", "successful_runs", "failed_runs"]

export const scheduleColumns = ["schedule_id", "namespace", "created_at", ...scheduleMutable, ...counters]

export type ScheduleRow = readonly [
  scheduleId: string,
  namespace: string,
  createdAt: number,
  taskQueue: string,
  workflowType: string,
  cronExpr: string,
  timezone: string,
  version: string,
  enabled: number,
  maxCatchup: number,
  overlap: number,
  updatedAt: number,
  nextFireAt: number | null,
  lastFiredAt: number | null,
  totalRuns: number,
  successfulRuns: number,
  failedRuns: number
]

export const scheduleMutableValues = (schedule: ScheduleRecord): Array<Value> => [
  schedule.taskQueue,
  schedule.workflowType,
  schedule.cronExpr,
  schedule.timezone,
  schedule.version,
  bit(schedule.enabled),
  schedule.maxCatchup,
  overlap[schedule.overlap],
  schedule.updatedAt,
  orNull(schedule.nextFireAt),
  orNull(schedule.lastFiredAt)
]

/** The values of a new schedule, which has no runs. */
export const scheduleValues = (schedule: ScheduleRecord): Array<Value> => [
  schedule.scheduleId,
  schedule.namespace,
  schedule.createdAt,
  ...scheduleMutableValues(schedule),
  0,
  0,
  0
]

export const toScheduleRecord = (
  row: readonly [...schedule: ScheduleRow, ...rest: ReadonlyArray<unknown>]
): ScheduleRecord => {
  const schedule: Types.Mutable<ScheduleRecord> = {
    scheduleId: row[0],
    namespace: row[1],
    createdAt: row[2],
    taskQueue: row[3],
    workflowType: row[4],
    cronExpr: row[5],
    timezone: row[6],
    version: row[7],
    enabled: row[8] === 1,
    maxCatchup: row[9],
    overlap: overlaps[row[10]]!,
    updatedAt: row[11],
    totalRuns: row[14],
    successfulRuns: row[15],
    failedRuns: row[16]
  }
  if (row[12] !== null) schedule.nextFireAt = row[12]
  if (row[13] !== null) schedule.lastFiredAt = row[13]
  return schedule
}
