/**
 * The trace that something belongs to, as W3C Trace Context writes it: in the headers of calls, and beside the input of
 * a run, where it outlives the processes that take part.
 */
import { Context, Effect, References, Tracer } from "effect"
import type { Payload } from "./Run.ts"

/** The header, and the key in the metadata of a run's input. */
export const traceparentHeader = "traceparent"

/** Where the input of a run keeps the id that its caller knows the whole matter by. */
export const correlationKey = "kagzi.correlation_id"

/** The log annotation that a start takes that id from, and that the log lines of the run carry it in. */
const correlationAnnotation = "correlation_id"

const pattern = /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-|$)/

const ids = /^[0-9a-f]{32}-[0-9a-f]{16}$/

/** The text for a span; none when its ids aren't W3C's. */
export const format = (span: Tracer.AnySpan): string | undefined => {
  const id = `${span.traceId}-${span.spanId}`
  return ids.test(id) ? `00-${id}-${span.sampled ? "01" : "00"}` : undefined
}

/** The span that a text names, or undefined where it is absent or makes no sense. */
export const parse = (text: string | null | undefined): Tracer.ExternalSpan | undefined => {
  const [, traceId, spanId, flags] = (text == null ? null : pattern.exec(text)) ?? []
  if (traceId === undefined || spanId === undefined || flags === undefined) return undefined
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId)) return undefined
  return Tracer.externalSpan({ traceId, spanId, sampled: (Number.parseInt(flags, 16) & 1) === 1 })
}

/** The header value of the span that the context carries, if it carries one. */
export const traceparent = (context: Context.Context<never>): string | undefined => {
  const span = Context.getOrUndefined(context, Tracer.ParentSpan)
  return span === undefined ? undefined : format(span)
}

/** The input of a run with the caller's span and correlation id beside it. What it says already stays. */
export const stamped = (input: Payload): Effect.Effect<Payload> =>
  Effect.withFiber((fiber) => {
    const parent = traceparent(fiber.context)
    const correlation = fiber.getRef(References.CurrentLogAnnotations)[correlationAnnotation]
    const metadata = {
      ...(parent === undefined ? {} : { [traceparentHeader]: parent }),
      ...(typeof correlation === "string" ? { [correlationKey]: correlation } : {}),
      ...input.metadata
    }
    return Effect.succeed({ ...input, metadata })
  })

/**
 * The span that all spans of a run descend from: the one that started it. A run whose start named none has a trace of
 * its own, with the ids made from the run's, so that every worker of it finds the same.
 */
export const ofRun = (run: { readonly runId: string; readonly input: Payload }): Tracer.ExternalSpan => {
  const named = parse(run.input.metadata[traceparentHeader])
  if (named !== undefined) return named
  const digits = run.runId.replaceAll("-", "").toLowerCase().padStart(32, "0")
  return Tracer.externalSpan({ traceId: digits.slice(-32), spanId: digits.slice(-16) })
}

/** The id that the caller knows the matter by; the run's own where it gave none. */
export const correlationOf = (run: { readonly runId: string; readonly input: Payload }): string =>
  run.input.metadata[correlationKey] ?? run.runId
