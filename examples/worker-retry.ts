/**
 * The retry policy of a worker: what counts for steps that have no policy of their own.
 *
 * A step's own policy counts more, field by field; what neither has is taken from the run's policy, and in the end from
 * the standard: 5 attempts, after 1 second, twice as long each time, up to 60 seconds.
 */
import { Console, Effect, Schema } from "effect"
import { KagziError, RetryPolicy, Step, Worker, Workflow } from "kagzi"
import { check, main } from "./support.ts"

const Sync = Workflow.make("sync-catalog", { taskQueue: "catalog", output: Schema.Array(Schema.String) })

const failing = (code: KagziError.Code) => Effect.fail(KagziError.make(code, `It fails with ${code}`))

/** What became of a step: here only the number of its last attempt is of interest. */
const givenUp = (error: KagziError) => Effect.succeed(`given up: ${error.message}`)

const SyncLive = Sync.implement(
  Effect.fn(function* () {
    const plain = yield* Step.run("plain", failing("Unavailable")).pipe(Effect.catch(givenUp))

    const listed = yield* Step.run("listed", failing("NotFound")).pipe(Effect.catch(givenUp))

    // More attempts than the worker's default; the intervals are inherited.
    const patient = yield* Step.run("patient", failing("Unavailable"), {
      retry: RetryPolicy.make({ maximumAttempts: 5 })
    }).pipe(Effect.catch(givenUp))

    return [plain, listed, patient]
  })
)

const worker = Worker.run({
  taskQueue: "catalog",
  workflows: [SyncLive],
  defaultStepRetry: RetryPolicy.make({
    maximumAttempts: 3,
    initialInterval: "20 millis",
    backoffCoefficient: 2,
    maximumInterval: "60 millis",
    nonRetryableErrors: ["InvalidArgument", "PreconditionFailed", "NotFound"]
  })
})

const program = Effect.gen(function* () {
  yield* Effect.forkScoped(worker)

  const run = yield* Sync.start()
  yield* Effect.forEach(yield* run.result, (line) => Console.log(line))
  const steps = yield* run.steps
  const attempts = (name: string) => steps.filter((step) => step.name === name).length
  yield* check("a step without a policy has the worker's", attempts("plain") === 3)
  yield* check("the worker's list of errors is heeded", attempts("listed") === 1)
  yield* check("a step's own field counts more than the worker's", attempts("patient") === 5)
})

main(program)
