/** Limits on runs that execute at once hold over processes. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { KagziClient } from "../../src/index.ts"
import * as Place from "./Place.ts"
import type { Entry } from "./processes/ledger.ts"
import { Brief, Rare } from "./processes/workflows.ts"

const workerCount = 4
const queueLimit = 5
const rareLimit = 2
const runs = 500

/** The most executions of steps that were going on at the same time. */
const mostAtOnce = (ledger: ReadonlyArray<Entry>) => {
  let now = 0
  let most = 0
  for (const { deed } of ledger) {
    now += deed === "executed" ? 1 : -1
    most = Math.max(most, now)
  }
  assert.strictEqual(now, 0)
  return most
}

describe(`${runs} runs of two types on ${workerCount} worker processes`, () => {
  it.live(
    `execute ${queueLimit} at a time and ${rareLimit} of the type with a limit of its own, never more`,
    () =>
      Effect.gen(function* () {
        const place = yield* Place.make(Place.patient)
        const { folder, ledger } = place
        const settings = {
          maxConcurrent: 10,
          queueConcurrencyLimit: queueLimit,
          workflowTypeConcurrency: { [Rare.name]: rareLimit }
        }
        const workers = yield* Effect.forEach(Array(workerCount).keys(), () => place.worker(settings))
        yield* Effect.forEach(workers, Place.registered)
        yield* Effect.gen(function* () {
          const { protocol, workflows } = yield* KagziClient
          const running = Effect.map(
            Stream.runCollect(workflows.list({ status: "RUNNING" })),
            (found) => [found.length, found.filter(({ workflowType }) => workflowType === Rare.name).length] as const
          )
          const seen = { all: 0, rare: 0, samples: 0 }
          const sample = Effect.gen(function* () {
            const [all, rare] = yield* running
            seen.all = Math.max(seen.all, all)
            seen.rare = Math.max(seen.rare, rare)
            seen.samples++
            yield* Effect.sleep("5 millis")
          })
          // Those with a limit of their own come first, and must not stand in the way of the others.
          const handles = yield* Effect.forEach(
            Array(runs).keys(),
            (index) => (index < runs / 2 ? Rare : Brief).start({ folder }),
            { concurrency: 20 }
          )
          // As many as may execute wait in their steps.
          yield* Place.until(Effect.sync(ledger), (entries) => entries.length >= queueLimit)
          yield* sample
          assert.deepStrictEqual([seen.all, seen.rare], [queueLimit, rareLimit])
          yield* place.openGate
          const sampling = yield* Effect.forkChild(Effect.forever(sample))
          const results = yield* Effect.forEach(handles, ({ result }) => result, { concurrency: "unbounded" })
          yield* Fiber.interrupt(sampling)
          assert.lengthOf(results, runs)

          assert.isAtMost(seen.all, queueLimit)
          assert.isAtMost(seen.rare, rareLimit)
          assert.isAbove(seen.samples, 10)

          const entries = ledger()
          assert.lengthOf(entries, 2 * runs)
          const rare = entries.filter(({ step }) => step === Rare.name)
          assert.deepStrictEqual([mostAtOnce(entries), mostAtOnce(rare)], [queueLimit, rareLimit])
          const others = entries.findIndex(({ step }) => step === Brief.name)
          assert.isBelow(
            others,
            entries.findLastIndex(({ step }) => step === Rare.name)
          )
          assert.isTrue((yield* protocol.health).serving)
        }).pipe(Effect.provide(place.client))
      }),
    120_000
  )
})
