/** The caller's span, as W3C trace context in the headers of a request. */
import { Effect, Tracer } from "effect"

const traceparent = /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-|$)/

/** The span named in a `traceparent` header, or undefined where it is absent or makes no sense. */
export const callerSpan = (header: string | null): Tracer.ExternalSpan | undefined => {
  const match = header === null ? null : traceparent.exec(header)
  const [, traceId, spanId, flags] = match ?? []
  if (traceId === undefined || spanId === undefined || flags === undefined) return undefined
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId)) return undefined
  return Tracer.externalSpan({ traceId, spanId, sampled: (Number.parseInt(flags, 16) & 1) === 1 })
}

/** Makes spans of the effect children of the caller's. */
export const continued = <A, E, R>(effect: Effect.Effect<A, E, R>, header: string | null): Effect.Effect<A, E, R> => {
  const span = callerSpan(header)
  return span === undefined ? effect : Effect.provideService(effect, Tracer.ParentSpan, span)
}
