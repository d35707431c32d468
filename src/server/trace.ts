/** The caller's span, as W3C trace context in the headers of a request. */
import { Effect, Tracer } from "effect"
import { ofRun, parse } from "../TraceContext.ts"
import type { Payload } from "../Run.ts"

/** Makes spans of the effect children of the caller's. */
export const continued = <A, E, R>(effect: Effect.Effect<A, E, R>, header: string | null): Effect.Effect<A, E, R> => {
  const span = parse(header)
  return span === undefined ? effect : Effect.provideService(effect, Tracer.ParentSpan, span)
}

/** Links the span of a call to the trace of a run, where that is another. */
export const linkedTo = (run: { readonly runId: string; readonly input: Payload }): Effect.Effect<void> =>
  Effect.map(Effect.option(Effect.currentSpan), (current) => {
    if (current._tag === "None") return
    const span = ofRun(run)
    current.value.attribute("run_id", run.runId)
    if (span.traceId !== current.value.traceId) current.value.addLinks([{ span, attributes: {} }])
  })
