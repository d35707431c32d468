/** SIGTERM ends a worker process in good order. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Place from "./Place.ts"
import { Gated } from "./processes/workflows.ts"

/** A run whose gated step is in progress on the first worker. */
const held = Effect.fnUntraced(function* (place: Place.Place, sleepMillis: number, gracePeriod: number) {
  const worker = yield* place.worker({ gracePeriod })
  yield* Place.registered(worker)
  const run = yield* Gated.start({ folder: place.folder, blocking: false, sleepMillis })
  yield* place.written({ deed: "executed", step: "gated" })
  return { run, worker }
})

const codeOf = (place: Place.Place, step: string) =>
  place
    .ledger()
    .filter((entry) => entry.deed === "executed" && entry.step === step)
    .map(({ pid }) => pid)

describe("a worker process that gets SIGTERM", () => {
  it.live("ends with 0 when it has nothing to do", () =>
    Effect.gen(function* () {
      const place = yield* Place.make(Place.patient)
      const worker = yield* place.worker()
      yield* Place.registered(worker)
      yield* worker.signal("SIGTERM")
      assert.strictEqual(yield* worker.ended, 0)
    })
  )

  it.live("finishes its run, takes no other, and ends with 0", () =>
    Effect.gen(function* () {
      const place = yield* Place.make(Place.patient)
      yield* Effect.gen(function* () {
        const { run, worker } = yield* held(place, 0, 60_000)
        yield* worker.signal("SIGTERM")
        const second = yield* place.worker()
        yield* Place.registered(second)
        const other = yield* Gated.start({ folder: place.folder, blocking: false, sleepMillis: 0 })
        yield* place.written({ deed: "executed", step: "gated", run: other.runId })
        yield* place.openGate
        assert.strictEqual(yield* worker.ended, 0)
        assert.strictEqual(yield* run.status, "COMPLETED")
        assert.deepStrictEqual(yield* run.result, ["before", "gated", "after"])
        yield* other.result
        assert.deepStrictEqual(codeOf(place, "gated"), [worker.pid, second.pid])
        assert.deepStrictEqual(codeOf(place, "after").toSorted(), [worker.pid, second.pid].toSorted())
      }).pipe(Effect.provide(place.client))
    })
  )

  it.live("lets go of a run that sleeps, which another worker takes up although its lease has not run out", () =>
    Effect.gen(function* () {
      const place = yield* Place.make(Place.patient)
      yield* Effect.gen(function* () {
        const { run, worker } = yield* held(place, 2_000, 60_000)
        yield* worker.signal("SIGTERM")
        yield* place.openGate
        assert.strictEqual(yield* worker.ended, 0)
        assert.strictEqual(yield* run.status, "SLEEPING")
        const second = yield* place.worker()
        assert.deepStrictEqual(yield* run.result, ["before", "gated", "after"])
        assert.deepStrictEqual(codeOf(place, "gated"), [worker.pid])
        assert.deepStrictEqual(codeOf(place, "after"), [second.pid])
      }).pipe(Effect.provide(place.client))
    })
  )

  it.live("gives back a run that outlasts the grace period, which another worker takes up at once", () =>
    Effect.gen(function* () {
      const place = yield* Place.make(Place.patient)
      yield* Effect.gen(function* () {
        const { run, worker } = yield* held(place, 0, 100)
        yield* worker.signal("SIGTERM")
        assert.strictEqual(yield* worker.ended, 0)
        const second = yield* place.worker()
        yield* place.openGate
        assert.deepStrictEqual(yield* run.result, ["before", "gated", "after"])
        assert.deepStrictEqual(codeOf(place, "before"), [worker.pid])
        assert.deepStrictEqual(codeOf(place, "gated"), [worker.pid, second.pid])
        assert.deepStrictEqual(codeOf(place, "after"), [second.pid])
      }).pipe(Effect.provide(place.client))
    })
  )
})
