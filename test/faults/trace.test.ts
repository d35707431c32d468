/** One run, one trace: over a client, a server and two workers, through a retry, a sleep and a crash. */
import { assert, describe, it } from "@effect/vitest"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { Effect, Layer, References } from "effect"
import { FetchHttpClient } from "effect/http"
import { Otlp } from "effect/observability"
import { KagziClient } from "../../src/index.ts"
import * as Collector from "../support/collector.ts"
import * as Process from "../support/process.ts"
import * as Place from "./Place.ts"
import { Traced } from "./processes/traced.ts"

describe("the trace of a run", () => {
  it.live(
    "is one and connected, over processes, a retry, a sleep and a crash",
    () =>
      Effect.gen(function* () {
        const collector = yield* Collector.make
        const place = yield* Place.make({ ...Place.impatient, KAGZI_OTLP_ENDPOINT: collector.endpoint })
        const gate = join(place.folder, "ship")
        const worker = Effect.fnUntraced(function* (name: string) {
          const child = yield* Process.start("test/faults/processes/tracedWorker.ts", {
            args: [name, collector.endpoint, gate],
            environment: { KAGZI_SERVER_ADDRESS: place.server.address }
          })
          yield* child.line(/^registered$/)
          return child
        })
        const exporter = Otlp.layerJson({ baseUrl: collector.endpoint, resource: { serviceName: "client" } }).pipe(
          Layer.provide(FetchHttpClient.layer)
        )
        const client = Layer.provideMerge(
          Layer.mergeAll(
            KagziClient.layer({ address: place.server.address }),
            Layer.succeed(References.MinimumLogLevel, "Error")
          ),
          exporter
        )

        const first = yield* worker("first")
        const handle = yield* Traced.start(undefined).pipe(
          Effect.annotateLogs({ correlation_id: "order-1" }),
          Effect.withSpan("checkout"),
          Effect.provide(client)
        )
        const { runId } = handle
        // It dies in the middle of the second step, when all that it has finished is with the collector.
        yield* first.line(/^shipping$/)
        const slept = yield* Collector.until(() => collector.spans.find(({ name }) => name === "Sleep sleep"))
        yield* Collector.until(() => collector.logs.find(({ body }) => body === "Awake"))
        yield* first.kill
        const second = yield* worker("second")
        yield* second.line(/^shipping$/)
        writeFileSync(gate, "")
        const ended = yield* Effect.provide(
          KagziClient.use((it) => it.workflows.result(runId)),
          place.client
        )
        assert.isNull(ended)
        yield* second.signal("SIGTERM")
        yield* second.ended
        yield* place.server.process().signal("SIGTERM")
        yield* place.server.process().ended

        const root = collector.spans.find(({ name }) => name === "checkout")!
        const spans = collector.spans.filter(({ traceId }) => traceId === root.traceId)
        const ids = new Set(spans.map(({ spanId }) => spanId))
        const named = (name: string) => spans.filter((span) => span.name === name)

        const orphans = spans.filter(({ parentSpanId }) => parentSpanId !== undefined && !ids.has(parentSpanId))
        assert.deepStrictEqual(
          orphans.map(({ name, service }) => `${service}: ${name}`),
          []
        )
        assert.deepStrictEqual(
          spans.filter(({ parentSpanId }) => parentSpanId === undefined).map(({ name }) => name),
          ["checkout"]
        )
        assert.sameMembers(
          [...new Set(spans.map(({ service }) => service))],
          ["client", "kagzi-server", "first", "second"]
        )
        // No step, activation or sleep of the run is in another trace.
        const strays = collector.spans.filter(
          ({ attributes, name, traceId }) =>
            attributes.run_id === runId && traceId !== root.traceId && !name.endsWith("/PollTask")
        )
        assert.deepStrictEqual(
          strays.map(({ name }) => name),
          []
        )

        const [start] = named("Workflow.start")
        assert.strictEqual(start?.parentSpanId, root.spanId)
        const activations = named("Workflow traced")
        assert.isAtLeast(activations.length, 2)
        for (const [index, activation] of activations.entries()) {
          assert.strictEqual(activation.parentSpanId, start?.spanId)
          assert.deepInclude(activation.attributes, { run_id: runId, workflow_type: "traced", namespace: "default" })
          assert.deepStrictEqual(
            activation.links.map(({ spanId }) => spanId),
            index === 0 ? [] : [activations[index - 1]!.spanId]
          )
        }
        assert.deepStrictEqual(
          named("Step charge").map(({ attributes, message, service, status }) => [
            service,
            attributes.attempt,
            status,
            message
          ]),
          [
            ["first", 1, 2, "the bank is closed"],
            ["first", 2, 1, undefined]
          ]
        )
        assert.deepInclude(named("Step charge")[0]?.attributes, {
          run_id: runId,
          step: "charge",
          workflow_type: "traced",
          namespace: "default"
        })
        assert.strictEqual(named("call the bank")[0]?.parentSpanId, named("Step charge")[1]?.spanId)
        assert.strictEqual(named("Sleep sleep").length, 1)
        assert.isAtLeast(slept.end - slept.start, 300)
        assert.deepStrictEqual(
          named("Step ship").map(({ attributes, service }) => [service, attributes.attempt]),
          [["second", 1]]
        )
        const [whole] = named("Run traced")
        assert.strictEqual(whole?.attributes.outcome, "completed")
        assert.isAtLeast(whole!.end - whole!.start, 300)
        assert.strictEqual(named("order").length, 1)

        // What a body says is said once, however often it is replayed.
        const lines = collector.logs.filter(({ attributes }) => attributes.run_id === runId)
        const count = (text: string) => lines.filter(({ body }) => body === text).length
        assert.deepStrictEqual(["Run begun", "Charging", "Awake", "Run done"].map(count), [1, 2, 1, 1])
        for (const { attributes, traceId } of lines) {
          assert.strictEqual(traceId, root.traceId)
          assert.deepInclude(attributes, { trace_id: root.traceId, correlation_id: "order-1" })
        }
        assert.include([...collector.metrics], "kagzi_runs_completed_total")
      }),
    60_000
  )
})
