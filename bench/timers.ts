/**
 * How late runs go on, on a server that has nothing else to do: the time at which the next step began on the worker,
 * against the time that is on record as due. Both are whole milliseconds of one machine's clock.
 */
import { Effect } from "effect"
import { Worker } from "../src/index.ts"
import type { System } from "./System.ts"
import { helper } from "./System.ts"
import { percentile } from "./statistics.ts"
import { Nap, Orphan, OrphanLive, Retry } from "./workflows.ts"

const rounds = 8
const shortMillis = [1, 2, 5, 10, 20, 50, 100]
const longMillis = [200, 500, 1_000, 2_000]

/** The lease of the server that is measured. */
export const leaseSeconds = 3

const orphanRounds = 3
const orphansPerRound = 10

const summary = (samples: ReadonlyArray<number>) => ({
  samples: samples.length,
  p50: percentile(samples, 0.5),
  p99: percentile(samples, 0.99),
  max: Math.max(...samples),
  earliest: Math.min(...samples)
})

const napLateness = Effect.fnUntraced(function* (millis: number) {
  const run = yield* Nap.start(millis)
  const began = yield* run.result
  const [sleep] = yield* run.steps
  return began - ((sleep?.startedAt?.getTime() ?? Number.NaN) + millis)
})

const retryLateness = Effect.fnUntraced(function* (millis: number) {
  const run = yield* Retry.start(millis)
  const began = yield* run.result
  const [failed] = yield* run.steps
  return began - ((failed?.finishedAt?.getTime() ?? Number.NaN) + millis)
})

/** The short ones one after the other, the long ones side by side but not at the same moment. */
const latenessOf = <E, R>(lateness: (millis: number) => Effect.Effect<number, E, R>) =>
  Effect.gen(function* () {
    const samples: Array<number> = []
    for (let round = 0; round < rounds; round++) {
      for (const millis of shortMillis) samples.push(yield* lateness(millis))
      const long = longMillis.map((millis, index) => Effect.delay(lateness(millis), `${index * 37} millis`))
      samples.push(...(yield* Effect.all(long, { concurrency: "unbounded" })))
    }
    return summary(samples)
  })

/** Runs whose worker was killed after it had claimed them. */
const leaseLateness = (system: System) =>
  Effect.gen(function* () {
    const claimer = yield* helper(system, "claimer.ts", String(orphansPerRound))
    const runs = yield* Effect.forEach(
      Array.from({ length: orphansPerRound }),
      Effect.fnUntraced(function* () {
        const run = yield* Orphan.start()
        const claimedAt = yield* claimer.line(new RegExp(`^claimed ${run.runId} (\\d+)$`))
        yield* Effect.sleep("40 millis")
        return { run, dueAt: Number(claimedAt) + leaseSeconds * 1_000 }
      })
    )
    yield* claimer.kill
    yield* Effect.forkScoped(Worker.run({ taskQueue: Orphan.taskQueue, workflows: [OrphanLive] }))
    return yield* Effect.forEach(runs, ({ dueAt, run }) => Effect.map(run.result, (began) => began - dueAt))
  }).pipe(Effect.scoped)

/** In milliseconds. */
export const timers = Effect.fnUntraced(function* (system: System) {
  yield* napLateness(1)
  yield* retryLateness(1)
  const sleep = yield* latenessOf(napLateness)
  const retry = yield* latenessOf(retryLateness)
  const orphans = yield* Effect.forEach(Array.from({ length: orphanRounds }), () => leaseLateness(system))
  return {
    name: "kagzi timers",
    unit: "ms late",
    sleep,
    retry,
    expired_lease: summary(orphans.flat())
  }
})
