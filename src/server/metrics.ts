/** The metrics of this process, as Prometheus reads them. */
import { Effect } from "effect"
import { Engine } from "../engine/Engine.ts"

export const metricsPath = "/metrics"

export const contentType = "text/plain; version=0.0.4; charset=utf-8"

// loaded with the first scrape, since it brings Effect's whole HTTP server along
const format = Effect.flatMap(
  Effect.promise(() => import("effect/observability/PrometheusMetrics")),
  (PrometheusMetrics) => PrometheusMetrics.format()
)

/** The text of a scrape. What a store that can't be asked would add is left as it was. */
export const scrape: Effect.Effect<string, never, Engine> = Engine.use((engine) => engine.measure).pipe(
  Effect.catch((error) => Effect.logWarning("The runs could not be counted", error.message)),
  Effect.andThen(format)
)
