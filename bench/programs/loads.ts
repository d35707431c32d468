/** How many workflows, how soon, and how many steps one after the other: from start to result. */
import { Effect } from "effect"
import type { Sizes } from "../sizes.ts"
import { percentile, round } from "../statistics.ts"
import { Steps, Texts, textsOfRun } from "./workflows.ts"

const millis = Effect.sync(() => performance.now())

/** The same database may have been measured before. */
const id = (name: string) => `${name}-${process.pid}-${performance.timeOrigin}`

const range = (length: number) => Array.from({ length }, (_, index) => index)

export const warmUp = (runs: number) =>
  Effect.forEach(range(runs), (index) => Steps.execute(5, { id: id(`warm-${index}`) }), { discard: true })

const perSecond = <E, R>(
  { inFlight, runs }: Sizes["throughput"],
  execute: (index: number) => Effect.Effect<unknown, E, R>
) =>
  Effect.gen(function* () {
    const began = yield* millis
    yield* Effect.forEach(range(runs), execute, { concurrency: inFlight, discard: true })
    return runs / (((yield* millis) - began) / 1_000)
  })

/** Workflows of 5 steps, many at a time. */
export const throughput = Effect.fnUntraced(function* (size: Sizes["throughput"]) {
  const rate = yield* perSecond(size, (index) => Steps.execute(5, { id: id(`throughput-${index}`) }))
  return { workflows_per_s: round(rate), steps_per_s: round(rate * 5) }
})

/** Workflows of one step, one after the other. */
export const latency = Effect.fnUntraced(function* ({ runs }: Sizes["latency"]) {
  const samples: Array<number> = []
  for (const index of range(runs)) {
    const began = yield* millis
    yield* Steps.execute(1, { id: id(`latency-${index}`) })
    samples.push((yield* millis) - began)
  }
  return {
    latency_p50_ms: round(percentile(samples, 0.5), 2),
    latency_p95_ms: round(percentile(samples, 0.95), 2)
  }
})

/** One workflow with many steps. */
export const sequential = Effect.fnUntraced(function* ({ steps }: Sizes["sequential"]) {
  const began = yield* millis
  yield* Steps.execute(steps, { id: id("long") })
  return { sequential_steps_per_s: round(steps / (((yield* millis) - began) / 1_000)) }
})

/** Workflows of 5 steps with results of some size. */
export const payloads = Effect.fnUntraced(function* ({ bytes, ...size }: Sizes["payloads"][number]) {
  const rate = yield* perSecond(size, (index) => Texts.execute(bytes, { id: id(`texts-${index}`) }))
  return { workflows_per_s: round(rate), mb_per_s: round((rate * textsOfRun * bytes) / 1e6, 2) }
})
