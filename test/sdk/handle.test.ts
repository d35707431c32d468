import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import * as KagziError from "../../src/KagziError.ts"
import type { Run } from "../../src/Run.ts"
import * as Workflow from "../../src/Workflow.ts"
import * as TypedFailure from "../../src/worker/TypedFailure.ts"
import { client, detail, payload, run } from "./support.ts"

class Declined extends Schema.TaggedError<Declined>()("Declined", { reason: Schema.String }) {}

const Order = Workflow.make("order", { output: Schema.Date, error: Declined })

const result = (ended: Run) =>
  Effect.provide(
    Effect.flatMap(Order.handle("run"), (handle) => handle.result),
    client({ awaitRun: () => Effect.succeed(ended) })
  )

describe("the result of a run", () => {
  it.effect("is its output", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* result(run({ output: payload("1970-01-01T00:00:00.000Z") })), new Date(0))
    })
  )

  it.effect("is an Internal error that names the run when the output does not fit the schema", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(result(run({ output: payload("soon") })))
      assert.isTrue(error instanceof KagziError.Internal)
      assert.include(error.message, 'The result of run run does not fit the `output` schema of workflow "order"')
    })
  )

  it.effect("is the declared failure itself", () =>
    Effect.gen(function* () {
      const declined = new Declined({ reason: "expired" })
      const recorded = yield* TypedFailure.encode(declined, { schema: Declined, final: true, subject: "" })
      const error = yield* Effect.flip(result(run({ status: "FAILED", error: recorded })))
      assert.isTrue(error instanceof Declined)
      assert.strictEqual(error instanceof Declined && error.reason, "expired")
    })
  )

  it.effect("is an Internal error when the recorded failure does not fit the schema any more", () =>
    Effect.gen(function* () {
      const Before = Schema.Struct({ _tag: Schema.tag("Declined"), code: Schema.Number })
      const recorded = yield* TypedFailure.encode(
        { _tag: "Declined", code: 1 },
        { schema: Before, final: true, subject: "" }
      )
      const error = yield* Effect.flip(result(run({ status: "FAILED", error: recorded })))
      assert.isTrue(error instanceof KagziError.Internal)
      assert.include(error.message, "The recorded failure of run run does not fit its `error` schema")
    })
  )

  it.effect("is WorkflowFailed around any other failure", () =>
    Effect.gen(function* () {
      const inside = KagziError.make("Unavailable", "busy", { metadata: { a: "b" } })
      const error = yield* Effect.flip(result(run({ status: "FAILED", error: detail(inside) })))
      assert.isTrue(error instanceof Workflow.WorkflowFailed)
      if (!(error instanceof Workflow.WorkflowFailed)) return
      assert.strictEqual(error.runId, "run")
      assert.strictEqual(error.message, "Workflow run failed: busy")
      assert.deepStrictEqual(detail(error.error), detail(inside))
    })
  )

  it.effect("is WorkflowCancelled or WorkflowTerminated when someone ended it", () =>
    Effect.gen(function* () {
      const cancelled = yield* Effect.flip(result(run({ status: "CANCELLED" })))
      assert.isTrue(cancelled instanceof Workflow.WorkflowCancelled)
      const reason = KagziError.make("PreconditionFailed", "no longer wanted", {
        metadata: { "kagzi.terminated": "true" }
      })
      const terminated = yield* Effect.flip(result(run({ status: "FAILED", error: detail(reason) })))
      assert.isTrue(terminated instanceof Workflow.WorkflowTerminated)
      assert.strictEqual(terminated instanceof Workflow.WorkflowTerminated && terminated.reason, "no longer wanted")
    })
  )

  it.effect("is refused when the run is of another workflow", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(result(run({ workflowType: "other" })))
      assert.isTrue(error instanceof KagziError.InvalidArgument)
      assert.strictEqual(error.message, 'Run run is of workflow "other", not of "order"')
    })
  )
})

describe("a handle", () => {
  it.effect("is found by the caller's own id", () =>
    Effect.gen(function* () {
      const server = client({ getRunByExternalId: (_, id) => Effect.succeed(run({ runId: `run of ${id}` })) })
      const handle = yield* Effect.provide(Order.byId("mine"), server)
      assert.strictEqual(handle.runId, "run of mine")
      assert.isTrue(handle.alreadyExists)
    })
  )

  it.effect("describes the run in values, dates and errors", () =>
    Effect.gen(function* () {
      const server = client({
        getRun: () =>
          Effect.succeed(run({ status: "SLEEPING", input: payload({ a: 1 }), createdAt: 1_000, wakeUpAt: 2_000 }))
      })
      const described = yield* Effect.provide(
        Effect.flatMap(Order.handle("run"), (handle) => handle.describe),
        server
      )
      assert.deepStrictEqual(described.input, { a: 1 })
      assert.deepStrictEqual(described.createdAt, new Date(1_000))
      assert.deepStrictEqual(described.wakeUpAt, new Date(2_000))
      assert.isUndefined(described.output)
    })
  )
})
