/** What the benchmark runs. */
import { Clock, Effect, Schema } from "effect"
import { KagziError, Step, Workflow } from "../src/index.ts"

export const taskQueue = "bench"

/** So many steps one after the other, each of which returns a small number. */
export const Steps = Workflow.make("bench-steps", {
  taskQueue,
  input: Schema.Finite,
  output: Schema.Struct({ sum: Schema.Finite })
})

/** A sleep, in milliseconds, and a step that tells when it began: milliseconds since the epoch. */
export const Nap = Workflow.make("bench-nap", { taskQueue, input: Schema.Finite, output: Schema.Finite })

/** A step that fails and is to be repeated after so many milliseconds; it tells when it began again. */
export const Retry = Workflow.make("bench-retry", { taskQueue, input: Schema.Finite, output: Schema.Finite })

/** A step that tells when it began, on a queue of its own. */
export const Orphan = Workflow.make("bench-orphan", { taskQueue: "bench-orphans", output: Schema.Finite })

const StepsLive = Steps.implement(
  Effect.fn(function* (steps) {
    let sum = 0
    for (let i = 0; i < steps; i++) sum += yield* Step.run(`s${i}`, Effect.succeed(i))
    return { sum }
  })
)

const began = Step.run("began", Clock.currentTimeMillis)

const NapLive = Nap.implement(
  Effect.fn(function* (millis) {
    yield* Workflow.sleep(millis)
    return yield* began
  })
)

const RetryLive = Retry.implement((millis) =>
  Step.run(
    "flaky",
    Effect.gen(function* () {
      const now = yield* Clock.currentTimeMillis
      const { attempt } = yield* Step.info
      return attempt > 1 ? now : yield* KagziError.retryAfter("the first attempt fails", millis)
    })
  )
)

export const OrphanLive = Orphan.implement(() => began)

export const implementations = [StepsLive, NapLive, RetryLive] as const
