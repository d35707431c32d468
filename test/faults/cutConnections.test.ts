/** Connections of workers and clients are cut all the time, and nothing else happens to them. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import * as Place from "./Place.ts"
import { Brief, elsewhere, Gated, Nap } from "./processes/workflows.ts"

const { seed } = Place

/**
 * With leases that outlast the test: what gets lost on its way stays lost, unless connections make up for it. `calls` is
 * how many calls the client makes that may go over no session: cancellations, and starts while there is no stream. Who
 * waits for results without a session makes that many more at least.
 */
const inCutPlace = <A, E>(calls: number, test: (place: Place.Remote) => Effect.Effect<A, E, Place.Needs>) =>
  Effect.gen(function* () {
    const place = yield* Place.makeRemote(Place.patient, seed)
    yield* Effect.provide(test(place), place.client)
    yield* place.stopCutting
    Place.wereSessions(place.proxies.workers.counts())
    Place.wereSessions(place.proxies.clients.counts(), calls)
  })

/** Runs whose step was executed, and how often. */
const executions = (place: Place.Place) =>
  Object.entries(
    Object.groupBy(
      place.ledger().filter(({ deed }) => deed === "executed"),
      ({ run, step }) => `${run}/${step}`
    )
  ).map(([key, entries]) => [key, entries?.length ?? 0] as const)

/** Fails unless there were so many steps, whose code was executed once each. */
const executedOnce = (place: Place.Place, steps: number) => {
  const counts = executions(place)
  assert.deepStrictEqual(
    counts.filter(([, count]) => count !== 1),
    []
  )
  assert.lengthOf(counts, steps)
}

/** Waits until both proxies have cut so many connections more. */
const moreCuts = (place: Place.Remote, count: number) =>
  Effect.gen(function* () {
    for (const proxy of Object.values(place.proxies)) {
      const before = proxy.counts().cuts
      yield* Place.until(
        Effect.sync(() => proxy.counts().cuts),
        (cuts) => cuts >= before + count
      )
    }
  })

describe(`while connections are cut every 200 ms (KAGZI_TEST_SEED=${seed})`, () => {
  it.live(
    "each of 1,000 results comes once to each of its two waiters",
    () => {
      const runs = 1_000
      return inCutPlace(runs, (place) =>
        Effect.gen(function* () {
          for (const worker of [
            yield* place.worker({ maxConcurrent: 50 }),
            yield* place.worker({ maxConcurrent: 50 })
          ]) {
            yield* Place.registered(worker)
          }
          yield* place.startCutting
          const came = new Map<string, number>()
          const handles = yield* Effect.forEach(
            Array(runs).keys(),
            (number) =>
              Place.answered(
                Brief.start({ folder: place.folder }, { id: `brief-${number}`, ifExists: "return-finished" })
              ),
            { concurrency: 50 }
          )
          assert.strictEqual(new Set(handles.map(({ runId }) => runId)).size, runs)
          const waiting = yield* Effect.forEach([...handles, ...handles], ({ result, runId }) =>
            result.pipe(
              Effect.tap(() => Effect.sync(() => came.set(runId, (came.get(runId) ?? 0) + 1))),
              Effect.forkChild({ startImmediately: true })
            )
          )
          yield* moreCuts(place, 5)
          assert.strictEqual(came.size, 0)
          yield* place.openGate
          const results = yield* Fiber.joinAll(waiting)
          assert.deepStrictEqual([...new Set(results)], ["brief"])
          assert.deepStrictEqual(new Set(came.values()), new Set([2]))
          assert.strictEqual(came.size, runs)
          executedOnce(place, runs)
        })
      )
    },
    60_000
  )

  it.live(
    "a worker serves all of its queues",
    () => {
      const queues = 4
      const perQueue = 25
      return inCutPlace(queues * perQueue, (place) =>
        Effect.gen(function* () {
          const worker = yield* place.worker({ maxConcurrent: 5, queues })
          yield* Place.registered(worker)
          yield* place.openGate
          yield* place.startCutting
          yield* Effect.forEach(
            Array(perQueue).keys(),
            (number) =>
              Effect.forEach(
                Array(queues).keys(),
                Effect.fnUntraced(function* (queue) {
                  const id = `${queue}-${number}`
                  const started = elsewhere(queue).start({ folder: place.folder }, { id, ifExists: "return-finished" })
                  const run = yield* Place.answered(started)
                  assert.strictEqual(yield* run.result, `brief-${queue}`)
                }),
                { concurrency: "unbounded" }
              ),
            { concurrency: 2 }
          )
          yield* moreCuts(place, 1)
          executedOnce(place, queues * perQueue)
        })
      )
    },
    60_000
  )

  it.live("a worker hears that its runs are cancelled, and goes on with others", () => {
    const maxConcurrent = 4
    const rounds = 4
    return inCutPlace(rounds * (2 * maxConcurrent + 1), (place) =>
      Effect.gen(function* () {
        const { folder } = place
        const worker = yield* place.worker({ maxConcurrent })
        yield* Place.registered(worker)
        yield* place.startCutting
        for (let round = 0; round < rounds; round++) {
          const runs = yield* Effect.forEach(Array(maxConcurrent).keys(), (number) =>
            Place.answered(
              Gated.start(
                { folder, blocking: false, sleepMillis: 0 },
                { id: `${round}-${number}`, ifExists: "return-finished" }
              )
            )
          )
          for (const { runId } of runs) yield* place.written({ deed: "executed", step: "gated", run: runId })
          // The gate stays shut: the worker has room again only if it is told.
          for (const { cancel, status } of runs) {
            yield* Effect.catchTag(Place.answered(cancel), "PreconditionFailed", () => Place.answered(status))
          }
          for (const { result } of runs) {
            assert.strictEqual((yield* Effect.flip(result))._tag, "WorkflowCancelled")
          }
          const next = yield* Place.answered(
            Nap.start({ folder, sleepMillis: 20 }, { id: `nap-${round}`, ifExists: "return-finished" })
          )
          assert.deepStrictEqual(yield* next.result, ["before", "after"])
        }
        yield* moreCuts(place, 1)
        executedOnce(place, rounds * (maxConcurrent * 2 + 2))
        assert.isFalse(place.ledger().some(({ deed, step }) => deed === "left" && step === "gated"))
      })
    )
  })

  it.live("a worker that gets SIGTERM finishes its runs, takes no other, and ends with 0", () => {
    const maxConcurrent = 5
    return inCutPlace(2 * maxConcurrent, (place) =>
      Effect.gen(function* () {
        const { folder } = place
        const start = (number: number) =>
          Place.answered(
            Gated.start(
              { folder, blocking: false, sleepMillis: 0 },
              { id: `gated-${number}`, ifExists: "return-finished" }
            )
          )
        const first = yield* place.worker({ maxConcurrent })
        yield* Place.registered(first)
        yield* place.startCutting
        const held = yield* Effect.forEach(Array(maxConcurrent).keys(), start)
        for (const { runId } of held) yield* place.written({ deed: "executed", step: "gated", run: runId })
        yield* first.signal("SIGTERM")
        const second = yield* place.worker({ maxConcurrent })
        yield* Place.registered(second)
        const others = yield* Effect.forEach(Array(maxConcurrent).keys(), (number) => start(maxConcurrent + number))
        for (const { runId } of others) yield* place.written({ deed: "executed", step: "gated", run: runId })
        yield* moreCuts(place, 3)
        yield* place.openGate
        for (const { result } of [...held, ...others]) {
          assert.deepStrictEqual(yield* result, ["before", "gated", "after"])
        }
        assert.strictEqual(yield* first.ended, 0)
        executedOnce(place, 2 * maxConcurrent * 3)
        const runsOf = (pid: number) =>
          new Set(
            place
              .ledger()
              .filter((entry) => entry.pid === pid)
              .map(({ run }) => run)
          )
        assert.deepStrictEqual(runsOf(first.pid), new Set(held.map(({ runId }) => runId)))
        assert.deepStrictEqual(runsOf(second.pid), new Set(others.map(({ runId }) => runId)))
      })
    )
  })
})
