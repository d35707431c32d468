/** A server process that is killed again and again while a schedule fires. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { Schedules, Workflow } from "../../src/index.ts"
import * as Place from "./Place.ts"

const Tick = Workflow.make("tick", { taskQueue: "ticks" })
const second = 1_000

describe("a schedule of a server that is killed again and again", () => {
  it.live(
    "has one run for each of its slots, no matter when the server died",
    () =>
      Effect.gen(function* () {
        const place = yield* Place.make()
        yield* Effect.gen(function* () {
          const { nextFireAt, scheduleId } = yield* Tick.schedule({ cron: "* * * * * *", maxCatchup: "unlimited" })
          const slots = Effect.map(Stream.runCollect(Schedules.runs(scheduleId)), (runs) =>
            runs.map(({ id }) => Date.parse(id.split("@")[1]!)).sort((a, b) => a - b)
          )
          // Killed with little, and then more and more, time since the last run: at the commit, before it, and between.
          for (let round = 1; round <= 6; round++) {
            const before = (yield* slots).length
            yield* Place.until(slots, (found) => found.length > before)
            yield* Effect.sleep(round * 160)
            yield* place.server.restart
          }
          const { totalRuns } = yield* Schedules.pause(scheduleId)
          const found = yield* slots
          const first = nextFireAt!.getTime()
          assert.deepStrictEqual(
            found,
            found.map((_, index) => first + index * second)
          )
          assert.isAtLeast(found.length, 6)
          assert.strictEqual(totalRuns, found.length)
        }).pipe(Effect.provide(place.client))
      }),
    60_000
  )
})
