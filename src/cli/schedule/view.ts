/** Schedules as JSON for scripts and as text for people. The JSON shapes only ever grow. */
import type { Schedule } from "../../Schedule.ts"
import { fields } from "../table.ts"
import * as views from "../views.ts"

const maxCatchup = (schedule: Schedule) => (schedule.maxCatchup < 0 ? "unlimited" : schedule.maxCatchup)

export const json = (schedule: Schedule) => ({
  scheduleId: schedule.scheduleId,
  namespace: schedule.namespace,
  taskQueue: schedule.taskQueue,
  workflowType: schedule.workflowType,
  cron: schedule.cronExpr,
  timezone: schedule.timezone,
  version: schedule.version,
  enabled: schedule.enabled,
  input: views.value(schedule.input),
  maxCatchup: maxCatchup(schedule),
  overlap: schedule.overlap,
  totalRuns: schedule.totalRuns,
  successfulRuns: schedule.successfulRuns,
  failedRuns: schedule.failedRuns,
  createdAt: views.time(schedule.createdAt),
  updatedAt: views.time(schedule.updatedAt),
  nextFireAt: views.time(schedule.nextFireAt),
  lastFiredAt: views.time(schedule.lastFiredAt)
})

/** The names in `json`, for the help of the commands that print it. */
export const shape =
  "{ scheduleId, namespace, taskQueue, workflowType, cron, timezone, version, enabled, input, maxCatchup, overlap, totalRuns, successfulRuns, failedRuns, createdAt, updatedAt, nextFireAt, lastFiredAt }, without what has no value"

export const text = (schedule: Schedule) =>
  fields([
    ["Schedule", schedule.scheduleId],
    ["Namespace", schedule.namespace],
    ["Type", schedule.workflowType],
    ["Version", schedule.version],
    ["Queue", schedule.taskQueue],
    ["Cron", schedule.cronExpr],
    ["Time zone", schedule.timezone],
    ["Enabled", schedule.enabled ? "yes" : "no, paused"],
    ["Next", views.time(schedule.nextFireAt)],
    ["Last fired", views.time(schedule.lastFiredAt)],
    ["Runs", `${schedule.totalRuns}, ${schedule.successfulRuns} completed, ${schedule.failedRuns} failed`],
    ["Catch-up", `${maxCatchup(schedule)}`],
    ["Overlap", schedule.overlap],
    ["Created", views.time(schedule.createdAt)],
    ["Updated", views.time(schedule.updatedAt)],
    ["Input", JSON.stringify(views.value(schedule.input))]
  ])
