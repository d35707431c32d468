/** Schedules as programs use them, with a worker, a server and the clock in one process. */
import { assert, describe, it } from "@effect/vitest"
import { DateTime, type Duration, Effect, Option, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Schedules, Step, Workflow } from "../../src/index.ts"
import { client, withWorker } from "../support/harness.ts"

const Report = Workflow.make("report", {
  taskQueue: "reports",
  input: Schema.Struct({ region: Schema.String, since: Schema.DateTimeUtcFromString }),
  output: Schema.String,
  version: "4"
})

/** Notes what the bodies were told of their schedule. */
const report = (told: Array<string | undefined>) =>
  Report.implement(
    Effect.fn(function* ({ region }) {
      const { scheduleId, version } = yield* Workflow.info
      yield* Step.run(
        "note",
        Effect.sync(() => {
          told.push(scheduleId)
        })
      )
      return `${region} ${version}`
    })
  )

const since = DateTime.makeUnsafe("2026-01-01T00:00:00Z")
const at = (text: string) => Date.parse(text)
const settle = Effect.repeat(Effect.yieldNow, { times: 200 })

const pass = Effect.fnUntraced(function* (steps: number, step: Duration.Input) {
  for (let passed = 0; passed < steps; passed++) {
    yield* TestClock.adjust(step)
    yield* settle
  }
})

/** Begins at a time, with a server and a worker that were not there in the years before. */
const from =
  (text: string, told: Array<string | undefined>) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.andThen(TestClock.setTime(at(text)), Effect.provide(withWorker(report(told))(effect), client))

const create = Report.schedule({
  cron: "30 2 * * *",
  timezone: "Europe/Berlin",
  input: { region: "eu", since },
  overlap: "skip",
  maxCatchup: "unlimited"
})

const slotsOf = (scheduleId: string) =>
  Effect.map(Stream.runCollect(Schedules.runs(scheduleId)), (runs) =>
    runs.map(({ createdAt, id, output, status }) => ({ id, at: createdAt.toISOString(), status, output }))
  )

const completed = (scheduleId: string, slots: ReadonlyArray<string>, output: unknown) =>
  slots.map((slot) => ({ id: `${scheduleId}@${slot}`, at: slot, status: "COMPLETED" as const, output }))

describe("a scheduled workflow", () => {
  it.effect("runs by the clock of its zone, with its typed input, and knows its schedule", () => {
    const told: Array<string | undefined> = []
    return Effect.gen(function* () {
      const { nextFireAt, scheduleId } = yield* create
      assert.deepStrictEqual(nextFireAt, new Date("2026-03-28T01:30:00Z"))
      yield* pass(3 * 24, "1 hour")
      const slots = ["2026-03-30T00:30:00.000Z", "2026-03-29T01:30:00.000Z", "2026-03-28T01:30:00.000Z"]
      assert.deepStrictEqual(yield* slotsOf(scheduleId), completed(scheduleId, slots, "eu 4"))
      assert.deepStrictEqual(told, [scheduleId, scheduleId, scheduleId])
      const after = Option.getOrThrow(yield* Schedules.get(scheduleId))
      assert.deepStrictEqual(
        [after.totalRuns, after.successfulRuns, after.failedRuns, after.lastFiredAt, after.nextFireAt],
        [3, 3, 0, new Date("2026-03-30T00:30:00Z"), new Date("2026-03-31T00:30:00Z")]
      )
    }).pipe(from("2026-03-27T12:00:00Z", told))
  })

  it.effect("starts nothing while it is paused but what is triggered, and goes on without making up for it", () => {
    const told: Array<string | undefined> = []
    return Effect.gen(function* () {
      const { scheduleId } = yield* create
      assert.isFalse((yield* Schedules.pause(scheduleId)).enabled)
      yield* pass(5 * 24, "1 hour")
      assert.deepStrictEqual(told, [])
      const handle = yield* Report.handle(yield* Schedules.trigger(scheduleId))
      assert.strictEqual(yield* handle.result, "eu 4")
      assert.strictEqual((yield* handle.describe).scheduleId, scheduleId)
      const resumed = yield* Schedules.resume(scheduleId)
      assert.deepStrictEqual(resumed.nextFireAt, new Date("2026-04-02T00:30:00Z"))
      yield* pass(24, "1 hour")
      assert.strictEqual(told.length, 2)
    }).pipe(from("2026-03-27T12:00:00Z", told))
  })

  it.effect("fires as it was changed to, from the next run on, and no more when it is deleted", () => {
    const told: Array<string | undefined> = []
    return Effect.gen(function* () {
      const { scheduleId } = yield* create
      const changes = { cron: "0 0 12 * * Sun", timezone: "America/New_York", maxCatchup: 0, version: "5" } as const
      const input = { region: "us", since: "2026-01-01T00:00:00.000Z" }
      const nextFireAt = new Date("2026-04-04T15:00:00Z")
      const updated = yield* Schedules.update(scheduleId, { ...changes, overlap: "cancel", input, nextFireAt })
      assert.deepInclude(updated, { ...changes, overlap: "cancel", input, nextFireAt })
      yield* pass(5 * 24, "1 hour")
      const slots = ["2026-04-05T16:00:00.000Z", "2026-04-04T15:00:00.000Z"]
      assert.deepStrictEqual(yield* slotsOf(scheduleId), completed(scheduleId, slots, "us 5"))
      yield* Schedules.delete(scheduleId)
      assert.deepStrictEqual(yield* Schedules.get(scheduleId), Option.none())
      assert.strictEqual((yield* Effect.flip(Schedules.pause(scheduleId)))._tag, "NotFound")
    }).pipe(from("2026-04-01T12:00:00Z", told))
  })
})
