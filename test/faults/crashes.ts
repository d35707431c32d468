/** Workers and the server die at random moments, again and again, and everything that was promised still holds. */
import { assert } from "@effect/vitest"
import { Effect, Fiber, Random } from "effect"
import type * as Process from "../support/process.ts"
import * as Place from "./Place.ts"
import type { Entry } from "./processes/ledger.ts"
import { Sum } from "./processes/workflows.ts"

const startsPerRound = 10
const workerCount = 3
const maxConcurrent = 4

/** Executions of the code of one attempt of one step. */
const attemptKey = ({ attempt, run, step }: Entry) => `${run}/${step}/${attempt}`

const stepKey = ({ run, step }: Entry) => `${run}/${step}`

/** How often the code of each attempt was executed. */
const executions = (ledger: ReadonlyArray<Entry>) =>
  new Map(
    [
      ...Map.groupBy(
        ledger.filter(({ deed }) => deed === "executed"),
        attemptKey
      )
    ].map(([key, entries]) => [key, entries.length])
  )

/** Executions of steps whose record had reached the body of their run before. */
const executedAfterAcknowledgement = (ledger: ReadonlyArray<Entry>) => {
  const done = new Set<string>()
  return ledger.filter((entry) => {
    if (entry.deed === "acknowledged") done.add(stepKey(entry))
    return entry.deed === "executed" && done.has(stepKey(entry))
  })
}

/** Who dies in each round, the server as often as each worker, and after how many more entries in the ledger. */
const makePlan = ({ rounds, seed }: Options) =>
  Effect.gen(function* () {
    const mortals = [0, 1, 2, "server"] as const
    const victims = yield* Random.shuffle(
      Array.from({ length: rounds }, (_, index) => mortals[index % mortals.length]!)
    )
    return yield* Effect.forEach(victims, (victim) =>
      Effect.map(Random.nextIntBetween(1, 110), (progress) => ({ victim, progress }))
    )
  }).pipe(Random.withSeed(seed))

export interface Options {
  readonly seed: string
  /** In each of them runs are started and somebody dies. */
  readonly rounds: number
  /** Whether connections are cut all the time, too. */
  readonly cutting: boolean
}

/** The runs that are started in so many rounds. */
export const runs = (rounds: number): number => rounds * startsPerRound

/** Starts runs, kills whoever the seed says, and checks everything that was promised. */
export const survive = Effect.fnUntraced(function* (options: Options) {
  const plan = yield* makePlan(options)
  const place = yield* Place.makeRemote(Place.impatient, options.seed)
  const { folder, ledger, proxies } = place
  const workers: Array<Process.Child> = []
  for (let count = 0; count < workerCount; count++) workers.push(yield* place.worker({ maxConcurrent }))

  /** Asked for by id until it is acknowledged: a start whose answer was lost may have happened. */
  const start = (number: number) =>
    Place.answered(Sum.start({ folder, number }, { id: `sum-${number}`, ifExists: "return-finished" }))

  yield* Effect.gen(function* () {
    if (options.cutting) yield* place.startCutting
    let serverKills = 0
    let workerKills = 0
    const handles = []
    for (const [round, { progress, victim }] of plan.entries()) {
      const wanted = ledger().length + progress
      const numbers = Array.from({ length: startsPerRound }, (_, index) => round * startsPerRound + index)
      const starting = yield* Effect.forkChild(Effect.forEach(numbers, start, { concurrency: 4 }))
      // The moment is one of progress, not of time: there is always work in flight when somebody dies.
      yield* Place.until(
        Effect.sync(() => ledger().length),
        (length) => length >= wanted
      )
      if (victim === "server") {
        serverKills++
        yield* place.server.restart
      } else {
        workerKills++
        yield* Place.registered(workers[victim]!)
        yield* workers[victim]!.kill
        workers[victim] = yield* place.worker({ maxConcurrent })
      }
      handles.push(...(yield* Fiber.join(starting)))
    }

    const results = yield* Effect.forEach(handles, ({ result }) => result, { concurrency: "unbounded" })
    yield* place.stopCutting
    assert.deepStrictEqual(
      results,
      handles.map((_, number) => number * 111_110)
    )
    assert.strictEqual(new Set(handles.map(({ runId }) => runId)).size, runs(options.rounds))

    const entries = ledger()
    assert.deepStrictEqual(executedAfterAcknowledgement(entries), [])
    const counts = executions(entries)
    // Five steps, of which one has two attempts.
    assert.strictEqual(counts.size, runs(options.rounds) * 6)
    const repeated = [...counts.values()].reduce((sum, count) => sum + count - 1, 0)
    assert.isAtMost(repeated, (workerKills + serverKills * workerCount) * maxConcurrent)
    const { clients, workers: ofWorkers } = { clients: proxies.clients.counts(), workers: proxies.workers.counts() }

    for (const { runId, steps } of handles) {
      // A connection that was about to be cut when that was stopped may still be.
      const recorded = yield* Place.answered(steps)
      assert.deepStrictEqual(
        recorded.map(({ attempt, name, status }) => `${name}/${attempt} ${status}`).toSorted(),
        recordedOfEachRun,
        runId
      )
    }
    const cuts = clients.cuts + ofWorkers.cuts
    yield* Effect.sync(() =>
      process.stdout.write(
        `${workerKills} workers and ${serverKills} servers killed, ${cuts} connections cut; ${repeated} executions repeated\n`
      )
    )
    if (options.cutting) {
      assert.isAbove(clients.cuts, options.rounds)
      assert.isAbove(ofWorkers.cuts, options.rounds)
    } else {
      assert.strictEqual(cuts, 0)
    }
    // While there is no stream, starts are single calls. Without sessions there would be two calls at least for each run.
    Place.wereSessions(clients, runs(options.rounds))
    Place.wereSessions(ofWorkers)
  }).pipe(Effect.provide(place.client))
})

const recordedOfEachRun = [
  "sleep/1 COMPLETED",
  "step-1/1 COMPLETED",
  "step-2/1 FAILED",
  "step-2/2 COMPLETED",
  "step-3/1 COMPLETED",
  "step-4/1 COMPLETED",
  "step-5/1 COMPLETED"
]
