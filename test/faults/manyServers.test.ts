/** Three server processes on one PostgreSQL database, with workers and clients that know all of their addresses. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Random } from "effect"
import * as Balancer from "../support/balancer.ts"
import { database } from "../support/postgres.ts"
import * as Place from "./Place.ts"
import type { Entry } from "./processes/ledger.ts"
import { Brief, Gated, Nap, Sum } from "./processes/workflows.ts"

const { seed } = Place

/** Leases that outlast every restart: whatever is executed twice was repeated by mistake. */
const outlasting = {
  KAGZI_WORKER_LEASE_SECS: "30",
  KAGZI_WORKER_HEARTBEAT_INTERVAL_SECS: "1",
  KAGZI_WORKER_STALE_SECS: "30"
}

const make = Effect.fnUntraced(function* (environment: Readonly<Record<string, string>>) {
  const url = yield* database
  const folder = yield* Place.temporaryFolder
  const servers = yield* Effect.forEach([1, 2, 3], () => Place.serve(url, environment), { concurrency: "unbounded" })
  const all = servers.map(({ address }) => address).join(",")
  const placeOf = (addresses: { readonly workers: string; readonly clients: string }) =>
    Place.around(folder, servers[0]!, addresses)
  return { folder, servers, placeOf, place: yield* placeOf({ workers: all, clients: all }) }
})

const key = ({ attempt, run, step }: Entry) => `${run}/${step}/${attempt}`

/** For longer than clients wait for a sign of life. */
const standStill = (server: Place.Server) =>
  Effect.gen(function* () {
    yield* server.process().signal("SIGSTOP")
    yield* Effect.sleep("11 seconds")
    yield* server.process().signal("SIGCONT")
  })

/** Attempts of steps whose code was executed more than once. */
const repeated = (ledger: ReadonlyArray<Entry>): ReadonlyArray<string> => {
  const counts = new Map<string, number>()
  for (const entry of ledger) {
    if (entry.deed === "executed") counts.set(key(entry), (counts.get(key(entry)) ?? 0) + 1)
  }
  return [...counts].filter(([, count]) => count > 1).map(([attempt]) => attempt)
}

const startsPerRound = 10

interface Story {
  readonly rounds: number
  /** What happens in the middle of each round to one of the servers. */
  readonly happens: (server: Place.Server) => Effect.Effect<void, Error>
  /** Whether workers and clients know a load balancer in place of the servers. */
  readonly balanced?: boolean
}

/** Starts runs, and has something happen to each server in turn. */
const survive = ({ balanced = false, happens, rounds }: Story) =>
  Effect.gen(function* () {
    const made = yield* make(outlasting)
    const { folder, servers } = made
    const balancer = balanced ? yield* Balancer.make(servers.map(({ address }) => address)) : undefined
    const place = balancer === undefined ? made.place : yield* made.placeOf({ workers: balancer, clients: balancer })
    const workers = [yield* place.worker(), yield* place.worker(), yield* place.worker()]
    for (const worker of workers) yield* Place.registered(worker)
    yield* Effect.gen(function* () {
      const order = yield* Random.shuffle(Array.from({ length: rounds }, (_, round) => servers[round % 3]!))
      const handles = []
      for (const [round, server] of order.entries()) {
        const wanted = place.ledger().length + (yield* Random.nextIntBetween(1, 110))
        const numbers = Array.from({ length: startsPerRound }, (_, index) => round * startsPerRound + index)
        const starting = yield* Effect.forkChild(
          Effect.forEach(
            numbers,
            (number) =>
              Place.answered(Sum.start({ folder, number }, { id: `sum-${number}`, ifExists: "return-finished" })),
            { concurrency: 4 }
          )
        )
        yield* Place.until(
          Effect.sync(() => place.ledger().length),
          (length) => length >= wanted
        )
        yield* happens(server)
        handles.push(...(yield* Fiber.join(starting)))
      }
      const results = yield* Effect.forEach(handles, ({ result }) => result, { concurrency: "unbounded" })
      assert.deepStrictEqual(
        results,
        handles.map((_, number) => number * 111_110)
      )
      const ledger = place.ledger()
      assert.deepStrictEqual(repeated(ledger), [])
      // five steps, of which one has two attempts
      assert.lengthOf(
        ledger.filter(({ deed }) => deed === "executed"),
        handles.length * 6
      )
      for (const worker of workers) assert.isTrue(worker.isAlive())
    }).pipe(Random.withSeed(seed), Effect.provide(place.client))
  }).pipe(Effect.scoped)

describe(`three servers on one database (KAGZI_TEST_SEED=${seed})`, () => {
  it.live(
    "lose no run and repeat no step when one of them is killed, again and again",
    () => survive({ rounds: 6, happens: ({ restart }) => restart }),
    120_000
  )

  it.live(
    "lose no run and repeat no step when they are replaced one after the other",
    () => survive({ rounds: 6, happens: ({ replace }) => replace }),
    120_000
  )

  it.live(
    "lose no run and repeat no step behind a load balancer",
    () => survive({ rounds: 6, happens: ({ restart }) => restart, balanced: true }),
    120_000
  )

  it.live(
    "lose no run and repeat no step when one of them stands still for so long that everybody goes elsewhere",
    () => survive({ rounds: 2, happens: standStill }),
    120_000
  )

  it.live("have a worker of one execute what is started on another, and tell a third the result", () =>
    Effect.gen(function* () {
      const { folder, placeOf, servers } = yield* make(Place.patient)
      const [a, b, c] = servers.map(({ address }) => address)
      const starting = yield* placeOf({ workers: b!, clients: a! })
      const waiting = yield* placeOf({ workers: b!, clients: c! })
      yield* Place.registered(yield* starting.worker())
      yield* starting.openGate
      const { runId } = yield* Effect.provide(Nap.start({ folder, sleepMillis: 200 }), starting.client)
      const result = yield* Effect.provide(
        Effect.flatMap(Nap.handle(runId), ({ result }) => result),
        waiting.client
      )
      assert.deepStrictEqual(result, ["before", "after"])
      const brief = yield* Effect.forEach([starting.client, waiting.client], (client) =>
        Effect.provide(Brief.execute({ folder }), client)
      )
      assert.deepStrictEqual(brief, ["brief", "brief"])
    }).pipe(Effect.scoped, Effect.timeout("25 seconds"))
  )

  it.live("tell a worker of one that its run was cancelled on another", () =>
    Effect.gen(function* () {
      const { folder, placeOf, servers } = yield* make(Place.patient)
      const [a, b] = servers.map(({ address }) => address)
      const place = yield* placeOf({ workers: b!, clients: a! })
      const worker = yield* place.worker({ maxConcurrent: 1 })
      yield* Place.registered(worker)
      yield* Effect.gen(function* () {
        const run = yield* Gated.start({ folder, blocking: false, sleepMillis: 0 })
        yield* place.written({ deed: "executed", step: "gated" })
        yield* run.cancel
        // the worker has room for one run at a time: the next one begins when the cancelled one was let go of
        assert.deepStrictEqual(yield* Nap.execute({ folder, sleepMillis: 1 }), ["before", "after"])
        assert.deepStrictEqual(
          place.ledger().filter(({ deed, step }) => deed === "left" && step === "gated"),
          []
        )
      }).pipe(Effect.provide(place.client))
    }).pipe(Effect.scoped, Effect.timeout("25 seconds"))
  )
})
