/**
 * Sleep: a workflow that waits for seconds, or for a month, and holds nothing meanwhile.
 *
 * While a run sleeps it is a row in the database: its worker takes other runs, and may be stopped and replaced.
 */
import { Console, Effect, Schema } from "effect"
import { Step, Worker, Workflow } from "kagzi"
import { check, main } from "./support.ts"

const Remind = Workflow.make("remind", {
  taskQueue: "reminders",
  input: Schema.String,
  output: Schema.Struct({ welcome: Schema.String, reminder: Schema.String })
})

const send = (text: string) => Effect.as(Console.log(`sent: ${text}`), text)

const RemindLive = Remind.implement(
  Effect.fn(function* (customer) {
    const welcome = yield* Step.run("send-welcome", send(`Welcome, ${customer}`))

    yield* Workflow.sleep("before-reminder", "1500 millis") // or "30 days"; a plain Effect.sleep is as durable

    const reminder = yield* Step.run("send-reminder", send(`Still there, ${customer}?`))
    return { welcome, reminder }
  })
)

const worker = Worker.run({ taskQueue: "reminders", workflows: [RemindLive], maxConcurrent: 1 })

const program = Effect.gen(function* () {
  yield* Effect.forkScoped(worker)

  const runs = yield* Effect.forEach(["Ada", "Grace", "Edsger"], (customer) => Remind.start(customer))
  const results = yield* Effect.forEach(runs, (run) => run.result)
  yield* check(
    "each was welcomed and reminded",
    results.every(({ reminder, welcome }) => welcome.startsWith("Welcome") && reminder.startsWith("Still there"))
  )

  // What the server wrote down of the three sleeps.
  const steps = yield* Effect.forEach(runs, (run) => run.steps)
  const sleeps = steps.flat().filter(({ name }) => name === "before-reminder")
  const times = sleeps.map(({ finishedAt, startedAt }) => ({
    from: startedAt?.getTime() ?? 0,
    to: finishedAt?.getTime() ?? 0
  }))
  yield* check(
    "no sleep was cut short",
    times.every(({ from, to }) => to - from >= 1500)
  )
  yield* check(
    "all three slept at the same time, although the worker executes one run at a time",
    Math.max(...times.map(({ from }) => from)) < Math.min(...times.map(({ to }) => to))
  )
})

main(program)
