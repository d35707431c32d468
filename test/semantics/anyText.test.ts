import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Schema } from "effect"
import { KagziError, Step, Workflow } from "../../src/index.ts"
import { client, crashEverywhere } from "../support/harness.ts"

const Odd = Workflow.make("odd", {
  taskQueue: "odd",
  input: Schema.Struct({}),
  output: Schema.Array(Schema.String)
})

// no database keeps all of them apart as they are
const names = ["\u0000", "a\u0000b", "half \ud83d", "half \ude00", "whole 😀"]

describe("a text that no database can store as it is", () => {
  it.live("names a step all the same, and each its own", () =>
    crashEverywhere(
      Odd,
      (ledger) => Odd.implement(() => Effect.forEach(names, (name) => Step.run(name, ledger.note(name)))),
      {},
      ({ exit, ledger }) => {
        assert.deepStrictEqual(exit, Exit.succeed(names))
        assert.isAtMost(ledger.entries.length, names.length + 1)
      }
    )
  )

  it.live("is the message of a failure all the same, and ends the run with it", () =>
    crashEverywhere(
      Odd,
      (ledger) =>
        Odd.implement(() =>
          Effect.andThen(
            ledger.note("fails"),
            Step.run(
              "fails",
              Effect.fail(
                KagziError.make("Conflict", "a\u0000b", { nonRetryable: true, metadata: { "c\u0000": "\u0000" } })
              )
            )
          )
        ),
      {},
      ({ exit }) => assert.include(JSON.stringify(exit), String.raw`"a\u0000b"`)
    )
  )

  it.live("is refused as the id of a run", () =>
    Effect.gen(function* () {
      for (const id of ["a\u0000b", "half \ud83d"]) {
        const error = yield* Effect.flip(Odd.start({}, { id }))
        assert.strictEqual(error._tag, "InvalidArgument")
        assert.include(error.message, "external_id")
      }
    }).pipe(Effect.provide(client))
  )
})
