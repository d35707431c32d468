import { assert, describe, it } from "@effect/vitest"
import { Cause, DateTime, Effect, Exit, Fiber, Result } from "effect"
import { TestClock } from "effect/testing"
import * as KagziError from "../../src/KagziError.ts"
import * as Workflow from "../../src/Workflow.ts"
import { makeRun } from "./support.ts"

describe("branches", () => {
  it.effect("of Workflow.all are known by place or name", () =>
    Effect.gen(function* () {
      const { branches, layer } = makeRun()
      const both = yield* Effect.provide(Workflow.all([Effect.succeed(1), Effect.succeed("b")]), layer)
      assert.deepStrictEqual(both, [1, "b"])
      const named = yield* Effect.provide(
        Workflow.all({ x: Effect.succeed(1), y: Effect.fail("no") }, { mode: "result", concurrency: "unbounded" }),
        layer
      )
      assert.deepStrictEqual(named, { x: Result.succeed(1), y: Result.fail("no") })
      const set = yield* Effect.provide(Workflow.all(new Set([Effect.succeed(1)]), { discard: true }), layer)
      assert.isUndefined(set)
      assert.deepStrictEqual(branches, [
        "Workflow.all/0",
        "Workflow.all/1",
        "Workflow.all/x",
        "Workflow.all/y",
        "Workflow.all/0"
      ])
    })
  )

  it.effect("of Workflow.forEach are known by place or key", () =>
    Effect.gen(function* () {
      const { branches, layer } = makeRun()
      const each = Workflow.forEach(["a", "b"], (item, index) => Effect.succeed(`${item}${index}`))
      assert.deepStrictEqual(yield* Effect.provide(each, layer), ["a0", "b1"])
      const keyed = Workflow.forEach(["a", "b"], Effect.succeed, { key: (item) => item, concurrency: 2 })
      assert.deepStrictEqual(yield* Effect.provide(keyed, layer), ["a", "b"])
      assert.deepStrictEqual(branches, [
        "Workflow.forEach/0",
        "Workflow.forEach/1",
        "Workflow.forEach/a",
        "Workflow.forEach/b"
      ])
    })
  )

  it.effect("of Workflow.forEach with the same key are a defect, and none is run", () =>
    Effect.gen(function* () {
      const { layer } = makeRun()
      let ran = 0
      const same = Workflow.forEach([1, 2], () => Effect.sync(() => ran++), { key: () => "k" })
      const exit = yield* Effect.exit(Effect.provide(same, layer))
      assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
      assert.strictEqual(ran, 0)
    })
  )
})

describe("Workflow.race", () => {
  it.effect("takes the first success and interrupts the others", () =>
    Effect.gen(function* () {
      const { branches, layer } = makeRun()
      let interrupted = false
      const never = Effect.onInterrupt(Effect.never, () =>
        Effect.sync(() => {
          interrupted = true
        })
      )
      const race = Workflow.race(Effect.fail("no"), never, Effect.as(Effect.yieldNow, "yes"))
      assert.strictEqual(yield* Effect.provide(race, layer), "yes")
      assert.isTrue(interrupted)
      assert.deepStrictEqual(branches, ["Workflow.race/0", "Workflow.race/1", "Workflow.race/2"])
    })
  )

  it.effect("fails when all have failed", () =>
    Effect.gen(function* () {
      const { layer } = makeRun()
      const exit = yield* Effect.exit(Effect.provide(Workflow.race(Effect.fail("a"), Effect.fail("b")), layer))
      assert.isTrue(Exit.isFailure(exit) && Cause.hasFails(exit.cause))
    })
  )
})

describe("Workflow.timeout", () => {
  it.effect("fails with Timeout when its durable timer ends first", () =>
    Effect.gen(function* () {
      const { branches, layer, sleeps } = makeRun()
      const fiber = yield* Effect.forkChild(
        Effect.flip(Effect.provide(Workflow.timeout(Effect.never, "1 hour"), layer))
      )
      yield* TestClock.adjust("1 hour")
      const error = yield* Fiber.join(fiber)
      assert.isTrue(error instanceof KagziError.Timeout)
      assert.strictEqual(error.message, "Not done after 1h")
      assert.deepStrictEqual(sleeps, ["timeout:3600000"])
      assert.deepStrictEqual(branches, ["Workflow.timeout/effect", "Workflow.timeout/timeout"])
    })
  )

  it.effect("gives what the effect gives, be it a result or a failure", () =>
    Effect.gen(function* () {
      const { layer } = makeRun()
      assert.strictEqual(yield* Effect.succeed(1).pipe(Workflow.timeout("1 hour"), Effect.provide(layer)), 1)
      const failing = Effect.provide(Workflow.timeout(Effect.fail("no"), "1 hour"), layer)
      assert.strictEqual(yield* Effect.flip(failing), "no")
    })
  )
})

describe("Workflow.sleep", () => {
  it.effect("takes a duration or a point in time, with or without a name", () =>
    Effect.gen(function* () {
      const { layer, sleeps } = makeRun()
      const body = Effect.gen(function* () {
        yield* Workflow.sleep(0)
        yield* Workflow.sleep("short", "0 millis")
        yield* Workflow.sleepUntil(new Date(5))
        yield* Workflow.sleepUntil("then", DateTime.makeUnsafe(6))
      })
      yield* Effect.provide(body, layer)
      assert.deepStrictEqual(sleeps, [":0", "short:0", ":until 5", "then:until 6"])
    })
  )

  it.effect.each([
    ["a negative duration", Workflow.sleep(-1), "Workflow.sleep: a duration must be 0 or more"],
    ["an endless duration", Workflow.sleep("Infinity"), "Workflow.sleep: a duration must be at most 10 years"],
    ["eleven years", Workflow.sleep("4015 days"), "Workflow.sleep: a duration must be at most 10 years"],
    ["no duration", Workflow.sleep("soon" as "1 hour"), 'Workflow.sleep: "soon" is not a duration'],
    ["no number", Workflow.sleep(Number.NaN), "Workflow.sleep: null is not a duration"],
    ["no date", Workflow.sleepUntil(new Date("soon")), "Workflow.sleepUntil: this is not a point in time"],
    [
      "an endless timeout",
      Effect.ignore(Workflow.timeout(Effect.void, "Infinity")),
      "Workflow.timeout: a duration must be"
    ]
  ] as const)("refuses %s with a defect", ([, body, message]) =>
    Effect.gen(function* () {
      const { layer, sleeps } = makeRun()
      const exit = yield* Effect.exit(Effect.provide(body, layer))
      const reason = Exit.isFailure(exit) ? exit.cause.reasons[0] : undefined
      assert.isTrue(reason !== undefined && Cause.isDieReason(reason))
      const defect = (reason as Cause.Die).defect as KagziError.KagziError
      assert.strictEqual(defect._tag, "InvalidArgument")
      assert.include(defect.message, message)
      assert.deepStrictEqual(sleeps, [])
    })
  )
})
