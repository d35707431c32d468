/** When a cron expression fires. */
import { Result } from "effect"
import { parse } from "../engine/lifecycle/cron.ts"
import { slotAfter } from "../engine/lifecycle/slots.ts"

/** The next times after an instant, in milliseconds since the epoch; fewer where there are no more. */
export const upcoming = (
  schedule: { readonly cronExpr: string; readonly timezone: string },
  after: number,
  count: number
): Result.Result<ReadonlyArray<number>, string> =>
  Result.mapBoth(parse(schedule.cronExpr, schedule.timezone), {
    onFailure: ({ reason }) => reason,
    onSuccess: (table) => {
      const times: Array<number> = []
      let next = slotAfter(table, after)
      while (next !== undefined && times.length < count) {
        times.push(next)
        next = slotAfter(table, next)
      }
      return times
    }
  })
