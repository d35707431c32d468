/** Fires schedules at their time. */
import { Effect, type Latch } from "effect"
import type { KagziError } from "../KagziError.ts"
import type { Cursor, ScheduleRecord, Shape } from "../store/Store.ts"
import type { Committer } from "./Committer.ts"
import { catchup, maximumAtOnce } from "./lifecycle/firing.ts"
import { logStoreError } from "./storeErrors.ts"

/** How long a schedule that could not be fired, or a store that could not be read, is left alone. */
const retryMillis = 5_000

/** The longest sleep: a machine that was suspended, or a clock that was set, is noticed after it. */
const longestSleepMillis = 3_600_000

/** A schedule that is so late may have more than one slot to make up for. */
const lateMillis = 1_000

const portion = 256

type Due = ScheduleRecord & { readonly nextFireAt: number }

export interface Needs {
  readonly store: Shape
  readonly committer: Pick<Committer, "execute">
  readonly newId: Effect.Effect<string>
  /** Opened when schedules were changed. */
  readonly bell: Latch.Latch
}

/**
 * Sleeps until the schedule that is due first, or until schedules were changed. What is due is read from the store each
 * time, so that it does not matter who else fires schedules of the same store, and nothing is lost with this process.
 */
export const fireSchedules = ({ bell, committer, newId, store }: Needs): Effect.Effect<never> => {
  /** Schedules that could not be fired, and when to try again. */
  const postponed = new Map<string, number>()

  const fire = Effect.fnUntraced(
    function* (schedule: Due, now: number) {
      const { namespace, nextFireAt, overlap, scheduleId } = schedule
      const count = now - nextFireAt < lateMillis ? 1 : Math.min(catchup(schedule.maxCatchup), maximumAtOnce)
      const runIds = yield* Effect.all(Array.from({ length: count }, () => newId))
      const { problem } = yield* committer.execute({
        _tag: "FireSchedule",
        namespace,
        scheduleId,
        nextFireAt,
        overlap,
        runIds: runIds.sort()
      })
      if (problem !== undefined) yield* Effect.logError(`Schedule ${scheduleId} does not fire any more: ${problem}`)
    },
    (effect, { scheduleId }, now) =>
      Effect.catch(effect, (error: KagziError) => {
        postponed.set(scheduleId, now + retryMillis)
        return Effect.logWarning(`Schedule ${scheduleId} could not be fired`, error)
      })
  )

  /** Fires what is due, and gives when to look again: at once, at a time, or when schedules were changed. */
  const pass = Effect.gen(function* () {
    const now = yield* store.now
    for (const [scheduleId, until] of postponed) if (until <= now) postponed.delete(scheduleId)
    let wakeAt = Number.POSITIVE_INFINITY
    let fired = false
    let after: Cursor | undefined
    for (;;) {
      const page: ReadonlyArray<Due> = yield* store.schedulesByDue(portion, after)
      const due: Array<Due> = []
      for (const schedule of page) {
        if (schedule.nextFireAt > now) wakeAt = Math.min(wakeAt, schedule.nextFireAt)
        else if (postponed.has(schedule.scheduleId)) wakeAt = Math.min(wakeAt, postponed.get(schedule.scheduleId) ?? 0)
        else due.push(schedule)
      }
      yield* Effect.forEach(due, (schedule) => fire(schedule, now), { concurrency: "unbounded", discard: true })
      fired ||= due.length > 0
      const last = page.at(-1)
      if (last === undefined || page.length < portion || last.nextFireAt > now) break
      after = { at: last.nextFireAt, id: last.scheduleId }
    }
    return fired ? 0 : wakeAt - now
  })

  const patiently = Effect.catch(pass, (error) => Effect.as(logStoreError(error), retryMillis))

  return Effect.gen(function* () {
    bell.closeUnsafe()
    const sleep = yield* patiently
    if (sleep === Number.POSITIVE_INFINITY) yield* bell.await
    else if (sleep > 0) yield* Effect.raceFirst(bell.await, Effect.sleep(Math.min(sleep, longestSleepMillis)))
  }).pipe(Effect.forever)
}
