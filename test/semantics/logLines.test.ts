/** What log lines of bodies and steps say, and how often. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger, References } from "effect"
import { KagziClient, Step, Workflow } from "../../src/index.ts"
import * as Unary from "../../src/protocol/unary.ts"
import * as InProcess from "../../src/server/inProcess.ts"
import { KagziServer } from "../../src/server/index.ts"
import { withWorker } from "../support/harness.ts"
import * as Stores from "../support/stores.ts"

/** A server and a client whose log lines are kept, in each format. */
const logging = (lines: Array<{ readonly json: string; readonly logfmt: string }>) =>
  KagziClient.layerProtocol.pipe(
    Layer.provideMerge(Unary.layer),
    Layer.provide(InProcess.layer),
    Layer.provide(
      KagziServer.layerEngine({
        store: Stores.serverStore,
        heartbeatInterval: "30 minutes",
        lease: "2 hours",
        staleAfter: "1 hour"
      })
    ),
    Layer.provideMerge(Layer.succeed(References.MinimumLogLevel, "Debug")),
    Layer.provideMerge(
      Logger.layer([
        Logger.make((options) => {
          lines.push({ json: Logger.formatJson.log(options), logfmt: Logger.formatLogFmt.log(options) })
        })
      ])
    ),
    Layer.orDie,
    Layer.fresh
  )

const Validated = Workflow.make("process-order", { taskQueue: "orders" })

const ValidatedLive = Validated.implement(() =>
  Effect.gen(function* () {
    yield* Effect.logInfo("Order received")
    yield* Step.run("validate-order", Effect.logInfo("Validating"))
    yield* Workflow.sleep("20 millis")
    yield* Effect.logInfo("Order due")
    yield* Workflow.all({
      a: Effect.andThen(Effect.logInfo("In a branch"), Step.run("notify", Effect.void)),
      b: Effect.andThen(Effect.logInfo("In a branch without steps"), Effect.void)
    })
    yield* Effect.logInfo("Order notified")
    yield* Workflow.sleep("30 millis")
    yield* Effect.logInfo("Order done")
  }).pipe(Effect.annotateLogs({ customer: "c-7" }))
)

const uuid = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"

describe("log lines", () => {
  for (const cached of [1_000, 0]) {
    it.live(`are complete, and said once, with ${cached === 0 ? "bodies replayed" : "bodies kept"}`, () =>
      Effect.gen(function* () {
        const lines: Array<{ readonly json: string; readonly logfmt: string }> = []
        const runId = yield* Effect.gen(function* () {
          const handle = yield* Validated.start(undefined).pipe(
            Effect.annotateLogs({ correlation_id: "0190abc1-2345-6789-abcd-ef0123456789" }),
            Effect.withSpan("caller")
          )
          yield* withWorker(ValidatedLive, { cached })(handle.result)
          return handle.runId
        }).pipe(Effect.provide(logging(lines)))

        const said = (text: string) =>
          lines.map(({ json }) => JSON.parse(json)).filter(({ message }) => message === text)
        const messages = [
          "Order received",
          "Validating",
          "Order due",
          "In a branch",
          "In a branch without steps",
          "Order notified",
          "Order done"
        ]
        for (const message of messages) assert.strictEqual(said(message).length, 1, message)

        const [validating] = said("Validating")
        const { trace_id: traceId } = validating.annotations
        assert.match(traceId, /^[0-9a-f]{32}$/)
        const ofRun = {
          correlation_id: "0190abc1-2345-6789-abcd-ef0123456789",
          trace_id: traceId,
          run_id: runId,
          workflow_type: "process-order",
          namespace: "default",
          customer: "c-7"
        }
        assert.deepStrictEqual(validating.annotations, { ...ofRun, step: "validate-order", attempt: 1 })
        assert.deepStrictEqual(said("Order due")[0].annotations, ofRun)
        // The clock of a body stands still; its log lines have the time at which they were said.
        assert.isAtMost(Math.abs(Date.parse(said("Order done")[0].timestamp) - Date.now()), 60_000)

        const executing = lines.map(({ logfmt }) => logfmt).find((line) => line.includes("Executing step"))
        assert.match(
          executing!,
          new RegExp(
            "^timestamp=\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z level=DEBUG fiber=#\\d+ " +
              `message="Executing step" correlation_id=${uuid} trace_id=[0-9a-f]{32} run_id=${uuid} ` +
              "workflow_type=process-order namespace=default customer=c-7 step=validate-order attempt=1$"
          )
        )
      })
    )
  }
})
