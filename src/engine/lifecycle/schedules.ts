/** Schedules: how they are made, changed, stopped, and set off by hand. */
import { Result } from "effect"
import type { ScheduleRecord } from "../../store/Store.ts"
import type {
  CreateSchedule,
  DeleteSchedule,
  PauseSchedule,
  ResumeSchedule,
  ScheduleReply,
  TriggerSchedule,
  UpdateSchedule
} from "../ScheduleCommand.ts"
import { parse, type Timetable } from "./cron.ts"
import { type Decision, invalid, notFound } from "./failures.ts"
import type { Circumstances } from "./leases.ts"
import * as Namespaces from "./namespaces.ts"
import { pending } from "./runs.ts"
import { slotAfter } from "./slots.ts"
import type { WorkingSet } from "./WorkingSet.ts"

/** The zone of a schedule that names none. */
const defaultTimezone = "UTC"

interface OfSchedule {
  readonly namespace: string
  readonly scheduleId: string
}

const find = (set: WorkingSet, { namespace, scheduleId }: OfSchedule): Decision<ScheduleRecord> => {
  const schedule = set.schedules.get(scheduleId)
  return schedule === undefined || schedule.namespace !== namespace
    ? notFound("schedule", scheduleId)
    : Result.succeed(schedule)
}

const timetable = ({ cronExpr, timezone }: Pick<ScheduleRecord, "cronExpr" | "timezone">): Decision<Timetable> => {
  const read = parse(cronExpr, timezone)
  return Result.isSuccess(read)
    ? Result.succeed(read.success)
    : invalid(`${read.failure.argument}: ${read.failure.reason}`)
}

/** The schedule with that cursor, or without one. */
export const withCursor = (schedule: ScheduleRecord, nextFireAt: number | undefined): ScheduleRecord => {
  const { nextFireAt: _, ...rest } = schedule
  return nextFireAt === undefined ? rest : { ...rest, nextFireAt }
}

const problemOf = (fields: { readonly taskQueue?: string; readonly workflowType?: string }): string | undefined => {
  if (fields.taskQueue === "") return "task_queue must not be empty"
  if (fields.workflowType === "") return "workflow_type must not be empty"
  return undefined
}

export const createSchedule = (
  set: WorkingSet,
  command: CreateSchedule,
  at: Circumstances
): Decision<ScheduleReply["CreateSchedule"]> => {
  const { _tag, input, namespaceId, ...fields } = command
  const problem = problemOf(fields)
  if (problem !== undefined) return invalid(problem)
  const schedule: ScheduleRecord = {
    ...fields,
    timezone: fields.timezone === "" ? defaultTimezone : fields.timezone,
    version: fields.version === "" ? "1" : fields.version,
    createdAt: at.now,
    updatedAt: at.now,
    totalRuns: 0,
    successfulRuns: 0,
    failedRuns: 0
  }
  return Result.flatMap(timetable(schedule), (table) =>
    Result.map(Namespaces.ensure(set, command.namespace, namespaceId, at.now), () => {
      set.schedules.putInput(schedule.scheduleId, input)
      return set.schedules.put(schedule.enabled ? withCursor(schedule, slotAfter(table, at.now)) : schedule)
    })
  )
}

/** Where a schedule goes on after its settings have changed. */
const nextOf = (
  before: ScheduleRecord,
  after: ScheduleRecord,
  given: number | undefined,
  table: Timetable,
  now: number
): number | undefined => {
  if (given !== undefined) return given
  // What was set for the time after a pause is kept, unless it is past: a pause is not made up for.
  if (!after.enabled) return before.enabled ? undefined : before.nextFireAt
  const moved = before.cronExpr !== after.cronExpr || before.timezone !== after.timezone
  if (before.enabled) return moved ? slotAfter(table, now) : before.nextFireAt
  return !moved && before.nextFireAt !== undefined && before.nextFireAt > now
    ? before.nextFireAt
    : slotAfter(table, now)
}

const change = (
  set: WorkingSet,
  command: OfSchedule,
  fields: Partial<ScheduleRecord>,
  at: Circumstances
): Decision<ScheduleRecord> =>
  Result.flatMap(find(set, command), (before) => {
    const { nextFireAt, ...settings } = fields
    const after = { ...before, ...settings, updatedAt: at.now }
    return Result.map(timetable(after), (table) =>
      set.schedules.put(withCursor(after, nextOf(before, after, nextFireAt, table, at.now)))
    )
  })

export const updateSchedule = (
  set: WorkingSet,
  command: UpdateSchedule,
  at: Circumstances
): Decision<ScheduleReply["UpdateSchedule"]> => {
  const { _tag, input, namespace, scheduleId, ...fields } = command
  const problem = problemOf(fields)
  if (problem !== undefined) return invalid(problem)
  const settings = {
    ...fields,
    ...(fields.timezone === "" ? { timezone: defaultTimezone } : {}),
    ...(fields.version === "" ? { version: "1" } : {})
  }
  return Result.map(change(set, command, settings, at), (schedule) => {
    if (input !== undefined) set.schedules.putInput(scheduleId, input)
    return schedule
  })
}

/** Pausing what is paused changes nothing. */
export const pauseSchedule = (
  set: WorkingSet,
  command: PauseSchedule,
  at: Circumstances
): Decision<ScheduleReply["PauseSchedule"]> =>
  Result.flatMap(find(set, command), (schedule) =>
    schedule.enabled
      ? Result.succeed(set.schedules.put(withCursor({ ...schedule, enabled: false, updatedAt: at.now }, undefined)))
      : Result.succeed(schedule)
  )

/** Goes on with the next slot from now; what the pause missed is not made up for. */
export const resumeSchedule = (
  set: WorkingSet,
  command: ResumeSchedule,
  at: Circumstances
): Decision<ScheduleReply["ResumeSchedule"]> =>
  Result.flatMap(find(set, command), (schedule) =>
    schedule.enabled ? Result.succeed(schedule) : change(set, command, { enabled: true }, at)
  )

export const deleteSchedule = (set: WorkingSet, command: DeleteSchedule): Decision<ScheduleReply["DeleteSchedule"]> =>
  Result.map(find(set, command), ({ scheduleId }) => {
    set.schedules.remove(scheduleId)
    return { deleted: true }
  })

/** Starts a run of a schedule: for a slot, or without one because it was asked for. */
export const startRunOf = (
  set: WorkingSet,
  schedule: ScheduleRecord,
  run: { readonly runId: string; readonly slot?: number },
  now: number
): void => {
  const { cronExpr, namespace, scheduleId, taskQueue, version, workflowType } = schedule
  const { runId, slot } = run
  const made = pending(
    {
      namespace,
      runId,
      externalId: `${scheduleId}@${slot === undefined ? runId : new Date(slot).toISOString()}`,
      taskQueue,
      workflowType,
      version,
      priority: 0
    },
    now
  )
  // A slot made up for is due since its time, so that runs of several are claimed in their order.
  set.putRun({ ...made, scheduleId, cronExpr, ...(slot === undefined ? {} : { slot, dueAt: slot }) })
  set.schedules.copyInput(runId, scheduleId)
}

/** The run is there whatever the expression, a pause, or runs that have not ended say. */
export const triggerSchedule = (
  set: WorkingSet,
  command: TriggerSchedule,
  at: Circumstances
): Decision<ScheduleReply["TriggerSchedule"]> =>
  Result.flatMap(find(set, command), (schedule) => {
    const namespace = set.namespace(schedule.namespace)
    if (namespace === undefined) return notFound("namespace", schedule.namespace)
    return Result.map(Namespaces.requireEnabled(namespace), () => {
      startRunOf(set, set.schedules.put({ ...schedule, lastFiredAt: at.now }), { runId: command.runId }, at.now)
      return { runId: command.runId }
    })
  })
