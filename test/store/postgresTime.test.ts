/** What a server takes for the time of its database. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber, Latch } from "effect"
import { TestClock } from "effect/testing"
import * as Time from "../../src/store/postgres/Time.ts"

/** The database's clock is so much ahead of this machine's. */
const ahead = 1_000_000

/** A database that takes so many milliseconds to get a question, and so many to have its answer heard. */
const database = (way: { there: number; back: number }) =>
  Effect.gen(function* () {
    yield* TestClock.adjust(way.there)
    const answer = (yield* Clock.currentTimeMillis) + ahead
    yield* TestClock.adjust(way.back)
    return answer
  })

const settle = Effect.repeat(Effect.yieldNow, { times: 20 })

describe("the time of a PostgreSQL database", () => {
  it.effect("does not move by answers that were slow to come, and follows those that contradict it", () =>
    Effect.gen(function* () {
      const way = { there: 1, back: 1 }
      let moved = 0
      const now = yield* Time.make(() => Effect.map(database(way), (answer) => answer + moved))
      const difference = Effect.gen(function* () {
        return (yield* now) - (yield* Clock.currentTimeMillis)
      })
      assert.strictEqual(yield* difference, ahead)
      way.there = 900
      yield* TestClock.adjust("5 seconds")
      yield* settle
      assert.strictEqual(yield* difference, ahead)
      way.there = 1
      moved = 60_000
      yield* TestClock.adjust("5 seconds")
      yield* settle
      assert.approximately(yield* difference, ahead + moved, 1)
    }).pipe(Effect.scoped)
  )

  it.effect("is asked for at once when the machine was suspended or its clock was set, once for all who wait", () =>
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      let asked = 0
      let passed = 0
      let set = 0
      let isAway = false
      const answers = Latch.makeUnsafe(true)
      const now = yield* Time.make(() =>
        Effect.andThen(
          answers.await,
          Effect.suspend(() => {
            if (isAway) return Effect.fail("away")
            asked++
            return Effect.succeed(clock.currentTimeMillisUnsafe() + ahead + passed)
          })
        )
      ).pipe(
        Effect.provideService(Clock.Clock, {
          ...clock,
          sleep: clock.sleep,
          monotonicTimeNanosUnsafe: () => BigInt(clock.currentTimeMillisUnsafe()) * 1_000_000n,
          currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe() + passed + set
        })
      )
      const difference = Effect.gen(function* () {
        return (yield* now) - clock.currentTimeMillisUnsafe()
      })
      assert.strictEqual(yield* difference, ahead)
      assert.strictEqual(asked, 3)
      passed = 60_000
      assert.strictEqual(yield* difference, ahead + 60_000)
      assert.strictEqual(yield* difference, ahead + 60_000)
      assert.strictEqual(asked, 6)
      set = -7_200_000
      assert.strictEqual(yield* difference, ahead + 60_000)
      assert.strictEqual(asked, 9)

      answers.closeUnsafe()
      passed = 120_000
      const first = yield* Effect.forkChild(difference)
      const others = yield* Effect.forkChild(Effect.all([difference, difference], { concurrency: 2 }))
      yield* settle
      yield* Fiber.interrupt(first)
      assert.isUndefined(others.pollUnsafe())
      answers.openUnsafe()
      assert.deepStrictEqual(yield* Fiber.join(others), [ahead + 120_000, ahead + 120_000])
      assert.strictEqual(asked, 12)

      isAway = true
      passed = 180_000
      const late = yield* Effect.forkChild(difference)
      const tooLate = yield* Effect.forkChild(difference)
      yield* settle
      yield* TestClock.adjust("4 seconds")
      isAway = false
      assert.isUndefined(late.pollUnsafe())
      for (let n = 0; n < 2; n++) {
        yield* TestClock.adjust("100 millis")
        yield* settle
      }
      assert.strictEqual(yield* Fiber.join(late), ahead + 180_000)
      assert.strictEqual(yield* Fiber.join(tooLate), ahead + 180_000)

      // it goes on all the same when nobody can be asked for long
      isAway = true
      passed = 240_000
      const without = yield* Effect.forkChild(difference)
      yield* settle
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(yield* Fiber.join(without), ahead + 180_000)
    }).pipe(Effect.scoped)
  )
})
