/** Which trace a run belongs to, and what it is called by its caller. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger, References, Schema } from "effect"
import { KagziClient, Step, Workflow } from "../../src/index.ts"
import { nothing } from "../../src/Run.ts"
import * as TraceContext from "../../src/TraceContext.ts"
import { client, withWorker } from "../support/harness.ts"

const Inner = Workflow.make("inner", { taskQueue: "shared-trace" })
const Outer = Workflow.make("outer", { taskQueue: "shared-trace", output: Schema.String })

/** What log lines of runs carry, by their text. */
const listening = (heard: Map<string, Readonly<Record<string, unknown>>>) =>
  Layer.mergeAll(
    Layer.succeed(References.MinimumLogLevel, "Error"),
    Logger.layer([
      Logger.make(({ fiber, message }) => {
        heard.set(String(message), fiber.getRef(References.CurrentLogAnnotations))
      })
    ])
  )

describe("the trace of a run", () => {
  it.live("is that of the step that started it, and so is the id that its caller knows it by", () =>
    Effect.gen(function* () {
      const heard = new Map<string, Readonly<Record<string, unknown>>>()
      const context = yield* Effect.context<KagziClient>()
      const inner = Inner.implement(() => Effect.logError("inner"))
      const outer = Outer.implement(() =>
        Effect.andThen(
          Effect.logError("outer"),
          Step.run(
            "start inner",
            Effect.map(Effect.provideContext(Inner.start(undefined), context), ({ runId }) => runId)
          )
        )
      )
      const handle = yield* Outer.start(undefined).pipe(Effect.annotateLogs({ correlation_id: "order-7" }))
      const runId = yield* withWorker(outer)(handle.result).pipe(Effect.provide(listening(heard)))
      const child = yield* Inner.handle(runId)
      yield* withWorker(inner)(child.result).pipe(Effect.provide(listening(heard)))
      assert.strictEqual(heard.get("outer")?.correlation_id, "order-7")
      assert.strictEqual(heard.get("outer")?.run_id, handle.runId)
      assert.strictEqual(heard.get("inner")?.run_id, runId)
      assert.strictEqual(heard.get("inner")?.correlation_id, "order-7")
      assert.match(String(heard.get("outer")?.trace_id), /^[0-9a-f]{32}$/)
      assert.strictEqual(heard.get("inner")?.trace_id, heard.get("outer")?.trace_id)
    }).pipe(Effect.provide(client))
  )

  it.live("is kept with the run, and is that of its retry", () =>
    Effect.gen(function* () {
      const { protocol } = yield* KagziClient
      const traceId = yield* Effect.gen(function* () {
        const handle = yield* Inner.start(undefined, { id: "kept" })
        yield* handle.cancel
        return (yield* Effect.currentSpan).traceId
      }).pipe(Effect.withSpan("caller"))
      const kept = yield* protocol.getRunByExternalId("default", "kept")
      assert.strictEqual(TraceContext.ofRun(kept).traceId, traceId)
      const again = yield* protocol.getRun("default", yield* protocol.retryRun("default", kept.runId))
      assert.strictEqual(TraceContext.ofRun(again).traceId, traceId)
    }).pipe(Effect.provide(client))
  )

  it("is made from its id where the start named none, the same for every worker", () => {
    const runId = "0190abc1-2345-7789-abcd-ef0123456789"
    const root = TraceContext.ofRun({ runId, input: nothing })
    assert.deepInclude(root, { traceId: "0190abc123457789abcdef0123456789", spanId: "abcdef0123456789", sampled: true })
    assert.isDefined(TraceContext.parse(TraceContext.format(root)))
    const broken = { ...nothing, metadata: { traceparent: "nonsense" } }
    assert.deepStrictEqual(TraceContext.ofRun({ runId, input: broken }), root)
    assert.strictEqual(TraceContext.correlationOf({ runId, input: nothing }), runId)
  })

  it.effect("that an input says already stays", () =>
    Effect.gen(function* () {
      const given = { ...nothing, metadata: { traceparent: "mine", "kagzi.correlation_id": "mine", other: "1" } }
      assert.deepStrictEqual(yield* TraceContext.stamped(given), given)
    }).pipe(Effect.annotateLogs({ correlation_id: "theirs" }), Effect.withSpan("caller"))
  )
})
