import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope } from "effect"
import { TestClock } from "effect/testing"
import { StoreError } from "../../src/store/Store.ts"
import { makeBench, settle, start } from "./Bench.ts"

const transient = new StoreError({ message: "busy", transient: true })
const permanent = new StoreError({ message: "no such table", transient: false })

describe("the group commit", () => {
  it.effect("puts what arrives during a transaction into the next one", () =>
    Effect.gen(function* () {
      const bench = yield* makeBench()
      const { control } = bench
      control.gate.closeUnsafe()
      const first = yield* Effect.forkChild(start(bench))
      yield* settle
      const others = yield* Effect.forkChild(
        Effect.forEach(Array(50).keys(), () => start(bench), { concurrency: "unbounded" })
      )
      yield* settle
      assert.deepStrictEqual(control.transactions, [])
      control.gate.openUnsafe()
      yield* Fiber.join(first)
      yield* Fiber.join(others)
      // A run and its input each.
      assert.deepStrictEqual(control.transactions, [2, 100])
    })
  )

  it.effect("waits for more after a busy transaction where others use the database, as long as that took at most", () =>
    Effect.gen(function* () {
      const bench = yield* makeBench()
      const { control } = bench
      const startAll = (count: number) =>
        Effect.forkChild(Effect.forEach(Array(count).keys(), () => start(bench), { concurrency: "unbounded" }))
      const busy = Effect.gen(function* () {
        control.gate.closeUnsafe()
        const runs = yield* startAll(8)
        yield* settle
        yield* TestClock.adjust("10 millis")
        control.gate.openUnsafe()
        yield* Fiber.join(runs)
        yield* settle
        control.transactions.length = 0
      })
      yield* busy
      yield* Fiber.join(yield* startAll(1))
      assert.deepStrictEqual(control.transactions, [2])

      control.isShared = true
      yield* busy
      const some = yield* startAll(5)
      yield* settle
      assert.deepStrictEqual(control.transactions, [])
      // three quarters of what was carried out before
      const one = yield* startAll(1)
      yield* Fiber.join(some)
      yield* Fiber.join(one)
      assert.deepStrictEqual(control.transactions, [12])

      yield* busy
      const few = yield* startAll(2)
      yield* settle
      yield* TestClock.adjust("9 millis")
      yield* settle
      assert.deepStrictEqual(control.transactions, [])
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(few)
      assert.deepStrictEqual(control.transactions, [4])
      // little was carried out that time
      yield* Fiber.join(yield* startAll(1))
      assert.deepStrictEqual(control.transactions, [4, 2])

      control.fuse = () => transient
      yield* Effect.exit(busy)
      control.fuse = () => undefined
      // nothing was
      yield* Fiber.join(yield* startAll(1))
      assert.strictEqual(control.transactions.at(-1), 2)
    })
  )

  it.effect("decides by the time that it is when the rows were long in coming", () =>
    Effect.gen(function* () {
      for (const { held, late } of [
        { held: 10_000, late: 0 },
        { held: 10_001, late: 10_001 }
      ]) {
        const { control, engine } = yield* makeBench()
        const began = yield* engine.now
        control.gate.closeUnsafe()
        const starting = yield* Effect.forkChild(start({ engine }))
        yield* settle
        yield* TestClock.adjust(held)
        control.gate.openUnsafe()
        const { runId } = yield* Fiber.join(starting)
        assert.strictEqual((yield* engine.getRun("default", runId)).createdAt - began, late)
        // what was decided first has changed nothing
        assert.deepStrictEqual(control.transactions, late === 0 ? [2] : [0, 2])
      }
    })
  )

  it.effect("waits for no more than go into a transaction", () =>
    Effect.gen(function* () {
      const bench = yield* makeBench({ maximumBatch: 8 })
      const { control } = bench
      control.isShared = true
      control.gate.closeUnsafe()
      const startAll = (count: number) =>
        Effect.forkChild(Effect.forEach(Array(count).keys(), () => start(bench), { concurrency: "unbounded" }))
      const runs = yield* startAll(16)
      yield* settle
      yield* TestClock.adjust("10 millis")
      control.gate.openUnsafe()
      yield* Fiber.join(runs)
      assert.deepStrictEqual(control.transactions, [16, 16])
    })
  )

  it.effect("makes one run of racing starts and tells all of them its id", () =>
    Effect.gen(function* () {
      const bench = yield* makeBench()
      const replies = yield* Effect.forEach(Array(40).keys(), () => start(bench, { externalId: "a" }), {
        concurrency: "unbounded"
      })
      assert.strictEqual(new Set(replies.map(({ runId }) => runId)).size, 1)
      assert.strictEqual(replies.filter(({ alreadyExists }) => !alreadyExists).length, 1)
    })
  )

  it.effect("keeps the number of commands in a transaction within its bound", () =>
    Effect.gen(function* () {
      const bench = yield* makeBench({ maximumBatch: 10 })
      bench.control.gate.closeUnsafe()
      const all = yield* Effect.forkChild(
        Effect.forEach(Array(25).keys(), () => start(bench), { concurrency: "unbounded" })
      )
      yield* settle
      bench.control.gate.openUnsafe()
      yield* Fiber.join(all)
      assert.isAtMost(Math.max(...bench.control.transactions), 20)
      assert.strictEqual(
        bench.control.transactions.reduce((sum, written) => sum + written, 0),
        50
      )
    })
  )

  it.effect("answers Unavailable while the store is not available, and writes nothing", () =>
    Effect.gen(function* () {
      const bench = yield* makeBench()
      bench.control.fuse = () => transient
      const failures = yield* Effect.forEach(["a", "b"], (externalId) => Effect.flip(start(bench, { externalId })), {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(
        failures.map(({ _tag }) => _tag),
        ["Unavailable", "Unavailable"]
      )
      bench.control.fuse = () => undefined
      assert.isFalse((yield* start(bench, { externalId: "a" })).alreadyExists)
    })
  )

  it.effect("does not let a command that the store can't take fail those beside it", () =>
    Effect.gen(function* () {
      const bench = yield* makeBench()
      bench.control.fuse = ({ insertRuns }) =>
        insertRuns.some(({ externalId }) => externalId === "poison") ? permanent : undefined
      bench.control.gate.closeUnsafe()
      const all = yield* Effect.forkChild(
        Effect.forEach(["a", "poison", "b"], (externalId) => Effect.exit(start(bench, { externalId })), {
          concurrency: "unbounded"
        })
      )
      yield* settle
      bench.control.gate.openUnsafe()
      const exits = yield* Fiber.join(all)
      assert.deepStrictEqual(
        exits.map(({ _tag }) => _tag),
        ["Success", "Failure", "Success"]
      )
      const failure = yield* Effect.flip(start(bench, { externalId: "poison" }))
      assert.strictEqual(failure._tag, "Internal")
      assert.notInclude(failure.message, "table")
      assert.strictEqual((yield* start(bench, { externalId: "b" })).alreadyExists, true)
    })
  )

  it.effect("applies a command whose caller is interrupted", () =>
    Effect.gen(function* () {
      const bench = yield* makeBench()
      bench.control.gate.closeUnsafe()
      const caller = yield* Effect.forkChild(start(bench, { externalId: "a" }))
      yield* settle
      yield* Fiber.interrupt(caller)
      bench.control.gate.openUnsafe()
      assert.isTrue((yield* start(bench, { externalId: "a" })).alreadyExists)
    })
  )

  it.effect("commits what was submitted before it stops, and refuses what comes later", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const bench = yield* Scope.provide(makeBench(), scope)
      bench.control.gate.closeUnsafe()
      const first = yield* Effect.forkChild(start(bench))
      yield* settle
      const second = yield* Effect.forkChild(start(bench))
      yield* settle
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* settle
      bench.control.gate.openUnsafe()
      yield* Fiber.join(closing)
      assert.isFalse((yield* Fiber.join(first)).alreadyExists)
      assert.isFalse((yield* Fiber.join(second)).alreadyExists)
      const refused = yield* Effect.flip(start(bench))
      assert.strictEqual(refused._tag, "Unavailable")
    })
  )

  it.effect("makes the namespace default at its start", () =>
    Effect.gen(function* () {
      const { engine } = yield* makeBench()
      assert.isTrue((yield* engine.getNamespace("default")).enabled)
      assert.strictEqual((yield* Effect.flip(engine.getNamespace("other")))._tag, "NotFound")
    })
  )
})
