import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Option } from "effect"
import { TestClock } from "effect/testing"
import { expireWorkers } from "../../src/engine/expiry.ts"
import { StoreError } from "../../src/store/Store.ts"

const settle = Effect.repeat(Effect.yieldNow, { times: 20 })

/** A store with one worker, which was heard of at the beginning, and what becomes of it. */
const watch = Effect.fnUntraced(function* () {
  const store = { heardAt: 0, isDown: false, slowMillis: 0, expired: 0, isPatient: false, asked: 0 }
  const quietest = Effect.gen(function* () {
    yield* Effect.sleep(store.slowMillis)
    if (store.isDown) return yield* new StoreError({ message: "down", transient: true })
    return Option.some(store.heardAt)
  })
  const execute = () =>
    Effect.sync(() => {
      store.asked++
      if (store.isPatient) return { expired: 0 } as never
      store.expired++
      store.heardAt = Number.POSITIVE_INFINITY
      return { expired: 1 } as never
    })
  yield* Effect.forkChild(expireWorkers({ now: Clock.currentTimeMillis, quietest }, { execute }, 30_000))
  yield* settle
  return store
})

const pass = (millis: number) => Effect.andThen(TestClock.adjust(millis), settle)

describe("workers that are not heard of", () => {
  it.effect("are gone when they have been silent for so long", () =>
    Effect.gen(function* () {
      const store = yield* watch()
      yield* pass(29_999)
      assert.strictEqual(store.expired, 0)
      yield* pass(1)
      assert.strictEqual(store.expired, 1)
    })
  )

  it.effect("are looked at once a second where they may be silent for longer", () =>
    Effect.gen(function* () {
      const store = yield* watch()
      store.isPatient = true
      for (let n = 0; n < 40; n++) yield* pass(1_000)
      assert.approximately(store.asked, 10, 1)
      assert.strictEqual(store.expired, 0)
      store.isPatient = false
      yield* pass(1_000)
      assert.strictEqual(store.expired, 1)
    })
  )

  it.effect("have their time once more when the store could not be reached, or did not answer", () =>
    Effect.gen(function* () {
      for (const fault of [{ isDown: true }, { slowMillis: 40_000 }]) {
        const store = yield* watch()
        store.heardAt = yield* Clock.currentTimeMillis
        Object.assign(store, fault)
        yield* pass(60_000)
        Object.assign(store, { isDown: false, slowMillis: 0 })
        for (let n = 0; n < 25; n++) yield* pass(1_000)
        assert.strictEqual(store.expired, 0)
        // and if they are not heard of then, they are gone
        for (let n = 0; n < 45; n++) yield* pass(1_000)
        assert.strictEqual(store.expired, 1)
      }
    })
  )
})
