/** What can be known of a schedule. Plain data, the same words as the wire contract. */
import * as Run from "./Run.ts"

/**
 * What happens to a slot while a run of the schedule has not ended: both run (`allow`), the slot is left out (`skip`),
 * or the earlier run is cancelled (`cancel`).
 */
export type Overlap = "allow" | "skip" | "cancel"

/** A schedule as clients see it. Times are milliseconds since the epoch. */
export interface Schedule {
  readonly scheduleId: string
  readonly namespace: string
  readonly taskQueue: string
  readonly workflowType: string
  /** Six fields with seconds first, or the five of crontab(5). */
  readonly cronExpr: string
  /** The IANA time zone of the expression. */
  readonly timezone: string
  readonly version: string
  readonly enabled: boolean
  readonly input: Run.Payload
  /** How many missed slots are made up for, the newest ones; negative is all of them. */
  readonly maxCatchup: number
  readonly overlap: Overlap
  readonly totalRuns: number
  readonly successfulRuns: number
  /** Those that ended FAILED; a cancelled run counts neither here nor as successful. */
  readonly failedRuns: number
  readonly createdAt: number
  /** When its settings were last changed. */
  readonly updatedAt: number
  /** Absent while it is paused, and when the expression has no time left. */
  readonly nextFireAt?: number
  /** When it last started a run, by its time or because it was triggered. */
  readonly lastFiredAt?: number
}

/** How many missed slots are made up for unless a schedule says otherwise. */
export const defaultMaxCatchup = 50

/** A schedule for reading: its input as a value, its times as dates. */
export interface Description {
  readonly scheduleId: string
  readonly namespace: string
  readonly taskQueue: string
  readonly workflowType: string
  readonly cron: string
  readonly timezone: string
  readonly version: string
  readonly enabled: boolean
  readonly input: unknown
  readonly maxCatchup: number | "unlimited"
  readonly overlap: Overlap
  readonly totalRuns: number
  readonly successfulRuns: number
  readonly failedRuns: number
  readonly createdAt: Date
  readonly updatedAt: Date
  readonly nextFireAt: Date | undefined
  readonly lastFiredAt: Date | undefined
}

/** The schedule for reading. */
export const describe = (schedule: Schedule): Description => ({
  scheduleId: schedule.scheduleId,
  namespace: schedule.namespace,
  taskQueue: schedule.taskQueue,
  workflowType: schedule.workflowType,
  cron: schedule.cronExpr,
  timezone: schedule.timezone,
  version: schedule.version,
  enabled: schedule.enabled,
  input: Run.jsonOf(schedule.input),
  maxCatchup: schedule.maxCatchup < 0 ? "unlimited" : schedule.maxCatchup,
  overlap: schedule.overlap,
  totalRuns: schedule.totalRuns,
  successfulRuns: schedule.successfulRuns,
  failedRuns: schedule.failedRuns,
  createdAt: new Date(schedule.createdAt),
  updatedAt: new Date(schedule.updatedAt),
  nextFireAt: schedule.nextFireAt === undefined ? undefined : new Date(schedule.nextFireAt),
  lastFiredAt: schedule.lastFiredAt === undefined ? undefined : new Date(schedule.lastFiredAt)
})
