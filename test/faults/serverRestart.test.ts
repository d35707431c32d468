/** A server process that is killed, or asked to end, and started again, with everyone else still there. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import * as Place from "./Place.ts"
import { Gated, Nap } from "./processes/workflows.ts"

const ways = [
  { how: "is killed", again: (place: Place.Place) => place.server.restart },
  { how: "ends by SIGTERM", again: (place: Place.Place) => place.server.replace }
]

describe.each(ways)("a server that $how and is started again", ({ again }) => {
  it.live("wakes a run that slept, for a worker that polled and a client that waited all along", () =>
    Effect.gen(function* () {
      const place = yield* Place.make(Place.impatient)
      yield* Effect.gen(function* () {
        const worker = yield* place.worker()
        yield* Place.registered(worker)
        const run = yield* Nap.start({ folder: place.folder, sleepMillis: 1_000 })
        const waiting = yield* Effect.forkChild(run.result, { startImmediately: true })
        yield* Place.until(run.status, (status) => status === "SLEEPING")
        yield* again(place)
        assert.deepStrictEqual(yield* Fiber.join(waiting), ["before", "after"])
        const pids = place.ledger().map(({ pid }) => pid)
        assert.deepStrictEqual(pids, [worker.pid, worker.pid, worker.pid, worker.pid])
        assert.isTrue(worker.isAlive())
      }).pipe(Effect.provide(place.client))
    })
  )

  it.live("hands new runs to a worker that had nothing to do", () =>
    Effect.gen(function* () {
      const place = yield* Place.make(Place.impatient)
      yield* Effect.gen(function* () {
        const worker = yield* place.worker()
        yield* Place.registered(worker)
        yield* again(place)
        yield* again(place)
        const output = yield* Nap.execute({ folder: place.folder, sleepMillis: 1 })
        assert.deepStrictEqual(output, ["before", "after"])
        assert.isTrue(worker.isAlive())
      }).pipe(Effect.provide(place.client))
    })
  )
})

describe("a server that is killed and started again", () => {
  it.live("takes the result of a step that ended while it was away", () =>
    Effect.gen(function* () {
      // The lease outlasts the restart, so the step is the worker's all the time.
      const place = yield* Place.make(Place.patient)
      yield* Effect.gen(function* () {
        const worker = yield* place.worker()
        yield* Place.registered(worker)
        const run = yield* Gated.start({ folder: place.folder, blocking: false, sleepMillis: 0 })
        yield* place.written({ deed: "executed", step: "gated" })
        yield* place.server.process().kill
        yield* place.openGate
        yield* place.written({ deed: "left", step: "gated" })
        yield* place.server.restart
        assert.deepStrictEqual(yield* run.result, ["before", "gated", "after"])
        const executed = place.ledger().filter(({ deed }) => deed === "executed")
        assert.deepStrictEqual(
          executed.map(({ step }) => step),
          ["before", "gated", "after"]
        )
      }).pipe(Effect.provide(place.client))
    })
  )
})
