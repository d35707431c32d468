import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Schema } from "effect"
import * as KagziError from "../../src/KagziError.ts"
import * as RetryPolicy from "../../src/RetryPolicy.ts"
import * as Step from "../../src/Step.ts"
import { tagMark } from "../../src/marks.ts"
import { defectMark } from "../../src/worker/Failure.ts"
import { valueMark } from "../../src/worker/TypedFailure.ts"
import type { WorkflowRun } from "../../src/worker/WorkflowRun.ts"
import { makeRun, text } from "./support.ts"

class Declined extends Schema.TaggedError<Declined>()("Declined", { reason: Schema.String, at: Schema.Date }) {}

const declined = new Declined({ reason: "expired", at: new Date(0) })

/** Executes a body of one step, and gives what the body sees and what the step records. */
const execute = <A, E>(body: Effect.Effect<A, E, WorkflowRun>) =>
  Effect.gen(function* () {
    const run = makeRun()
    const exit = yield* Effect.exit(Effect.provide(body, run.layer))
    const recorded = yield* Effect.forEach(run.steps, (spec) => Effect.exit(spec.execute))
    return { exit, recorded, ...run }
  })

const failureOf = (exit: Exit.Exit<unknown, unknown> | undefined): unknown => {
  assert.isDefined(exit)
  assert.isTrue(Exit.isFailure(exit))
  return Exit.isFailure(exit)
    ? Cause.findErrorOption(exit.cause).pipe((o) => (o._tag === "Some" ? o.value : undefined))
    : 0
}

const defectOf = (exit: Exit.Exit<unknown, unknown>): KagziError.KagziError => {
  const reason = Exit.isFailure(exit) ? exit.cause.reasons[0] : undefined
  assert.isTrue(reason !== undefined && Cause.isDieReason(reason))
  const defect = reason !== undefined && Cause.isDieReason(reason) ? reason.defect : undefined
  assert.isTrue(KagziError.isKagziError(defect))
  return defect as KagziError.KagziError
}

describe("the result of a step", () => {
  it.effect("is what was recorded, not what the effect gave", () =>
    Effect.gen(function* () {
      const given = { a: 1, b: undefined as never }
      const { exit } = yield* execute(Step.run("a", Effect.succeed(given as { readonly a: number })))
      assert.deepStrictEqual(exit, Exit.succeed({ a: 1 }))
      assert.isFalse(Exit.isSuccess(exit) && "b" in exit.value)
    })
  )

  it.effect("is recorded as its schema says", () =>
    Effect.gen(function* () {
      const { exit, recorded } = yield* execute(Step.run("a", Effect.succeed(new Date(0)), { output: Schema.Date }))
      assert.deepStrictEqual(exit, Exit.succeed(new Date(0)))
      assert.deepStrictEqual(Exit.map(recorded[0]!, text), Exit.succeed('"1970-01-01T00:00:00.000Z"'))
    })
  )

  it.effect("may be nothing", () =>
    Effect.gen(function* () {
      const { exit, recorded } = yield* execute(Step.run("a", Effect.void))
      assert.deepStrictEqual(exit, Exit.succeed(undefined))
      assert.deepStrictEqual(Exit.map(recorded[0]!, text), Exit.succeed("null"))
    })
  )

  it.effect("that JSON would change fails the step for good", () =>
    Effect.gen(function* () {
      const { exit, recorded } = yield* execute(Step.run("price", Effect.succeed({ price: Number.NaN })))
      const detail = failureOf(recorded[0]) as KagziError.Detail
      assert.strictEqual(detail.code, "InvalidArgument")
      assert.isTrue(detail.nonRetryable)
      assert.strictEqual(
        detail.message,
        'The result of step "price" does not survive JSON: NaN is not a JSON value at "price"'
      )
      assert.strictEqual(defectOf(exit).message, detail.message)
    })
  )

  it.effect("that does not fit its schema fails the step for good", () =>
    Effect.gen(function* () {
      const positive = Schema.Number.pipe(Schema.check(Schema.isGreaterThan(0)))
      const { exit, recorded } = yield* execute(Step.run("n", Effect.succeed(-1), { output: positive }))
      const detail = failureOf(recorded[0]) as KagziError.Detail
      assert.isTrue(detail.nonRetryable)
      assert.include(detail.message, 'The result of step "n" does not fit its `output` schema')
      assert.strictEqual(defectOf(exit)._tag, "InvalidArgument")
    })
  )
})

describe("the failure of a step", () => {
  it.effect("that is declared keeps its value and type, and may be retried", () =>
    Effect.gen(function* () {
      const { exit, recorded } = yield* execute(Step.run("a", Effect.fail(declined), { error: Declined }))
      const error = failureOf(exit)
      assert.isTrue(error instanceof Declined)
      assert.deepStrictEqual({ ...(error as Declined) }, { ...declined })
      const detail = failureOf(recorded[0]) as KagziError.Detail
      assert.isFalse(detail.nonRetryable)
      assert.strictEqual(detail.metadata[tagMark], "Declined")
      assert.strictEqual(
        detail.metadata[valueMark],
        '{"_tag":"Declined","reason":"expired","at":"1970-01-01T00:00:00.000Z"}'
      )
    })
  )

  it.effect("that is an error of Kagzi comes back whole", () =>
    Effect.gen(function* () {
      const error = KagziError.make("Unavailable", "busy", {
        retryAfter: "3 seconds",
        subject: "queue",
        subjectId: "q",
        metadata: { a: "b" },
        nonRetryable: true
      })
      const { exit } = yield* execute(Step.run("a", Effect.fail(error), { error: Declined }))
      assert.deepStrictEqual(KagziError.toDetail(failureOf(exit) as KagziError.KagziError), KagziError.toDetail(error))
    })
  )

  it.effect("that no schema takes fails it for good and is a defect of the body", () =>
    Effect.gen(function* () {
      const undeclared = Effect.fail(declined) as Effect.Effect<never>
      const { exit, recorded } = yield* execute(Step.run("a", undeclared))
      assert.isTrue((failureOf(recorded[0]) as KagziError.Detail).nonRetryable)
      assert.include(defectOf(exit).message, 'step "a" failed with something that its `error` schema does not take')
    })
  )

  it.effect("that was thrown stays a defect, also when it is an error of Kagzi", () =>
    Effect.gen(function* () {
      const { exit, recorded } = yield* execute(Step.run("a", Effect.die(KagziError.make("Unavailable", "bug"))))
      const detail = failureOf(recorded[0]) as KagziError.Detail
      assert.strictEqual(detail.metadata[defectMark], "true")
      assert.isFalse(detail.nonRetryable)
      assert.strictEqual(defectOf(exit)._tag, "Unavailable")
    })
  )
})

describe("a step that makes no sense", () => {
  it.effect.each([
    ["an empty name", Step.run("", Effect.void), 'Step "": a step needs a name'],
    [
      "an invalid policy",
      Step.run("a", Effect.void, { retry: RetryPolicy.make({ backoffCoefficient: 0.5 }) }),
      'Step "a": invalid retry policy: backoffCoefficient: must be 1 or more and finite'
    ],
    [
      "a negative timeout",
      Effect.ignore(Step.run("a", Effect.void, { timeout: "-1 second" })),
      'Step "a": timeout: a duration must be 0 or more'
    ],
    [
      "an input that JSON would change",
      Step.run("a", Effect.void, { input: { n: Number.NaN } }),
      'Step "a": its input does not survive JSON: NaN is not a JSON value at "n"'
    ]
  ] as const)("is a defect and does not begin: %s", ([, body, message]) =>
    Effect.gen(function* () {
      const { exit, steps } = yield* execute(body)
      const defect = defectOf(exit)
      assert.strictEqual(defect._tag, "InvalidArgument")
      assert.include(defect.message, message)
      assert.deepStrictEqual(steps, [])
    })
  )
})

describe("what a step is asked with", () => {
  it.effect("reaches the run, whichever way it is written", () =>
    Effect.gen(function* () {
      const options = { input: { n: 1 }, key: "k", timeout: "1 second", retry: RetryPolicy.none } as const
      const first = yield* execute(Step.run("a", Effect.succeed(1), options))
      const last = yield* execute(Effect.succeed(1).pipe(Step.run("a", options)))
      for (const { exit, steps } of [first, last]) {
        assert.deepStrictEqual(exit, Exit.succeed(1))
        const { input, key, name, retry } = steps[0]!
        assert.deepStrictEqual(
          { input: text(input), key, name, retry },
          { input: '{"n":1}', key: "k", name: "a", retry: RetryPolicy.none }
        )
      }
    })
  )
})

describe("Step.forEach", () => {
  it.effect("runs a step for each item, in a branch of its own, and keeps their order", () =>
    Effect.gen(function* () {
      const { branches, exit, steps } = yield* execute(
        Step.forEach("square", [3, 1, 2], (n) => Effect.as(Effect.yieldNow, n * n), {
          concurrency: "unbounded",
          input: (n) => ({ n })
        })
      )
      assert.deepStrictEqual(exit, Exit.succeed([9, 1, 4]))
      assert.deepStrictEqual(branches, ["Step.forEach/0", "Step.forEach/1", "Step.forEach/2"])
      assert.deepStrictEqual(
        steps.map(({ input, name }) => `${name} ${text(input)}`),
        ['square {"n":3}', 'square {"n":1}', 'square {"n":2}']
      )
    })
  )

  it.effect("knows its items by their keys", () =>
    Effect.gen(function* () {
      const { branches } = yield* execute(
        Step.forEach("a", ["x", "y"], (item) => Effect.succeed(item), { key: (item) => item })
      )
      assert.deepStrictEqual(branches, ["Step.forEach/x", "Step.forEach/y"])
    })
  )

  it.effect("refuses two items with the same key", () =>
    Effect.gen(function* () {
      const { exit, steps } = yield* execute(
        Step.forEach("a", ["x", "y", "x"], (item) => Effect.succeed(item), { key: (item) => item })
      )
      assert.strictEqual(
        defectOf(exit).message,
        'Step "a": two items have the key "x", and a key must be an item\'s own'
      )
      assert.deepStrictEqual(steps, [])
    })
  )
})
