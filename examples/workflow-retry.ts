/**
 * The retry policy of a run, given at its start: the run is executed again when its body fails.
 *
 * Its completed steps stay as they are, so this is for what a body itself gets wrong: a bug that a deploy will mend. The
 * policy also counts for the run's steps, after their own and the worker's. Without one a run is executed once.
 */
import { Console, Effect, Fiber, Schedule, Schema } from "effect"
import { KagziError, RetryPolicy, Step, Worker, Workflow } from "kagzi"
import { check, main } from "./support.ts"

const CloseDay = Workflow.make("close-day", {
  taskQueue: "accounts",
  input: Schema.String,
  output: Schema.Finite
})

const fetched: Array<string> = []

/** The sales of a day as the shop's system writes them down: with a comma, which version 1 did not expect. */
const fetchSales = (day: string) =>
  Effect.sync(() => {
    fetched.push(day)
    return day === "a bad day" ? ["?"] : ["12.50", "7,50"]
  })

const sendReport = Effect.fn(function* (total: number) {
  const { attempt } = yield* Step.info
  if (attempt < 3) return yield* KagziError.make("Unavailable", "The mail server does not answer")
  yield* Console.log(`sent: ${total} in all`)
})

/** Version 1 of the code throws what it can't read. */
const parse1 = (amount: string) => {
  if (Number.isNaN(Number(amount))) throw new Error(`Not a number: ${amount}`)
  return Number(amount)
}
const parse2 = (amount: string) => parse1(amount.replace(",", "."))

const closeDay = (parse: (amount: string) => number) =>
  CloseDay.implement(
    Effect.fn(function* (day) {
      const sales = yield* Step.run("fetch-sales", fetchSales(day))
      const total = sales.map(parse).reduce((sum, amount) => sum + amount, 0)
      yield* Step.run("send-report", sendReport(total))
      return total
    })
  )

const deploy = (version: string, parse: (amount: string) => number) =>
  Effect.forkScoped(Worker.run({ taskQueue: "accounts", workflows: [closeDay(parse)], version }))

const program = Effect.gen(function* () {
  const version1 = yield* deploy("1", parse1)
  const run = yield* CloseDay.start("2025-12-28", {
    retryPolicy: RetryPolicy.make({
      maximumAttempts: 100,
      initialInterval: "100 millis", // rather "2 seconds"
      backoffCoefficient: 2,
      maximumInterval: "200 millis" // rather "5 minutes"
    })
  })
  const executions = Effect.map(run.describe, ({ attempts }) => attempts)
  yield* Effect.repeat(executions, { until: (n) => n >= 2, schedule: Schedule.spaced("20 millis") })
  yield* Console.log("version 1 failed; version 2 is deployed")
  yield* Fiber.interrupt(version1)
  yield* deploy("2", parse2)

  yield* check("the run came to its end with the new code", (yield* run.result) === 20)
  yield* check("a completed step was not done again", fetched.length === 1)
  const reports = (yield* run.steps).filter(({ name }) => name === "send-report")
  yield* check("a step without a policy has the run's", reports.length === 3)

  // `retries` is the short way to say `maximumAttempts`.
  const hopeless = yield* CloseDay.start("a bad day", { retries: 2, retryPolicy: RetryPolicy.fixed("50 millis") })
  const failure = yield* Effect.flip(hopeless.result)
  yield* check(
    "a run fails with its last failure when no execution is left",
    failure._tag === "WorkflowFailed" && failure.error.message === "Not a number: ?"
  )
  yield* check("after as many executions as allowed", (yield* hopeless.describe).attempts === 2)

  const alone = yield* CloseDay.start("a bad day")
  yield* Effect.flip(alone.result)
  yield* check("a run without a policy is executed once", (yield* alone.describe).attempts === 1)
})

main(program)
