import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Schema } from "effect"
import { KagziError, RetryPolicy, Step, Workflow } from "../../src/index.ts"
import { client, crashEverywhere, Ledger, withWorker } from "../support/harness.ts"

const Flaky = Workflow.make("flaky", { taskQueue: "flaky", output: Schema.Array(Schema.String) })

const quick = RetryPolicy.exponential({ maximumAttempts: 3, initialInterval: "1 millis" })

describe("a failed attempt of a step", () => {
  it.live("is repeated as its policy says, while other branches work", () =>
    crashEverywhere(
      Flaky,
      (ledger) =>
        Flaky.implement(() =>
          Workflow.all(
            [
              Step.run(
                "flaky",
                Effect.flatMap(Step.info, ({ attempt, idempotencyKey }) =>
                  attempt < 3
                    ? Effect.fail(KagziError.make("Unavailable", `attempt ${attempt}`))
                    : Effect.as(ledger.note("flaky"), idempotencyKey.split("/")[1] ?? "")
                ),
                { retry: quick }
              ),
              Step.run("steady", ledger.note("steady"))
            ],
            { concurrency: "unbounded" }
          )
        ),
      undefined,
      ({ exit, steps }) => {
        assert.deepStrictEqual(exit, Exit.succeed(["flaky@1.0", "steady"]))
        assert.deepStrictEqual(
          steps.filter(({ name }) => name.startsWith("flaky")).map(({ attempt, status }) => `${attempt} ${status}`),
          ["1 FAILED", "2 FAILED", "3 COMPLETED"]
        )
      }
    )
  )

  it.live("is not repeated when the error, its code or its tag says so", () =>
    Effect.gen(function* () {
      class Declined extends Schema.TaggedError<Declined>()("Declined", {}) {}
      const ledger = new Ledger()
      const told = <E extends { readonly message: string }>(name: string) =>
        Effect.catch((error: E) => Effect.succeed(`${name}: ${error.message}`))
      const implementation = Flaky.implement(
        Effect.fn(function* () {
          const failing = <E>(error: E) => Effect.andThen(ledger.note("attempt"), Effect.fail(error))
          return [
            yield* Step.run("a", failing(KagziError.nonRetryable("final")), { retry: quick }).pipe(told("a")),
            yield* Step.run("b", failing(KagziError.make("InvalidArgument", "wrong")), { retry: quick }).pipe(
              told("b")
            ),
            yield* Step.run("c", failing(KagziError.make("Unavailable", "closed")), {
              retry: { ...quick, nonRetryableErrors: ["Unavailable"] }
            }).pipe(told("c")),
            yield* Step.run("d", failing(new Declined()), {
              error: Declined,
              retry: { ...quick, nonRetryableErrors: ["Declined"] }
            }).pipe(Effect.catchTag("Declined", () => Effect.succeed("d: declined")))
          ]
        })
      )
      assert.deepStrictEqual(yield* withWorker(implementation)(Flaky.execute(undefined)), [
        "a: final",
        "b: wrong",
        "c: closed",
        "d: declined"
      ])
      assert.strictEqual(ledger.entries.length, 4)
    }).pipe(Effect.provide(client))
  )

  it.live("that takes longer than its timeout fails as Timeout and is repeated", () =>
    Effect.gen(function* () {
      const ledger = new Ledger()
      const implementation = Flaky.implement(() =>
        Effect.map(
          Step.run(
            "slow",
            Effect.flatMap(Step.info, ({ attempt }) =>
              attempt === 1 ? Effect.never : Effect.as(ledger.note("second"), `attempt ${attempt}`)
            ),
            { timeout: "10 millis", retry: quick }
          ),
          (value) => [value]
        )
      )
      const handle = yield* Flaky.start(undefined)
      assert.deepStrictEqual(yield* withWorker(implementation)(handle.result), ["attempt 2"])
      const [first] = yield* handle.steps
      assert.strictEqual(first?.error?._tag, "Timeout")
    }).pipe(Effect.provide(client))
  )
})
