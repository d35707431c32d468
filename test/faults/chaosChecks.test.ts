/** The checks of trials on real processes that the simulator has not, given what breaks them. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import * as Engine from "../../src/engine/Engine.ts"
import * as SqliteStore from "../../src/store/sqlite/SqliteStore.ts"
import { Store } from "../../src/store/Store.ts"
import { readFinal } from "../../src/testing/simulator/final.ts"
import { Ledger } from "../../src/testing/simulator/Ledger.ts"
import { start } from "../engine/Bench.ts"
import type { FaultKind } from "./chaos/plan.ts"
import { measure } from "./chaos/recovery.ts"
import { Removals, retentionSeconds } from "./chaos/removals.ts"

/** A store with one run, which has ended and was looked at. */
const ended = Effect.gen(function* () {
  const context = yield* Layer.build(Layer.provideMerge(Engine.layer(), SqliteStore.layerMemory))
  const [engine, store] = [Context.get(context, Engine.Engine), Context.get(context, Store)]
  const { runId } = yield* start({ engine })
  yield* engine.execute({ _tag: "TerminateRun", namespace: "default", runId, reason: "enough" })
  const removals = new Removals()
  yield* removals.look(store)
  assert.deepStrictEqual(removals.complaints, [])
  return { removals, runId, store }
})

describe("the check of retention", () => {
  it.live("finds a run that was removed before its time, and checks it like the others", () =>
    Effect.gen(function* () {
      const { removals, runId, store } = yield* ended
      const which = { namespace: "default", status: "FAILED", endedBy: Date.now() + 1_000 } as const
      yield* store.removeEnded(which, { rows: 100, bytes: 1_000_000 })
      yield* removals.look(store)
      assert.lengthOf(removals.complaints, 1)
      assert.include(removals.complaints[0], `${runId} was removed`)
      const left = yield* readFinal(store)
      assert.strictEqual(left.runs.size, 0)
      assert.deepStrictEqual([...removals.restore(left, Date.now()).runs.keys()], [runId])
    })
  )

  it.live("finds a run that is there long after its time", () =>
    Effect.gen(function* () {
      const { removals, store } = yield* ended
      const left = yield* readFinal(store)
      removals.restore(left, Date.now() + 1_000 * retentionSeconds)
      assert.deepStrictEqual(removals.complaints, [])
      removals.restore(left, Date.now() + 2_000 * retentionSeconds)
      assert.deepStrictEqual(removals.complaints, ["1 runs were not removed when it was time"])
    })
  )
})

const milli = 1e6

/** A run that worker-1 was given, what it wrote, asked for and acknowledged, and a fault 10 ms later. */
const hit = (
  kind: FaultKind,
  lasts: number,
  ...writes: ReadonlyArray<{ readonly what: string; readonly asked: number; readonly acknowledged: number }>
) => {
  const ledger = new Ledger()
  ledger.claims.push({ runId: "run", lease: 1, known: 0, order: 0, worker: "worker-1" })
  for (const { acknowledged, asked, what } of writes) {
    const [order, ackedOrder] = [asked * milli, acknowledged * milli]
    ledger.writes.push({ what, runId: "run", lease: 1, order, ackedOrder, worker: "worker-1" })
  }
  const incident = { kind, lasts, who: "any", at: 10, moment: 10 * milli, workers: ["worker-1"] }
  return measure(ledger, { runs: new Map(), steps: [] }, [incident], new Set(["run"]))
}

describe("the time to recover", () => {
  it("ends with the acknowledgement of the first step whose end was asked for after the fault", () => {
    const { measured, stuck } = hit(
      "killWorker",
      0,
      { what: "complete", asked: 5, acknowledged: 12 },
      { what: `begin "next"`, asked: 20, acknowledged: 21 },
      { what: "complete", asked: 30, acknowledged: 31 },
      { what: "complete", asked: 40, acknowledged: 41 }
    )
    assert.deepStrictEqual(measured, [{ kind: "killWorker", millis: 21 }])
    assert.deepStrictEqual(stuck, [])
  })

  it("is that of faults that take something away", () => {
    const progress = { what: "complete", asked: 30, acknowledged: 31 }
    assert.lengthOf(hit("stopServer", 5_000, progress).measured, 1)
    assert.deepStrictEqual(hit("stopServer", 500, progress), { measured: [], stuck: [] })
    assert.deepStrictEqual(hit("cut", 0, progress), { measured: [], stuck: [] })
  })

  it("counts runs that never get on apart, whatever the fault", () => {
    const before = { what: "complete", asked: 5, acknowledged: 6 }
    for (const kind of ["killWorker", "cut"] as const) {
      assert.deepStrictEqual(hit(kind, 0, before), { measured: [], stuck: [{ kind, runId: "run" }] })
    }
  })
})
