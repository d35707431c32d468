/**
 * Retry policies of steps: how often a failed attempt is repeated, and how long after it.
 *
 * Between two attempts nothing waits in memory: the server knows when the next one is due.
 */
import { Console, Effect, Schema } from "effect"
import { KagziError, RetryPolicy, type Run, Step, Worker, Workflow } from "kagzi"
import { check, main } from "./support.ts"

const CallApis = Workflow.make("call-apis", { taskQueue: "apis", output: Schema.Array(Schema.String) })

/** A call that goes well from some attempt on. */
const callApi = Effect.fn(function* (attemptsNeeded: number) {
  const { attempt, name } = yield* Step.info
  if (attempt < attemptsNeeded) return yield* KagziError.make("Unavailable", `${name} is overloaded`)
  return `${name} answered attempt ${attempt}`
})

const CallApisLive = CallApis.implement(
  Effect.fn(function* () {
    // 100 ms, then 200, 400, and never more than 300; each varied by up to a fifth
    const critical = yield* Step.run("critical-operation", callApi(4), {
      retry: RetryPolicy.make({
        maximumAttempts: 10,
        initialInterval: "100 millis",
        backoffCoefficient: 2,
        maximumInterval: "300 millis"
      })
    })

    const steady = yield* Step.run("steady", callApi(3), {
      retry: RetryPolicy.fixed("50 millis", { maximumAttempts: 3 })
    })

    // What is not retried is given up at once. The body gets the failure and does something else.
    const once = yield* Step.run("only-once", callApi(2), { retry: RetryPolicy.none }).pipe(
      Effect.catchTag("Unavailable", ({ message }) => Effect.succeed(`given up: ${message}`))
    )

    // Without limit, but for errors of that kind.
    const stubborn = yield* Step.run("stubborn", callApi(7), {
      retry: RetryPolicy.make({ maximumAttempts: 0, initialInterval: 0, nonRetryableErrors: ["InvalidArgument"] })
    })

    return [critical, steady, once, stubborn]
  })
)

/** The pauses in milliseconds between the attempts of a step. */
const pauses = (steps: ReadonlyArray<Run.StepDescription>, name: string) => {
  const attempts = steps.filter((step) => step.name === name)
  return attempts
    .slice(1)
    .map((step, index) => (step.startedAt?.getTime() ?? 0) - (attempts[index]!.finishedAt?.getTime() ?? 0))
}

const program = Effect.gen(function* () {
  yield* Effect.forkScoped(Worker.run({ taskQueue: "apis", workflows: [CallApisLive] }))

  const run = yield* CallApis.start()
  const results = yield* run.result
  yield* Effect.forEach(results, (result) => Console.log(result))
  yield* check(
    "each step was tried as its policy says",
    results.join() ===
      [
        "critical-operation answered attempt 4",
        "steady answered attempt 3",
        "given up: only-once is overloaded",
        "stubborn answered attempt 7"
      ].join()
  )

  const [first = 0, second = 0, third = 0] = pauses(yield* run.steps, "critical-operation")
  yield* Console.log(`pauses of critical-operation: ${first}, ${second} and ${third} ms`)
  yield* check("the pauses grow, up to the maximum", first >= 80 && second >= 160 && third >= 240)
})

main(program)
