/**
 * Timeouts: of one attempt of a step, and of several steps together.
 */
import { Console, Effect, Schema } from "effect"
import { RetryPolicy, Step, Worker, Workflow } from "kagzi"
import { check, main } from "./support.ts"

const Quote = Workflow.make("quote", {
  taskQueue: "quotes",
  output: Schema.Struct({ price: Schema.Finite, carrier: Schema.String })
})

const interrupted: Array<string> = []

/** A service whose first answer never comes. */
const askPrice = Effect.fn(function* () {
  const { attempt, name } = yield* Step.info
  yield* Console.log(`${name}: attempt ${attempt}`)
  if (attempt > 1) return 42
  return yield* Effect.never.pipe(Effect.onInterrupt(() => Effect.sync(() => interrupted.push(name))))
})

/** A carrier that says for days that it is still thinking. */
const askCarrier = Effect.succeed("thinking")

const QuoteLive = Quote.implement(
  Effect.fn(function* () {
    // An attempt that takes longer is interrupted and fails with Timeout, which is retried like other failures.
    const price = yield* Step.run("ask-price", askPrice(), {
      timeout: "300 millis", // rather "10 seconds"
      retry: RetryPolicy.fixed("50 millis", { maximumAttempts: 3 })
    })

    // A durable limit for steps and sleeps together, which may be weeks.
    const carrier = yield* Step.run("ask-carrier", askCarrier).pipe(
      Effect.delay("100 millis"),
      Effect.repeat({ until: (answer) => answer !== "thinking" }),
      Workflow.timeout("700 millis"),
      Effect.catchTag("Timeout", () => Effect.succeed("the post"))
    )
    return { price, carrier }
  })
)

const program = Effect.gen(function* () {
  yield* Effect.forkScoped(Worker.run({ taskQueue: "quotes", workflows: [QuoteLive] }))

  const run = yield* Quote.start()
  const { carrier, price } = yield* run.result
  const steps = yield* run.steps
  const first = steps.find(({ name }) => name === "ask-price")
  yield* check("the attempt that took too long failed with Timeout", first?.error?._tag === "Timeout")
  yield* check("and was interrupted", interrupted.join() === "ask-price")
  yield* check("the next one answered", price === 42)
  yield* check("the carrier was asked until the time was up", carrier === "the post")
})

main(program)
