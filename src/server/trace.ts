/** The caller's span, as W3C trace context in the headers of a request. */
import { Effect, Tracer } from "effect"
import { parse } from "../TraceContext.ts"

/** Makes spans of the effect children of the caller's. */
export const continued = <A, E, R>(effect: Effect.Effect<A, E, R>, header: string | null): Effect.Effect<A, E, R> => {
  const span = parse(header)
  return span === undefined ? effect : Effect.provideService(effect, Tracer.ParentSpan, span)
}
