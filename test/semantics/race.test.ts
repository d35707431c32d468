import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Schema } from "effect"
import { Step, Workflow } from "../../src/index.ts"
import { crashEverywhere } from "../support/harness.ts"

const Race = Workflow.make("race", { taskQueue: "race", output: Schema.String })

describe("a race", () => {
  it.live("is won by the step that ends first, and the loser's timer is dropped", () =>
    crashEverywhere(
      Race,
      (ledger) =>
        Race.implement(
          Effect.fn(function* () {
            const winner = yield* Workflow.race(
              Step.run("quick", ledger.note("quick")),
              Effect.as(Workflow.sleep("a long time", "3 hours"), "slept")
            )
            // the loser's three hours must not be what the run wakes for
            yield* Workflow.sleep("2 millis")
            return `${winner}, ${yield* Step.run("after", ledger.note("after"))}`
          })
        ),
      undefined,
      ({ exit, steps }) => {
        assert.deepStrictEqual(exit, Exit.succeed("quick, after"))
        const loser = steps.find(({ name }) => name.startsWith("a long time"))
        assert.notStrictEqual(loser?.status, "RUNNING")
      }
    )
  )

  it.live("has the same winner on replay although the loser also ended", () =>
    crashEverywhere(
      Race,
      (ledger) =>
        Race.implement(
          Effect.fn(function* () {
            const branch = (name: string) =>
              Effect.gen(function* () {
                yield* Step.run("first", ledger.note(`${name} first`))
                return yield* Step.run("second", Effect.as(ledger.note(`${name} second`), name))
              })
            const winner = yield* Workflow.race(branch("a"), branch("b"))
            const seen = yield* Step.run("seen", ledger.note(winner))
            yield* Workflow.sleep("2 millis")
            return seen === winner ? "same" : `${seen} at first, then ${winner}`
          })
        ),
      undefined,
      ({ exit }) => assert.deepStrictEqual(exit, Exit.succeed("same"))
    )
  )
})

describe("a timeout", () => {
  it.live("interrupts the step that takes too long, and stays a timeout on replay", () =>
    crashEverywhere(
      Race,
      (ledger) =>
        Race.implement(
          Effect.fn(function* () {
            const outcome = yield* Workflow.timeout(
              Step.run("slow", Effect.as(Effect.never, "done")),
              "10 millis"
            ).pipe(Effect.catchTag("Timeout", () => Effect.succeed("too late")))
            yield* Workflow.sleep("2 millis")
            return yield* Step.run("after", ledger.note(outcome))
          })
        ),
      undefined,
      ({ exit, ledger }) => {
        assert.deepStrictEqual(exit, Exit.succeed("too late"))
        assert.deepStrictEqual([...new Set(ledger.entries)], ["too late"])
      }
    )
  )

  it.live("that is not reached leaves no timer behind", () =>
    crashEverywhere(
      Race,
      (ledger) =>
        Race.implement(
          Effect.fn(function* () {
            const outcome = yield* Workflow.timeout(Step.run("quick", ledger.note("quick")), "1 hour")
            yield* Workflow.sleep("2 millis")
            return outcome
          })
        ),
      undefined,
      ({ exit, steps }) => {
        assert.deepStrictEqual(exit, Exit.succeed("quick"))
        assert.isFalse(steps.some(({ status }) => status === "RUNNING" || status === "PENDING"))
      }
    )
  )
})
