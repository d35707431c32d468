import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Schedule, Schema } from "effect"
import { KagziError, Step, Workflow } from "../../src/index.ts"
import { crashEverywhere, inVirtualTime } from "../support/harness.ts"

const Patient = Workflow.make("patient", { taskQueue: "patient", output: Schema.Array(Schema.String) })

const hour = 3_600_000

describe("in a body, Effect's own schedules are durable", () => {
  it.effect(
    "a step repeated every hour",
    () =>
      inVirtualTime(
        crashEverywhere(
          Patient,
          (ledger) => {
            let polls = 0
            return Patient.implement(
              Effect.fn(function* () {
                const start = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
                const times: Array<string> = []
                yield* Step.run("poll", Effect.andThen(ledger.note(`poll ${++polls}`), Effect.void)).pipe(
                  Effect.andThen(Effect.clockWith((clock) => clock.currentTimeMillis)),
                  Effect.tap((now) => Effect.sync(() => times.push(`hour ${Math.floor((now - start) / hour)}`))),
                  Effect.repeat({ schedule: Schedule.spaced("1 hour"), times: 2 })
                )
                return times
              })
            )
          },
          undefined,
          ({ exit, steps }) => {
            assert.deepStrictEqual(exit, Exit.succeed(["hour 0", "hour 1", "hour 2"]))
            assert.deepStrictEqual(
              steps.map(({ name, status }) => `${name} ${status}`),
              ["poll", "sleep", "poll#2", "sleep#2", "poll#3"].map((name) => `${name} COMPLETED`)
            )
          }
        )
      ),
    120_000
  )

  it.effect(
    "a failed step tried again with delays that double from half an hour",
    () =>
      inVirtualTime(
        crashEverywhere(
          Patient,
          (ledger) =>
            Patient.implement(() =>
              Effect.gen(function* () {
                let tries = 0
                const told = yield* Effect.suspend(() => {
                  const number = ++tries
                  return Step.run(
                    "call",
                    Effect.andThen(
                      ledger.note(`call ${number}`),
                      number < 3 ? Effect.fail(KagziError.nonRetryable("not yet")) : Effect.succeed(`answer ${number}`)
                    )
                  )
                }).pipe(Effect.retry(Schedule.exponential("30 minutes")))
                return [told]
              })
            ),
          undefined,
          ({ exit, steps }) => {
            assert.deepStrictEqual(exit, Exit.succeed(["answer 3"]))
            assert.deepStrictEqual(
              steps.map(({ name, status }) => `${name} ${status}`),
              ["call FAILED", "sleep COMPLETED", "call#2 FAILED", "sleep#2 COMPLETED", "call#3 COMPLETED"]
            )
          }
        )
      ),
    120_000
  )
})
