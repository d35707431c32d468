/** Runs are removed when they ended longer ago than the retention, and never before. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import * as Engine from "../../src/engine/Engine.ts"
import { type RemovalRoom, Store, StoreError } from "../../src/store/Store.ts"
import * as Stores from "../support/stores.ts"
import { type Bench, makeBench, register, running, settle, start } from "./Bench.ts"
import { payload } from "./lifecycle/World.ts"

const hour = 3_600_000

/** Nothing ends by itself. */
const patient = { staleMillis: 1_000 * hour, leaseMillis: 1_000 * hour }
const keepAnHour = { ...patient, retentionMillis: hour }

/** As long as it takes at most until it is seen that something is to be removed, and done. */
const pause = hour / 10

/** A run that ends now. */
const finish = Effect.fnUntraced(function* (bench: Bench, workerId: string) {
  const run = yield* running(bench, workerId)
  yield* bench.engine.execute({ _tag: "CompleteRun", ...run, output: payload("done") })
  return run.runId
})

const isThere = ({ engine }: Bench, runId: string) =>
  engine.getRun("default", runId).pipe(
    Effect.as(true),
    Effect.catchTag("NotFound", () => Effect.succeed(false))
  )

const pass = (millis: number) => Effect.andThen(TestClock.adjust(millis), settle)

describe("an ended run", () => {
  it.effect("is removed after the retention, and not before", () =>
    Effect.gen(function* () {
      const bench = yield* makeBench(keepAnHour)
      const runId = yield* finish(bench, yield* register(bench))
      // in small steps: a pass that comes too early would be seen
      for (let passed = 0; passed < hour; passed += hour / 60) {
        assert.isTrue(yield* isThere(bench, runId))
        yield* pass(hour / 60)
      }
      yield* pass(pause)
      assert.isFalse(yield* isThere(bench, runId))
    })
  )

  it.effect("is kept for good unless a retention is given", () =>
    Effect.gen(function* () {
      const bench = yield* makeBench(patient)
      const runId = yield* finish(bench, yield* register(bench))
      yield* pass(900 * hour)
      assert.isTrue(yield* isThere(bench, runId))
    })
  )

  it.effect("is not found any more by whoever asks for it, and its id starts a new run", () =>
    Effect.gen(function* () {
      const bench = yield* makeBench(keepAnHour)
      const { engine } = bench
      const workerId = yield* register(bench)
      const again = { externalId: "mine", ifExists: "return-finished" } as const
      const first = yield* start(bench, again)
      const held = { namespace: "default", runId: first.runId, lease: 1 }
      yield* engine.claim({ namespace: "default", taskQueue: "queue", workerId, workflowTypes: ["order"] })
      yield* engine.execute({ _tag: "CompleteRun", ...held, output: payload("done") })
      const same = yield* start(bench, again)
      assert.deepStrictEqual([same.runId, same.alreadyExists], [first.runId, true])
      yield* pass(hour + pause)

      const errors = yield* Effect.all([
        Effect.flip(engine.getRun("default", first.runId)),
        Effect.flip(engine.getRunByExternalId("default", "mine")),
        Effect.flip(engine.awaitRun("default", first.runId, 0)),
        Effect.flip(engine.execute({ _tag: "RetryRun", ...held, newRunId: yield* engine.newId })),
        Effect.flip(engine.execute({ _tag: "CancelRun", ...held })),
        // a worker that sends once more what it was not told
        Effect.flip(engine.execute({ _tag: "CompleteRun", ...held, output: payload("done") }))
      ])
      assert.deepStrictEqual(
        errors.map(({ _tag }) => _tag),
        errors.map(() => "NotFound")
      )
      const watched = yield* Effect.callback<unknown>((resume) => {
        engine.watchEnd("default", first.runId, (reply) => resume(Effect.succeed(reply._tag)))
      })
      assert.strictEqual(watched, "Failure")
      const other = yield* start(bench, again)
      assert.isFalse(other.alreadyExists)
      assert.notStrictEqual(other.runId, first.runId)
    })
  )

  it.effect("of any number is removed, in all namespaces and however it ended, and none is counted any more", () =>
    Effect.gen(function* () {
      const bench = yield* makeBench(keepAnHour)
      const { engine } = bench
      const many = yield* Effect.forEach(Array(600).keys(), (n) => start(bench, { namespace: n % 2 === 0 ? "a" : "b" }))
      for (const [n, { runId }] of many.entries()) {
        yield* engine.execute({ _tag: "TerminateRun", namespace: n % 2 === 0 ? "a" : "b", runId, reason: "enough" })
      }
      yield* finish(bench, yield* register(bench))
      const unfinished = yield* start(bench, { taskQueue: "other" })
      yield* pass(hour + pause)
      // each transaction is followed by a rest
      for (let round = 0; round < 20; round++) yield* pass(1_000)
      const { byStatus, runs } = yield* engine.stats()
      assert.strictEqual(runs, 1)
      assert.strictEqual(byStatus.get("PENDING"), 1)
      assert.isTrue(yield* isThere(bench, unfinished.runId))
    })
  )
})

describe("a run that has not ended", () => {
  it.effect("is kept however long it is there", () =>
    Effect.gen(function* () {
      const bench = yield* makeBench(keepAnHour)
      const workerId = yield* register(bench)
      const { runId } = yield* running(bench, workerId)
      const waiting = yield* start(bench)
      yield* pass(20 * hour)
      assert.isTrue(yield* isThere(bench, runId))
      assert.isTrue(yield* isThere(bench, waiting.runId))
    })
  )
})

describe("removal", () => {
  it.effect("goes on when the store has failed, and takes as little at a time as it says", () =>
    Effect.gen(function* () {
      const store = yield* Stores.open
      const rooms = new Set<RemovalRoom>()
      let failures = 3
      const failing = {
        ...store,
        removeEnded: (...args: Parameters<typeof store.removeEnded>) =>
          Effect.suspend(() => {
            rooms.add(args[1])
            return failures-- > 0
              ? Effect.fail(new StoreError({ message: "busy", transient: true }))
              : store.removeEnded(...args)
          })
      }
      const context = yield* Layer.build(
        Layer.fresh(Engine.layer(keepAnHour)).pipe(Layer.provide(Layer.succeed(Store, failing)))
      )
      const bench = { engine: Context.get(context, Engine.Engine) } as Bench
      const runId = yield* finish(bench, yield* register(bench))
      yield* pass(hour + pause)
      yield* pass(60_000)
      assert.isFalse(yield* isThere(bench, runId))
      for (const { bytes, rows } of rooms) {
        assert.isAtMost(rows, 250)
        assert.isAtMost(bytes, 1_048_576)
      }
    })
  )
})
