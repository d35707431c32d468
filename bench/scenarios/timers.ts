/**
 * How late runs go on: the time at which the next step began on the worker, against the time that is on record as due.
 * Both are whole milliseconds of one machine's clock.
 */
import { Console, Effect } from "effect"
import { KagziClient, Worker } from "../../src/index.ts"
import type { System } from "../processes.ts"
import { helper, leaseSettings, server, worker } from "../processes.ts"
import { Alarm, Nap, Orphan, OrphanLive, Retry } from "../programs/workflows.ts"
import type { Report, Row } from "../report.ts"
import { type Leases, type Sizes, workerSize } from "../sizes.ts"
import { percentile } from "../statistics.ts"
import { type Options, repeated } from "./speed.ts"

/** Of the server whose leases end: they end before the worker counts as gone. */
const leases: Leases = { heartbeat: 1, stale: 30, lease: 3 }

const summary = (timers: string, samples: ReadonlyArray<number>): Row => ({
  timers,
  samples: samples.length,
  p50_ms: percentile(samples, 0.5),
  p99_ms: percentile(samples, 0.99),
  max_ms: Math.max(...samples),
  earliest_ms: Math.min(...samples)
})

// ---------------------------------------------------------------------------------------------------------------
// Many at the same time
// ---------------------------------------------------------------------------------------------------------------

const inFlight = 100

/** As many runs as a worker must be able to begin at the same moment, if it was busy for a while. */
const crowdWorkerSize = 1_000

/** Collections that are short, and more of them: what a worker is told whose runs are to go on in time. */
const promptly = "--max-semi-space-size=2"

const setTimers = (count: number, dueOf: (index: number) => number) =>
  Effect.forEach(
    Array.from({ length: count }, (_, index) => dueOf(index)),
    (due) => Alarm.start(due),
    { concurrency: inFlight }
  )

/** Timers that are due as fast as those that are measured. */
const warmUp = Effect.fnUntraced(function* (runs: number) {
  const due = Date.now() + 500
  const handles = yield* setTimers(runs, (index) => due + index)
  yield* Effect.forEach(handles, ({ result }) => result, { concurrency: inFlight })
})

const allAsleep = (count: number) =>
  Effect.map(
    Effect.flatMap(KagziClient, ({ admin }) => admin.queueDepth()),
    ({ sleeping }) => sleeping === count
  )

/** Sets timers that are due one after the other, when all of them have been set. */
const crowd = Effect.fnUntraced(function* ({ overMillis, runs }: Sizes["timers"], leadMillis: number) {
  const due = Date.now() + leadMillis
  const dueOf = (index: number) => due + Math.floor((index * overMillis) / runs)
  const handles = yield* setTimers(runs, dueOf)
  while (!(yield* allAsleep(runs))) {
    if (Date.now() >= due) return undefined
    yield* Effect.sleep("50 millis")
  }
  // Nobody waits for the results meanwhile: this is about timers.
  yield* Effect.sleep(due + overMillis - Date.now())
  return yield* Effect.forEach(handles, ({ result }, index) => Effect.map(result, (began) => began - dueOf(index)), {
    concurrency: inFlight
  })
})

/** On servers of their own, because a try that took longer than thought leaves runs behind. */
const crowdRow = Effect.fnUntraced(function* (size: Sizes["timers"]) {
  for (let leadMillis = 1_000 + 2 * size.runs; ; leadMillis *= 2) {
    const samples = yield* Effect.gen(function* () {
      const system = yield* server()
      yield* worker(system, crowdWorkerSize, { nodeOptions: promptly })
      return yield* Effect.gen(function* () {
        yield* warmUp(size.warmUp)
        return yield* crowd(size, leadMillis)
      }).pipe(Effect.provide(system.client))
    }).pipe(Effect.scoped)
    if (samples !== undefined) return summary(`${size.runs} sleeps due over ${size.overMillis / 1_000} s`, samples)
    yield* Console.error(`timers: not all of them were set within ${leadMillis} ms; trying with twice as much`)
  }
})

// ---------------------------------------------------------------------------------------------------------------
// A few, on a server that has nothing else to do
// ---------------------------------------------------------------------------------------------------------------

const shortMillis = [1, 2, 5, 10, 20, 50, 100]
const longMillis = [200, 500, 1_000, 2_000]

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
const latenessOf = Effect.fnUntraced(function* <E, R>(
  rounds: number,
  lateness: (millis: number) => Effect.Effect<number, E, R>
) {
  yield* lateness(1)
  const samples: Array<number> = []
  for (let round = 0; round < rounds; round++) {
    for (const millis of shortMillis) samples.push(yield* lateness(millis))
    const long = longMillis.map((millis, index) => Effect.delay(lateness(millis), `${index * 37} millis`))
    samples.push(...(yield* Effect.all(long, { concurrency: "unbounded" })))
  }
  return samples
})

/** Runs whose worker was killed after it had claimed them. */
const leaseLateness = Effect.fnUntraced(function* (system: System, count: number) {
  const claimer = yield* helper(system, "claimer", [String(count)])
  const runs = yield* Effect.replicateEffect(
    Effect.gen(function* () {
      const run = yield* Orphan.start()
      const claimedAt = yield* claimer.line(new RegExp(`^claimed ${run.runId} (\\d+)$`))
      yield* Effect.sleep("40 millis")
      return { run, dueAt: Number(claimedAt) + leases.lease * 1_000 }
    }),
    count
  )
  yield* claimer.kill
  yield* Effect.forkScoped(Worker.run({ taskQueue: Orphan.taskQueue, workflows: [OrphanLive] }))
  return yield* Effect.forEach(runs, ({ dueAt, run }) => Effect.map(run.result, (began) => began - dueAt))
}, Effect.scoped)

const fewRows = Effect.fnUntraced(function* ({ orphanRounds, orphansPerRound, rounds }: Sizes["timers"]) {
  const system = yield* server({ environment: leaseSettings(leases) })
  yield* worker(system, workerSize)
  return yield* Effect.gen(function* () {
    const sleeps = yield* latenessOf(rounds, napLateness)
    const retries = yield* latenessOf(rounds, retryLateness)
    const orphans = yield* Effect.replicateEffect(leaseLateness(system, orphansPerRound), orphanRounds)
    const rows = [summary("sleeps one after the other", sleeps), summary("retries one after the other", retries)]
    return orphanRounds === 0 ? rows : [...rows, summary("leases of a killed worker", orphans.flat())]
  }).pipe(Effect.provide(system.client))
}, Effect.scoped)

export const timers = Effect.fnUntraced(function* (options: Options) {
  const size = options.sizes.timers
  const report: Report = {
    name: "kagzi timers",
    about: `how late the step after the wait began; the worker takes ${crowdWorkerSize} runs at a time, with ${promptly} for the first row`,
    rows: yield* repeated(
      options,
      Effect.gen(function* () {
        return [yield* crowdRow(size), ...(yield* fewRows(size))]
      })
    )
  }
  return report
})
