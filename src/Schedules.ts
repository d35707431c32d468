/**
 * Schedules: workflows that start by the clock. `workflow.schedule` makes one; here they are looked after, by their id.
 *
 * **Details**
 *
 * A schedule starts one run for each time of its cron expression, whatever number of servers there is. A time that was
 * missed because no server was up is made up for as `maxCatchup` says. What a body may know of the schedule that started
 * its run is `Workflow.info`'s `scheduleId`.
 *
 * Where clocks are put forward, a time that is skipped stands for the instant at which it would have come: `30 2 * * *`
 * fires at 3:30 that day. Where they are put back, a time that comes twice fires the first time only, unless the
 * expression leaves the hour open, like `0 * * * *`: then every hour that passes counts.
 */
import { type Effect, type Option, Stream } from "effect"
import { KagziClient } from "./KagziClient.ts"
import type { KagziError } from "./KagziError.ts"
import type * as Run from "./Run.ts"
import type { Description } from "./Schedule.ts"
import type { Changes, InNamespace, ListFilter } from "./ScheduleClient.ts"

export type { Description, Overlap } from "./Schedule.ts"
export type { Changes, InNamespace, ListFilter, Settings } from "./ScheduleClient.ts"

/** The schedule with that id, if there is one. */
export const get = (
  scheduleId: string,
  options?: InNamespace
): Effect.Effect<Option.Option<Description>, KagziError, KagziClient> =>
  KagziClient.use(({ schedules }) => schedules.get(scheduleId, options))

/** Newest first, the paused ones too, loaded as they are wanted. */
export const list = (filter?: ListFilter): Stream.Stream<Description, KagziError, KagziClient> =>
  Stream.unwrap(KagziClient.useSync(({ schedules }) => schedules.list(filter)))

/**
 * Changes a schedule; what is left out stays. Fails with `NotFound`, or with `InvalidArgument` that names the field.
 *
 * @example
 * ```ts
 * const later = Schedules.update(scheduleId, { cron: "30 7 * * 1-5", timezone: "Europe/Berlin" })
 * ```
 */
export const update = (
  scheduleId: string,
  changes: Changes & InNamespace
): Effect.Effect<Description, KagziError, KagziClient> =>
  KagziClient.use(({ schedules }) => schedules.update(scheduleId, changes))

/** Keeps a schedule from firing until it is resumed. */
export const pause = (scheduleId: string, options?: InNamespace): Effect.Effect<Description, KagziError, KagziClient> =>
  KagziClient.use(({ schedules }) => schedules.pause(scheduleId, options))

/** Goes on with the next time from now: what the pause missed is not made up for. */
export const resume = (
  scheduleId: string,
  options?: InNamespace
): Effect.Effect<Description, KagziError, KagziClient> =>
  KagziClient.use(({ schedules }) => schedules.resume(scheduleId, options))

/** Starts a run now, of a paused schedule too, and gives the id of the run. */
export const trigger = (scheduleId: string, options?: InNamespace): Effect.Effect<string, KagziError, KagziClient> =>
  KagziClient.use(({ schedules }) => schedules.trigger(scheduleId, options))

/** The runs that a schedule started, newest first, loaded as they are wanted. */
export const runs = (
  scheduleId: string,
  options?: InNamespace
): Stream.Stream<Run.Description, KagziError, KagziClient> =>
  Stream.unwrap(KagziClient.useSync(({ schedules }) => schedules.runs(scheduleId, options)))

const remove = (scheduleId: string, options?: InNamespace): Effect.Effect<void, KagziError, KagziClient> =>
  KagziClient.use(({ schedules }) => schedules.delete(scheduleId, options))

export {
  /** Deletes a schedule. Its runs stay. */
  remove as delete
}
