/**
 * The slots of a timetable: the instants at which a schedule fires, where clocks are put forward and back too.
 *
 * A time on the wall that the clock skips stands for the instant at which it would have come had the clock not been put
 * forward: `30 2 * * *` fires at 3:30 that day. A time that the clock shows twice stands for the first instant, except
 * where the expression leaves the hour open: `*\/15 * * * *` fires every quarter of an hour that really passes.
 *
 * `Cron` of Effect finds the times on the wall; what it does with zones itself depends, near a change of the clock, on
 * where the search begins and in which direction it goes.
 */
import { Cron, DateTime, Result } from "effect"
import type { Timetable } from "./cron.ts"

const minute = 60_000
const hour = 60 * minute

/** How far around an instant a change of the clock matters. Clocks are never changed by more than a day at once. */
const near = 48 * hour
const farthest = 25 * hour

/** The end of the year 9999, after which times can't be told on the wire. */
const latest = 253_402_300_799_000

const offsetAt = (zone: DateTime.TimeZone, instant: number): number =>
  DateTime.zonedOffset(DateTime.makeZonedUnsafe(instant, { timeZone: zone }))

/** A change of the clock: the first instant of the new time, and what is added to UTC before and after it. */
interface Change {
  readonly at: number
  readonly before: number
  readonly after: number
}

/** Clocks are changed at full minutes. */
const changeNear = (zone: DateTime.TimeZone, instant: number): Change | undefined => {
  let low = Math.floor((instant - near) / minute)
  let high = Math.floor((instant + near) / minute)
  const before = offsetAt(zone, low * minute)
  const after = offsetAt(zone, high * minute)
  if (before === after) return undefined
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2)
    if (offsetAt(zone, middle * minute) === before) low = middle
    else high = middle
  }
  return { at: high * minute, before, after }
}

const find = (search: typeof Cron.next, wall: Cron.Cron, from: number): number | undefined =>
  // It throws when it finds nothing.
  Result.getOrUndefined(Result.try(() => search(wall, from).getTime()))

/** Years that one search covers at least, when it goes from day to day: the rarest day comes once in 40 years. */
const stride = 25 * 365 * 24 * hour

const wallAfter = (wall: Cron.Cron, from: number): number | undefined => {
  for (let turn = 0; turn < 3; turn++) {
    const found = find(Cron.next, wall, from + turn * stride)
    if (found !== undefined) return found > latest ? undefined : found
  }
  return undefined
}

/** The times on the wall from this one on belong to the time after the change. */
const border = ({ after, at, before }: Change): number => at + Math.max(before, after)

const firstAfterChange = ({ everyHour }: Timetable, change: Change): number =>
  everyHour ? change.at + change.after : border(change)

const earliest = (a: number | undefined, b: number | undefined): number | undefined =>
  a === undefined ? b : b === undefined ? a : Math.min(a, b)

const minus = (wall: number | undefined, offset: number): number | undefined =>
  wall === undefined ? undefined : wall - offset

const after = (table: Timetable, zone: DateTime.TimeZone, from: number): number | undefined => {
  const change = changeNear(zone, from)
  if (change === undefined) {
    const offset = offsetAt(zone, from)
    return minus(wallAfter(table.wall, from + offset), offset)
  }
  const old = wallAfter(table.wall, from + change.before)
  const lower = Math.max(from + change.after, firstAfterChange(table, change) - 1)
  return earliest(
    old !== undefined && old < border(change) ? old - change.before : undefined,
    minus(wallAfter(table.wall, lower), change.after)
  )
}

/** The first slot after an instant, if there is one. Milliseconds since the epoch. */
export const slotAfter = (table: Timetable, instant: number): number | undefined => {
  const { zone } = table
  if (zone === undefined) return wallAfter(table.wall, instant)
  let from = instant
  for (;;) {
    const found = after(table, zone, from)
    if (found === undefined || found - from <= near) return found
    // The clock may have been changed on the way: look again from just before it, where no other slot can be between.
    from = found - farthest
  }
}

const before = (table: Timetable, zone: DateTime.TimeZone, from: number): number | undefined => {
  const change = changeNear(zone, from)
  if (change === undefined) {
    const offset = offsetAt(zone, from)
    return minus(find(Cron.prev, table.wall, from + offset), offset)
  }
  const late = find(Cron.prev, table.wall, from + change.after)
  const early = find(Cron.prev, table.wall, Math.min(from + change.before, border(change)))
  const found = [
    ...(late !== undefined && late >= firstAfterChange(table, change) ? [late - change.after] : []),
    ...(early === undefined ? [] : [early - change.before])
  ]
  return found.length === 0 ? undefined : Math.max(...found)
}

/** The last slot before an instant, if there is one. Milliseconds since the epoch. */
export const slotBefore = (table: Timetable, instant: number): number | undefined => {
  const { zone } = table
  if (zone === undefined) return find(Cron.prev, table.wall, instant)
  let from = instant
  for (;;) {
    const found = before(table, zone, from)
    if (found === undefined || from - found <= near) return found
    from = found + farthest
  }
}
