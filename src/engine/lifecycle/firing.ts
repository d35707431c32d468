/** What a schedule does when its time has come: which slots it starts runs for, and where it goes on. */
import { Result } from "effect"
import type { ScheduleRecord } from "../../store/Store.ts"
import type { FireSchedule, ScheduleReply } from "../ScheduleCommand.ts"
import { parse, type Timetable } from "./cron.ts"
import type { Decision } from "./failures.ts"
import type { Circumstances } from "./leases.ts"
import { cancelRun } from "./runs.ts"
import { startRunOf, withCursor } from "./schedules.ts"
import { slotAfter, slotBefore } from "./slots.ts"
import type { WorkingSet } from "./WorkingSet.ts"

/** From here on a limit of missed slots is no limit: they would not be found from the newest back in a short time. */
const unlimitedFrom = 10_000

/** The most slots that are dealt with at once. */
export const maximumAtOnce = 1_000

/** How many slots a schedule makes up for, of those that are due: at least the newest, which is the current one. */
export const catchup = (maxCatchup: number): number =>
  maxCatchup < 0 || maxCatchup > unlimitedFrom ? Number.POSITIVE_INFINITY : Math.max(1, maxCatchup)

/**
 * The slots from the cursor up to now that are to be dealt with, in order, and one more if there is one: the newest ones
 * where there is a limit. The cursor is a slot itself, whatever the expression says.
 */
const dueSlots = (table: Timetable, cursor: number, now: number, limit: number, room: number): Array<number> => {
  if (limit === Number.POSITIVE_INFINITY) {
    const slots: Array<number> = []
    let slot: number | undefined = cursor
    while (slot !== undefined && slot <= now && slots.length <= room) {
      slots.push(slot)
      slot = slotAfter(table, slot)
    }
    return slots
  }
  const slots: Array<number> = []
  let slot = slotBefore(table, now + 1)
  while (slot !== undefined && slot > cursor && slots.length < limit) {
    slots.push(slot)
    slot = slotBefore(table, slot)
  }
  if (slots.length < limit) slots.push(cursor)
  return slots.reverse()
}

const fireSlot = (
  set: WorkingSet,
  schedule: ScheduleRecord,
  run: { readonly runId: string; readonly slot: number },
  at: Circumstances
): boolean => {
  const { namespace, overlap, scheduleId } = schedule
  if (set.schedules.hasRun(scheduleId, run.slot)) return false
  if (overlap !== "allow") {
    const unfinished = set.runsOfSchedule(scheduleId)
    if (overlap === "skip" && unfinished.length > 0) return false
    for (const { runId } of unfinished) cancelRun(set, { _tag: "CancelRun", namespace, runId }, at)
  }
  startRunOf(set, schedule, run, at.now)
  return true
}

export const fireSchedule = (
  set: WorkingSet,
  command: FireSchedule,
  at: Circumstances
): Decision<ScheduleReply["FireSchedule"]> => {
  const schedule = set.schedules.get(command.scheduleId)
  const isAsRead =
    schedule?.enabled === true && schedule.nextFireAt === command.nextFireAt && schedule.overlap === command.overlap
  if (!isAsRead || command.nextFireAt > at.now) return Result.succeed({ fired: 0 })

  const table = parse(schedule.cronExpr, schedule.timezone)
  if (Result.isFailure(table)) {
    // Read when it was stored: this server knows another time zone database, or the row was written by hand.
    set.schedules.put(withCursor(schedule, undefined))
    return Result.succeed({ fired: 0, problem: `${table.failure.argument}: ${table.failure.reason}` })
  }
  if (set.namespace(schedule.namespace)?.enabled === false) {
    set.schedules.put(withCursor(schedule, slotAfter(table.success, at.now)))
    return Result.succeed({ fired: 0 })
  }

  const room = command.runIds.length
  const slots = dueSlots(table.success, command.nextFireAt, at.now, catchup(schedule.maxCatchup), room)
  let fired = 0
  for (const slot of slots.slice(0, room)) {
    const runId = command.runIds[fired]
    if (runId !== undefined && fireSlot(set, schedule, { runId, slot }, at)) fired++
  }
  const next = slots[room] ?? slotAfter(table.success, at.now)
  const counted = set.schedules.get(command.scheduleId) ?? schedule
  set.schedules.put(withCursor(fired > 0 ? { ...counted, lastFiredAt: at.now } : counted, next))
  return Result.succeed({ fired })
}
