/**
 * Scheduled workflows: runs that start by the clock, one for each time, whether anyone is there to start them or not.
 */
import { Console, Effect, Option, Schedule, Schema, Stream } from "effect"
import { Schedules, Step, Worker, Workflow } from "kagzi"
import { check, main } from "./support.ts"

const Report = Workflow.make("report", {
  taskQueue: "reports",
  input: Schema.Struct({ reportType: Schema.String }),
  output: Schema.Struct({ text: Schema.String, scheduleId: Schema.NullOr(Schema.String) })
})

const ReportLive = Report.implement(
  Effect.fn(function* ({ reportType }) {
    const { scheduleId = null } = yield* Workflow.info
    const text = yield* Step.run("write", Effect.succeed(`The ${reportType} report`))
    return { text, scheduleId }
  })
)

const hourInBerlin = (date: Date | undefined) =>
  date?.toLocaleTimeString("en-GB", { timeZone: "Europe/Berlin", hour: "2-digit", minute: "2-digit" })

const program = Effect.gen(function* () {
  yield* Effect.forkScoped(Worker.run({ taskQueue: "reports", workflows: [ReportLive] }))

  // At six in the morning in Berlin, whatever the season. Up to 7 times that were missed are made up for.
  const daily = yield* Report.schedule({
    cron: "0 6 * * *",
    timezone: "Europe/Berlin",
    input: { reportType: "daily" },
    enabled: true,
    maxCatchup: 7,
    overlap: "skip" // none while the last one is still running
  })
  yield* Console.log(`${daily.scheduleId} fires next at ${daily.nextFireAt?.toISOString()}`)
  yield* check("the next time is six o'clock in Berlin", hourInBerlin(daily.nextFireAt) === "06:00")

  // With six fields the first is the second: this one fires each second.
  const often = yield* Report.schedule({ cron: "* * * * * *", input: { reportType: "quick" } })
  const completed = Schedules.runs(often.scheduleId).pipe(
    Stream.filter(({ status }) => status === "COMPLETED"),
    Stream.runCollect
  )
  const runs = yield* Effect.repeat(completed, {
    until: (found) => found.length >= 2,
    schedule: Schedule.spaced("100 millis")
  })
  const outputs = runs.map(({ output }) => JSON.stringify(output))
  yield* check(
    "a run knows the schedule that started it",
    outputs.every((output) => output === JSON.stringify({ text: "The quick report", scheduleId: often.scheduleId }))
  )

  // A schedule is looked after by its id.
  const paused = yield* Schedules.pause(often.scheduleId)
  yield* check("a paused one has no next time", !paused.enabled && paused.nextFireAt === undefined)
  const runId = yield* Schedules.trigger(often.scheduleId)
  const { text } = yield* Effect.flatMap(Report.handle(runId), (run) => run.result)
  yield* check("but a run of it can be started by hand", text === "The quick report")
  const changed = yield* Schedules.update(often.scheduleId, { cron: "30 7 * * 1-5", input: { reportType: "weekday" } })
  yield* check("what is not changed stays", changed.cron === "30 7 * * 1-5" && !changed.enabled)
  const resumed = yield* Schedules.resume(often.scheduleId)
  yield* check("resumed, it fires again", resumed.nextFireAt !== undefined)

  const listed = yield* Stream.runCollect(Schedules.list({ taskQueue: "reports" }))
  yield* check("both are listed", listed.length === 2)
  yield* Schedules.delete(often.scheduleId)
  yield* check("a deleted one is gone", Option.isNone(yield* Schedules.get(often.scheduleId)))
  yield* check("and its runs stay", (yield* Effect.flatMap(Report.handle(runId), (run) => run.status)) === "COMPLETED")
})

main(program)
