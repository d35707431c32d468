import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect } from "effect"
import { Step, Workflow } from "../../src/index.ts"
import * as Failure from "../../src/worker/Failure.ts"
import { client, withWorker } from "../support/harness.ts"

const oddities: ReadonlyArray<unknown> = [
  Object.create(null),
  Symbol("odd"),
  Object.assign(new Error("text"), { message: { not: "text" } }),
  { _tag: Object.create(null) },
  undefined
]

describe("whatever is thrown", () => {
  it("has a record made of text", () => {
    for (const oddity of oddities) {
      const detail = Failure.fromCause(Cause.die(oddity))
      assert.strictEqual(detail.code, "Internal")
      assert.isString(detail.message)
      for (const value of Object.values(detail.metadata)) assert.isString(value)
    }
  })

  it.live("in a step or in a body ends the run", () =>
    Effect.gen(function* () {
      const Odd = Workflow.make("odd", { taskQueue: "odd" })
      const retry = { maximumAttempts: 1, nonRetryableErrors: [] }
      for (const oddity of oddities) {
        for (const body of [Effect.die(oddity), Step.run("throwing", Effect.die(oddity), { retry })]) {
          const result = Odd.execute(undefined)
          const error = yield* Effect.flip(withWorker(Odd.implement(() => body))(result))
          assert.strictEqual(error._tag, "WorkflowFailed")
        }
      }
    }).pipe(Effect.provide(client))
  )
})
