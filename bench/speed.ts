/** How many workflows, how soon, and how many steps one after the other: from start to result. */
import { Effect } from "effect"
import { percentile, round } from "./statistics.ts"
import { Steps } from "./workflows.ts"

const millis = Effect.sync(() => performance.now())

const runsOfThroughput = 1_000
const inFlight = 100
const runsOfLatency = 100
const stepsOfSequence = 300

export const warmUp = Effect.forEach(
  Array.from({ length: 20 }, (_, index) => index),
  (index) => Steps.execute(5, { id: `warm-${index}` })
)

/** Workflows of 5 steps, many at a time. */
export const throughput = Effect.gen(function* () {
  const began = yield* millis
  yield* Effect.forEach(
    Array.from({ length: runsOfThroughput }, (_, index) => index),
    (index) => Steps.execute(5, { id: `throughput-${index}` }),
    { concurrency: inFlight, discard: true }
  )
  const perSecond = runsOfThroughput / (((yield* millis) - began) / 1_000)
  return { workflows_per_s: round(perSecond), steps_per_s: round(perSecond * 5) }
})

/** Workflows of one step, one after the other. */
export const latency = Effect.gen(function* () {
  const samples: Array<number> = []
  for (let index = 0; index < runsOfLatency; index++) {
    const began = yield* millis
    yield* Steps.execute(1, { id: `latency-${index}` })
    samples.push((yield* millis) - began)
  }
  return {
    latency_p50_ms: round(percentile(samples, 0.5), 2),
    latency_p95_ms: round(percentile(samples, 0.95), 2)
  }
})

/** One workflow with many steps. */
export const sequential = Effect.gen(function* () {
  const began = yield* millis
  yield* Steps.execute(stepsOfSequence, { id: "long" })
  return { sequential_steps_per_s: round(stepsOfSequence / (((yield* millis) - began) / 1_000)) }
})
