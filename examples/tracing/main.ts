/**
 * Tracing: one trace for a whole run, from the program that starts it through every worker, sleep and retry.
 *
 * Kagzi uses Effect's tracer and logger, so whatever exports those exports a run's. Here it is Effect's own exporter to
 * an OpenTelemetry collector. `kagzi server --otlp-endpoint URL` sends the server's part.
 */
import { Console, Effect, Layer, References, Schema } from "effect"
import { FetchHttpClient } from "effect/http"
import { Otlp } from "effect/observability"
import { KagziError, RetryPolicy, Step, Worker, Workflow } from "kagzi"
import { check, main } from "../support.ts"
import { startCollector } from "./collector.ts"

const ProcessOrder = Workflow.make("process-order", {
  taskQueue: "orders",
  input: Schema.Struct({ orderId: Schema.String }),
  output: Schema.String
})

const charge = Effect.fn("Payments.charge")(function* (orderId: string) {
  const { attempt } = yield* Step.info
  if (attempt === 1) return yield* KagziError.make("Unavailable", "The bank does not answer")
  yield* Effect.log("Charging the card") // carries the run, the step and the attempt
  return `${orderId} is paid`
})

const ProcessOrderLive = ProcessOrder.implement(({ orderId }) =>
  Effect.gen(function* () {
    const paid = yield* Step.run("process-payment", charge(orderId), { retry: RetryPolicy.fixed("100 millis") })
    yield* Workflow.sleep("300 millis")
    yield* Effect.log("The order is done") // said once, whatever number of times the body is replayed
    return paid
  }).pipe(Effect.withSpan("order", { attributes: { order_id: orderId } }))
)

/** A client and a worker, which send what they do to the collector. */
const traced = Effect.gen(function* () {
  yield* Effect.forkScoped(Worker.run({ taskQueue: "orders", workflows: [ProcessOrderLive] }))
  return yield* ProcessOrder.execute({ orderId: "order-7" }).pipe(
    Effect.withSpan("POST /orders"),
    Effect.annotateLogs("correlation_id", "request-1234") // the run's logs carry it too
  )
}).pipe(Effect.scoped)

const program = Effect.gen(function* () {
  const collector = yield* startCollector
  const exporter = Otlp.layerJson({ baseUrl: collector.url, resource: { serviceName: "shop" } })
  const result = yield* traced.pipe(
    Effect.provide(exporter.pipe(Layer.provide(FetchHttpClient.layer))),
    Effect.provideService(References.MinimumLogLevel, "Info")
  )
  yield* check("the order is done", result === "order-7 is paid")

  const spans = collector.spans()
  const request = spans.find(({ name }) => name === "POST /orders")
  const ofTrace = spans.filter(({ traceId }) => traceId === request?.traceId)
  yield* Console.log(`\nOne trace: ${[...new Set(ofTrace.map(({ name }) => name))].join(", ")}`)
  const ids = new Set(spans.map(({ spanId }) => spanId))
  yield* check(
    "every span of it hangs together with the request",
    ofTrace.every((span) => span === request || ids.has(span.parentSpanId ?? ""))
  )
  const attempts = ofTrace
    .filter(({ name }) => name === "Step process-payment")
    .map(({ attributes }) => attributes.attempt)
  yield* check("it has both attempts of the step", attempts.toSorted().join() === "1,2")
  yield* check(
    "and the spans that the body and the step made",
    ["order", "Payments.charge"].every((name) => ofTrace.some((span) => span.name === name))
  )

  const line = collector.logs().find(({ message }) => message === "Charging the card")
  yield* Console.log(`\n${JSON.stringify(line, null, 2)}\n`)
  const { attempt, correlation_id, run_id, step, trace_id, workflow_type } = line?.attributes ?? {}
  yield* check(
    "a log line says whose it is",
    `${workflow_type}/${step}/${attempt}` === "process-order/process-payment/2"
  )
  yield* check(
    "in which run, trace and request",
    run_id !== undefined && trace_id === request?.traceId && correlation_id === "request-1234"
  )
  const said = collector.logs().filter(({ message }) => message === "The order is done")
  yield* check("a line of the body is there once", said.length === 1)
})

main(program)
