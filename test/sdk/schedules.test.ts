import { assert, describe, it } from "@effect/vitest"
import { Effect, Option, Schema, Stream } from "effect"
import { Schedules, Workflow } from "../../src/index.ts"
import { client } from "../support/harness.ts"

const Report = Workflow.make("report", {
  taskQueue: "reports",
  version: "7",
  input: Schema.Struct({ day: Schema.Date }),
  output: Schema.String
})

const input = { day: new Date(0) }

const all = { enabled: false, maxCatchup: 7, overlap: "skip", timezone: "Europe/Berlin" } as const

const collect = <A, E, R>(stream: Stream.Stream<A, E, R>) => Stream.runCollect(stream)

describe("a schedule of a workflow", () => {
  it.effect("is what its definition and the options say", () =>
    Effect.gen(function* () {
      const made = yield* Report.schedule({ cron: "0 6 * * *", input, version: "8", namespace: "production", ...all })
      assert.deepInclude(made, {
        ...all,
        namespace: "production",
        workflowType: "report",
        taskQueue: "reports",
        cron: "0 6 * * *",
        version: "8",
        input: { day: "1970-01-01T00:00:00.000Z" },
        nextFireAt: undefined
      })
      assert.deepStrictEqual(yield* Schedules.get(made.scheduleId, { namespace: "production" }), Option.some(made))
      assert.deepStrictEqual(yield* Schedules.get(made.scheduleId), Option.none())
    }).pipe(Effect.provide(client))
  )

  it.effect("needs an expression and the input, and has the rest from its definition", () =>
    Effect.gen(function* () {
      const made = yield* Report.schedule({ cron: "0 0 6 * * *", input })
      assert.deepInclude(made, {
        namespace: "default",
        timezone: "UTC",
        version: "7",
        enabled: true,
        maxCatchup: 50,
        overlap: "allow",
        nextFireAt: new Date("1970-01-01T06:00:00Z")
      })
    }).pipe(Effect.provide(client))
  )

  it.effect("is refused when its options make no sense", () =>
    Effect.gen(function* () {
      for (const [wrong, says] of [
        [Report.schedule({ cron: "every day", input }), "every day"],
        [Report.schedule({ cron: "0 6 * * *", input, timezone: "Europe/Atlantis" }), "Europe/Atlantis"],
        [Report.schedule({ cron: "0 6 * * *", input, maxCatchup: -1 }), "maxCatchup"],
        [Report.schedule({ cron: "0 6 * * *", input: { day: new Date(Number.NaN) } }), "day"]
      ] as const) {
        const error = yield* Effect.flip(wrong)
        assert.strictEqual(error._tag, "InvalidArgument")
        assert.include(error.message, says)
      }
      assert.deepStrictEqual(yield* collect(Schedules.list()), [])
    }).pipe(Effect.provide(client))
  )
})

describe("schedules", () => {
  it.effect("are listed by namespace and queue, with unlimited catch-up told as such", () =>
    Effect.gen(function* () {
      const Other = Workflow.make("other")
      const first = yield* Report.schedule({ cron: "0 6 * * *", input, maxCatchup: "unlimited" })
      const second = yield* Other.schedule({ cron: "0 7 * * *" })
      const elsewhere = yield* Other.schedule({ cron: "0 8 * * *", namespace: "production" })
      assert.strictEqual(first.maxCatchup, "unlimited")
      assert.sameDeepMembers(yield* collect(Schedules.list()), [first, second])
      assert.deepStrictEqual(yield* collect(Schedules.list({ taskQueue: "other" })), [second])
      assert.deepStrictEqual(yield* collect(Schedules.list({ namespace: "production" })), [elsewhere])
    }).pipe(Effect.provide(client))
  )

  it.effect("that are not there are none to get, and NotFound to everything else", () =>
    Effect.gen(function* () {
      const { scheduleId } = yield* Report.schedule({ cron: "0 6 * * *", input })
      yield* Schedules.delete(scheduleId)
      assert.deepStrictEqual(yield* Schedules.get(scheduleId), Option.none())
      for (const refused of [
        Schedules.update(scheduleId, { enabled: false }),
        Schedules.pause(scheduleId),
        Schedules.resume(scheduleId),
        Schedules.trigger(scheduleId),
        Schedules.delete(scheduleId),
        collect(Schedules.runs(scheduleId))
      ]) {
        assert.strictEqual((yield* Effect.flip(refused))._tag, "NotFound")
      }
    }).pipe(Effect.provide(client))
  )
})
