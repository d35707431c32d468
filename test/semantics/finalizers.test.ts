import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Schema } from "effect"
import { KagziError, Step, Workflow } from "../../src/index.ts"
import { crashEverywhere, execute, client } from "../support/harness.ts"

const Guarded = Workflow.make("guarded", { taskQueue: "guarded", output: Schema.String })

describe("a durable wait", () => {
  it.live("runs no finalizer and no handler around it", () =>
    crashEverywhere(
      Guarded,
      (ledger) =>
        Guarded.implement(() =>
          Effect.acquireUseRelease(
            Step.run("acquire", ledger.note("acquire")),
            () =>
              Effect.gen(function* () {
                yield* Workflow.sleep("2 millis")
                return yield* Step.run("use", ledger.note("use"))
              }).pipe(
                Effect.catchCause(() => Step.run("recover", ledger.note("recover"))),
                Effect.onInterrupt(() => Effect.orDie(Step.run("interrupted", ledger.note("interrupted"))))
              ),
            () => Effect.orDie(Step.run("release", ledger.note("release")))
          )
        ),
      undefined,
      ({ exit, ledger, steps }) => {
        assert.deepStrictEqual(exit, Exit.succeed("use"))
        assert.deepStrictEqual([...new Set(ledger.entries)], ["acquire", "use", "release"])
        assert.deepStrictEqual(
          steps.map(({ name }) => name),
          ["acquire", "sleep", "use", "release"]
        )
      }
    )
  )

  it.live("keeps a body in place: what is around it runs once, when it is over", () =>
    Effect.gen(function* () {
      const seen: Array<string> = []
      const { exit } = yield* execute(
        Guarded,
        () =>
          Guarded.implement(() =>
            Effect.gen(function* () {
              seen.push("before")
              yield* Effect.ensuring(
                Workflow.sleep("5 millis"),
                Effect.sync(() => seen.push("ensured"))
              )
              seen.push("after")
              return "done"
            })
          ),
        undefined
      )
      assert.deepStrictEqual(exit, Exit.succeed("done"))
      assert.deepStrictEqual(seen, ["before", "ensured", "after"])
    }).pipe(Effect.provide(client))
  )

  it.live("keeps a saga's compensation for real failures", () =>
    crashEverywhere(
      Guarded,
      (ledger) =>
        Guarded.implement(() =>
          Effect.gen(function* () {
            const reservation = yield* Step.run("reserve", ledger.note("reserve"))
            yield* Workflow.sleep("2 millis")
            return yield* Step.run(
              "charge",
              Effect.andThen(ledger.note("charge"), Effect.fail(KagziError.nonRetryable("declined")))
            ).pipe(Effect.catch((error) => Step.run("release", ledger.note(`${error.message}: ${reservation} undone`))))
          })
        ),
      undefined,
      ({ exit, ledger }) => {
        assert.deepStrictEqual(exit, Exit.succeed("declined: reserve undone"))
        assert.deepStrictEqual([...new Set(ledger.entries)], ["reserve", "charge", "declined: reserve undone"])
      }
    )
  )
})
