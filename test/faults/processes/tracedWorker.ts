/**
 * A worker process whose spans and log lines go to a collector: `node tracedWorker.ts <name> <collector> <gate>`. It says
 * `registered` when it is. SIGTERM drains it.
 */
import { existsSync, writeSync } from "node:fs"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Effect, Layer } from "effect"
import { FetchHttpClient } from "effect/http"
import { Otlp } from "effect/observability"
import { KagziClient, KagziError, RetryPolicy, Step, Worker } from "../../../src/index.ts"
import { Traced } from "./traced.ts"

const [name, collector, gate] = process.argv.slice(2)

const TracedLive = Traced.implement(() =>
  Effect.gen(function* () {
    yield* Effect.logInfo("Run begun")
    yield* Step.run(
      "charge",
      Effect.gen(function* () {
        const { attempt } = yield* Step.info
        yield* Effect.logInfo("Charging")
        if (attempt === 1) return yield* new KagziError.Unavailable({ message: "the bank is closed" })
        yield* Effect.void.pipe(Effect.withSpan("call the bank"))
      }),
      { retry: RetryPolicy.fixed("10 millis", { maximumAttempts: 2 }) }
    )
    yield* Effect.sleep("300 millis")
    yield* Effect.logInfo("Awake")
    yield* Step.run(
      "ship",
      Effect.gen(function* () {
        writeSync(1, "shipping\n")
        while (!existsSync(gate!)) yield* Effect.sleep("5 millis")
      })
    )
    yield* Effect.logInfo("Run done")
  }).pipe(Effect.withSpan("order"))
)

const exporter = Otlp.layerJson({
  baseUrl: collector!,
  resource: { serviceName: name! },
  tracerExportInterval: "20 millis",
  loggerExportInterval: "20 millis"
}).pipe(Layer.provide(FetchHttpClient.layer))

const main = Effect.gen(function* () {
  const worker = yield* Worker.make({ taskQueue: "traced", workflows: [TracedLive], maxCached: 1 })
  const announce = Effect.gen(function* () {
    while (!(yield* worker.isRegistered)) yield* Effect.sleep("5 millis")
    yield* Effect.sync(() => writeSync(1, "registered\n"))
    return yield* Effect.never
  })
  yield* Effect.raceFirst(worker.run, announce)
}).pipe(Effect.scoped, Effect.provide(KagziClient.layerConfig), Effect.provide(exporter))

NodeRuntime.runMain(main, { disableErrorReporting: true })
