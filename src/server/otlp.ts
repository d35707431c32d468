/** Traces, metrics and logs to an OpenTelemetry collector, with Effect's own exporter. */
import { Duration, Effect, Layer } from "effect"
import { FetchHttpClient } from "effect/http"
import { Otlp } from "effect/observability"
import { Engine } from "../engine/Engine.ts"
import { version } from "./version.ts"

const interval = Duration.seconds(10)

/** Exports what the layers that it is given to do, to `/v1/traces`, `/v1/metrics` and `/v1/logs` below the endpoint. */
export const layer = (endpoint: string): Layer.Layer<never> =>
  Otlp.layerJson({
    baseUrl: endpoint,
    resource: { serviceName: "kagzi-server", serviceVersion: version },
    loggerMergeWithExisting: true,
    metricsExportInterval: interval
  }).pipe(Layer.provide(FetchHttpClient.layer))

/** Keeps the metrics of what there is at the moment up to date for the exporter. */
export const measuring: Layer.Layer<never, never, Engine> = Layer.effectDiscard(
  Engine.use((engine) => Effect.ignore(engine.measure)).pipe(
    Effect.andThen(Effect.sleep(interval)),
    Effect.forever,
    Effect.forkScoped
  )
)
