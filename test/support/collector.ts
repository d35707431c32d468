/** An OpenTelemetry collector in this process: takes what exporters send over OTLP (HTTP, JSON) and keeps it. */
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { Effect, type Scope } from "effect"

type Value = { readonly stringValue?: string; readonly intValue?: number | string; readonly boolValue?: boolean }
type Attributes = ReadonlyArray<{ readonly key: string; readonly value: Value }>

export interface CollectedSpan {
  readonly service: string
  readonly name: string
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId: string | undefined
  /** Milliseconds since the epoch. */
  readonly start: number
  readonly end: number
  /** 2 is an error. */
  readonly status: number
  readonly message: string | undefined
  readonly attributes: Readonly<Record<string, unknown>>
  readonly links: ReadonlyArray<{ readonly traceId: string; readonly spanId: string }>
}

export interface CollectedLog {
  readonly service: string
  readonly body: string | undefined
  readonly traceId: string | undefined
  readonly attributes: Readonly<Record<string, unknown>>
}

export interface Collector {
  /** What exporters are told. */
  readonly endpoint: string
  readonly spans: Array<CollectedSpan>
  readonly logs: Array<CollectedLog>
  readonly metrics: Set<string>
}

interface Sent {
  readonly resource: { readonly attributes: Attributes }
  readonly scopeSpans?: ReadonlyArray<{ readonly spans: ReadonlyArray<SentSpan> }>
  readonly scopeLogs?: ReadonlyArray<{ readonly logRecords: ReadonlyArray<SentLog> }>
  readonly scopeMetrics?: ReadonlyArray<{ readonly metrics: ReadonlyArray<{ readonly name: string }> }>
}

interface SentSpan extends Omit<CollectedSpan, "service" | "start" | "end" | "status" | "message" | "attributes"> {
  readonly startTimeUnixNano: string
  readonly endTimeUnixNano: string
  readonly status: { readonly code: number; readonly message?: string }
  readonly attributes: Attributes
}

interface SentLog {
  readonly body?: Value
  readonly traceId?: string
  readonly attributes: Attributes
}

const record = (attributes: Attributes) =>
  Object.fromEntries(
    attributes.map(({ key, value }) => [key, value.stringValue ?? value.intValue ?? value.boolValue] as const)
  )

const take = (into: Collector, sent: Sent) => {
  const service = String(record(sent.resource.attributes)["service.name"])
  for (const { spans } of sent.scopeSpans ?? []) {
    for (const { attributes, endTimeUnixNano, startTimeUnixNano, status, ...span } of spans) {
      into.spans.push({
        ...span,
        service,
        start: Number(startTimeUnixNano) / 1e6,
        end: Number(endTimeUnixNano) / 1e6,
        status: status.code,
        message: status.message,
        attributes: record(attributes)
      })
    }
  }
  for (const { logRecords } of sent.scopeLogs ?? []) {
    for (const { attributes, body, traceId } of logRecords) {
      into.logs.push({ service, body: body?.stringValue, traceId, attributes: record(attributes) })
    }
  }
  for (const { metrics } of sent.scopeMetrics ?? []) for (const { name } of metrics) into.metrics.add(name)
}

/** Listens until the scope closes. */
export const make: Effect.Effect<Collector, never, Scope.Scope> = Effect.acquireRelease(
  Effect.callback<{ readonly collector: Collector; readonly close: () => void }>((resume) => {
    const server = createServer((request, response) => {
      if (!["/v1/traces", "/v1/logs", "/v1/metrics"].includes(request.url ?? "")) {
        response.writeHead(404).end()
        return
      }
      let text = ""
      request.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk
      })
      request.on("end", () => {
        const body = JSON.parse(text) as Record<string, ReadonlyArray<Sent>>
        for (const sent of Object.values(body).flat()) take(collector, sent)
        response.writeHead(200, { "content-type": "application/json" }).end("{}")
      })
    })
    const collector = { endpoint: "", spans: [], logs: [], metrics: new Set<string>() }
    server.listen(0, "127.0.0.1", () => {
      collector.endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
      const close = () => {
        server.close()
        server.closeAllConnections()
      }
      resume(Effect.succeed({ collector, close }))
    })
  }),
  ({ close }) => Effect.sync(close)
).pipe(Effect.map(({ collector }) => collector))

/** Waits until the collector has what is looked for. */
export const until = <A>(look: () => A | undefined): Effect.Effect<A> =>
  Effect.gen(function* () {
    for (;;) {
      const found = look()
      if (found !== undefined) return found
      yield* Effect.sleep("5 millis")
    }
  })
