/** What the benchmark runs. */
import { Clock, Effect, Schema } from "effect"
import { KagziError, Step, Workflow } from "../../src/index.ts"

export const taskQueue = "bench"

/** So many steps one after the other, each of which returns a small number. */
export const Steps = Workflow.make("bench-steps", {
  taskQueue,
  input: Schema.Finite,
  output: Schema.Struct({ sum: Schema.Finite })
})

/** Five steps that each return a text of so many bytes. */
export const Texts = Workflow.make("bench-texts", { taskQueue, input: Schema.Finite, output: Schema.Finite })

/** A sleep, in milliseconds, and a step that tells when it began: milliseconds since the epoch. */
export const Nap = Workflow.make("bench-nap", { taskQueue, input: Schema.Finite, output: Schema.Finite })

/** A sleep until a time in milliseconds since the epoch, and a step that tells when it began. */
export const Alarm = Workflow.make("bench-alarm", { taskQueue, input: Schema.Finite, output: Schema.Finite })

/** A step that fails and is to be repeated after so many milliseconds; it tells when it began again. */
export const Retry = Workflow.make("bench-retry", { taskQueue, input: Schema.Finite, output: Schema.Finite })

/** A step that tells when it began, on a queue of its own. */
export const Orphan = Workflow.make("bench-orphan", { taskQueue: "bench-orphans", output: Schema.Finite })

/** A step that never ends on a worker that holds, between two others. */
export const Hold = Workflow.make("bench-hold", { taskQueue, output: Schema.Finite })

/** Many steps, a sleep, and a step that tells when it began. */
export const Long = Workflow.make("bench-long", {
  taskQueue,
  input: Schema.Struct({ steps: Schema.Finite, edge: Schema.Finite, sleepMillis: Schema.Finite }),
  output: Schema.Struct({
    /** How long the first and the last `edge` steps took, and all of them, in milliseconds. */
    firstMillis: Schema.Finite,
    lastMillis: Schema.Finite,
    totalMillis: Schema.Finite,
    /** In milliseconds since the epoch. */
    wentOnAt: Schema.Finite
  })
})

const StepsLive = Steps.implement(
  Effect.fn(function* (steps) {
    let sum = 0
    for (let i = 0; i < steps; i++) sum += yield* Step.run(`s${i}`, Effect.succeed(i))
    return { sum }
  })
)

export const textsOfRun = 5

const TextsLive = Texts.implement(
  Effect.fn(function* (bytes) {
    let total = 0
    for (let i = 0; i < textsOfRun; i++) {
      total += (yield* Step.run(
        `s${i}`,
        Effect.sync(() => "x".repeat(bytes))
      )).length
    }
    return total
  })
)

const began = Step.run("began", Clock.currentTimeMillis)

const NapLive = Nap.implement(
  Effect.fn(function* (millis) {
    yield* Workflow.sleep(millis)
    return yield* began
  })
)

const AlarmLive = Alarm.implement(
  Effect.fn(function* (at) {
    yield* Workflow.sleepUntil(new Date(at))
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

const LongLive = Long.implement(
  Effect.fn(function* ({ edge, sleepMillis, steps }) {
    const times: Array<number> = []
    for (let i = 0; i < steps; i++) times.push(yield* Step.run(`s${i}`, Clock.currentTimeMillis))
    yield* Workflow.sleep(sleepMillis)
    const between = (from: number, to: number) => (times.at(to) ?? Number.NaN) - (times.at(from) ?? Number.NaN)
    return {
      firstMillis: between(0, edge),
      lastMillis: between(-1 - edge, -1),
      totalMillis: between(0, -1),
      wentOnAt: yield* began
    }
  })
)

const holdLive = (hold: Effect.Effect<number>) =>
  Hold.implement(
    Effect.fn(function* () {
      const before = yield* Step.run("before", Effect.succeed(1))
      const held = yield* Step.run("held", hold)
      return before + held + (yield* Step.run("after", Effect.succeed(1)))
    })
  )

/** `hold` is what the step in the middle of `Hold` does. */
export const implementations = (hold: Effect.Effect<number> = Effect.succeed(1)) =>
  [StepsLive, TextsLive, NapLive, AlarmLive, RetryLive, LongLive, holdLive(hold)] as const
