/** A server on a real socket, and the ways to call it. */
import * as http2 from "node:http2"
import {
  type DescMessage,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  toBinary,
  create
} from "@bufbuild/protobuf"
import { base64Decode } from "@bufbuild/protobuf/wire"
import type { Transport } from "@connectrpc/connect"
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node"
import * as grpc from "@grpc/grpc-js"
import { Context, Effect, Layer, type Scope } from "effect"
import { type ErrorDetail, ErrorDetailSchema } from "../../gen/kagzi/v1/common_pb.ts"
import type { Entry } from "../../src/server/Handler.ts"
import { makeRequestHandler } from "../../src/server/http.ts"
import { KagziServer } from "../../src/server/index.ts"
import { listen } from "../../src/server/listener.ts"
import * as Stores from "../support/stores.ts"

/** A server on an empty store and a free port, until the scope closes. */
export const start = (options: KagziServer.Options = {}): Effect.Effect<string, KagziServer.StartError, Scope.Scope> =>
  Effect.map(
    Layer.build(KagziServer.layer({ port: 0, store: Stores.serverStore, ...options })),
    (context) => Context.get(context, KagziServer.KagziServer).address
  )

/** A server with handlers of the test's own. */
export const startWith = (entries: ReadonlyArray<Entry>): Effect.Effect<string, KagziServer.StartError, Scope.Scope> =>
  Effect.gen(function* () {
    const context = yield* Layer.build(KagziServer.layerEngine({ store: Stores.serverStore }))
    const onRequest = yield* Effect.provideContext(makeRequestHandler(entries, Effect.never), context)
    const { port } = yield* listen({ host: "127.0.0.1", port: 0, grace: 100, onRequest, onDrain: Effect.void })
    return `http://127.0.0.1:${port}`
  })

/** The stock transports by name. */
export const transports = (baseUrl: string): ReadonlyArray<readonly [string, Transport]> => [
  ["gRPC", createGrpcTransport({ baseUrl })],
  ["gRPC-Web over HTTP/1.1", createGrpcWebTransport({ baseUrl, httpVersion: "1.1" })],
  ["gRPC-Web over HTTP/2", createGrpcWebTransport({ baseUrl, httpVersion: "2" })],
  ["Connect over HTTP/1.1", createConnectTransport({ baseUrl, httpVersion: "1.1" })],
  ["Connect over HTTP/2", createConnectTransport({ baseUrl, httpVersion: "2" })],
  ["JSON over HTTP/1.1", createConnectTransport({ baseUrl, httpVersion: "1.1", useBinaryFormat: false })],
  ["JSON over HTTP/2", createConnectTransport({ baseUrl, httpVersion: "2", useBinaryFormat: false })]
]

export interface GrpcFailure {
  readonly code: number
  readonly message: string
  /** The bytes of `grpc-status-details-bin`, which hold one ErrorDetail. */
  readonly detail: ErrorDetail | undefined
}

/** A call that fails, by a stock gRPC client that gives the details as the bytes they are. */
export const grpcFailure = <I extends DescMessage, O extends DescMessage>(
  baseUrl: string,
  method: DescMethodUnary<I, O>,
  input: MessageInitShape<I>,
  options: { readonly deadline?: number } = {}
): Effect.Effect<GrpcFailure> =>
  Effect.callback((resume) => {
    const client = new grpc.Client(baseUrl.replace("http://", ""), grpc.credentials.createInsecure())
    client.makeUnaryRequest(
      `/${method.parent.typeName}/${method.name}`,
      (message: MessageInitShape<I>) => Buffer.from(toBinary(method.input, create(method.input, message))),
      (bytes: Buffer) => fromBinary(method.output, bytes),
      input,
      options.deadline === undefined ? {} : { deadline: options.deadline },
      (error) => {
        client.close()
        const [bytes] = error?.metadata.get("grpc-status-details-bin") ?? []
        resume(
          error === null
            ? Effect.die(new Error("the call succeeded"))
            : Effect.succeed({
                code: error.code,
                message: error.details,
                detail: Buffer.isBuffer(bytes) ? fromBinary(ErrorDetailSchema, bytes) : undefined
              })
        )
      }
    )
  })

export interface RawAnswer {
  readonly headers: http2.IncomingHttpHeaders & http2.IncomingHttpStatusHeader
  readonly trailers: http2.IncomingHttpHeaders
  readonly body: Buffer
}

/** One gRPC message in its frame. */
export const frame = (message: Uint8Array): Buffer => {
  const head = Buffer.alloc(5)
  head.writeUInt32BE(message.byteLength, 1)
  return Buffer.concat([head, message])
}

/** A call over HTTP/2 with nothing between the test and the wire. */
export const rawCall = (
  baseUrl: string,
  path: string,
  body: Uint8Array,
  headers: Readonly<Record<string, string>> = {}
): Effect.Effect<RawAnswer> =>
  Effect.callback((resume) => {
    const session = http2.connect(baseUrl)
    const stream = session.request({
      ":method": "POST",
      ":path": path,
      "content-type": "application/grpc",
      te: "trailers",
      ...headers
    })
    let received: RawAnswer["headers"] = {}
    let trailers: RawAnswer["trailers"] = {}
    const chunks: Array<Buffer> = []
    stream.on("response", (found) => {
      received = found
    })
    stream.on("trailers", (found) => {
      trailers = found
    })
    stream.on("data", (chunk: Buffer) => chunks.push(chunk))
    stream.on("error", () => {})
    session.on("error", () => {})
    stream.on("close", () => {
      session.close()
      resume(Effect.succeed({ headers: received, trailers, body: Buffer.concat(chunks) }))
    })
    stream.end(body)
    return Effect.sync(() => session.destroy())
  })

/** A raw gRPC call of a method. */
export const rawGrpc = <M extends DescMethodUnary>(
  baseUrl: string,
  method: M,
  input: MessageInitShape<M["input"]>,
  headers: Readonly<Record<string, string>> = {}
): Effect.Effect<RawAnswer> =>
  rawCall(
    baseUrl,
    `/${method.parent.typeName}/${method.name}`,
    frame(toBinary(method.input, create(method.input, input))),
    headers
  )

/** What a trailers-only error says: everything is in the header block. */
export const grpcError = (
  answer: RawAnswer
): { readonly status: number; readonly message: string; readonly detail: ErrorDetail } => {
  const bytes = String(answer.headers["grpc-status-details-bin"])
  return {
    status: Number(answer.headers["grpc-status"]),
    message: decodeURIComponent(String(answer.headers["grpc-message"])),
    detail: fromBinary(ErrorDetailSchema, base64Decode(bytes))
  }
}
