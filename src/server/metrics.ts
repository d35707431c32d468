/** The metrics of this process, as Prometheus reads them. */
import { Effect } from "effect"
import { PrometheusMetrics } from "effect/observability"
import { Engine } from "../engine/Engine.ts"

export const metricsPath = "/metrics"

export const contentType = "text/plain; version=0.0.4; charset=utf-8"

/** The text of a scrape. What a store that can't be asked would add is left as it was. */
export const scrape: Effect.Effect<string, never, Engine> = Engine.use((engine) => engine.measure).pipe(
  Effect.catch((error) => Effect.logWarning("The runs could not be counted", error.message)),
  Effect.andThen(PrometheusMetrics.format())
)
