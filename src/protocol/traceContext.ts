/** The trace that a call belongs to, as W3C Trace Context writes it into a header. */
import { Context, Tracer } from "effect"

export const traceparentHeader = "traceparent"

const ids = /^[0-9a-f]{32}-[0-9a-f]{16}$/

/** The header value of the span that the context carries; none without a span, or when its ids aren't W3C's. */
export const traceparent = (context: Context.Context<never>): string | undefined => {
  const span = Context.getOrUndefined(context, Tracer.ParentSpan)
  if (span === undefined) return undefined
  const id = `${span.traceId}-${span.spanId}`
  return ids.test(id) ? `00-${id}-${span.sampled ? "01" : "00"}` : undefined
}
