/** The metrics of this process, as Prometheus reads them. */
import type { Effect } from "effect"
import { PrometheusMetrics } from "effect/observability"

export const metricsPath = "/metrics"

export const contentType = "text/plain; version=0.0.4; charset=utf-8"

/** The text of a scrape. */
export const scrape: Effect.Effect<string> = PrometheusMetrics.format()
