/**
 * RPCs over a real connection from Node.js.
 *
 * gRPC runs over cleartext HTTP/2 (or TLS for `https`), gRPC-Web and Connect over HTTP/1.1.
 */
import { Code, ConnectError, type Transport } from "@connectrpc/connect"
import { createNodeHttpClient, Http2SessionManager } from "@connectrpc/connect-node"
import type { UniversalClientFn } from "@connectrpc/connect/protocol"
import { createTransport as createConnectTransport } from "@connectrpc/connect/protocol-connect"
import { createTransport as createGrpcTransport } from "@connectrpc/connect/protocol-grpc"
import { createTransport as createGrpcWebTransport } from "@connectrpc/connect/protocol-grpc-web"
import { Effect, Layer, Random, Redacted, Result, type Scope } from "effect"
import { InvalidArgument } from "../KagziError.ts"
import * as Address from "./address.ts"
import * as Duplex from "./duplex.ts"
import { fromConnectError, isUnreached, renameDetail } from "./errors.ts"
import { Failed, oneOf, type Peer } from "./peers.ts"
import { Rpc, type Shape } from "./Rpc.ts"
import { traceparent, traceparentHeader } from "../TraceContext.ts"

export interface Options {
  /** `http://HOST:PORT` or `https://HOST:PORT`; several of servers that share a database, in a list or with commas. */
  readonly address: string | ReadonlyArray<string>
  /** `grpc` unless told otherwise. */
  readonly protocol?: "grpc" | "grpc-web" | "connect"
  /** Sent as a bearer token. */
  readonly apiKey?: Redacted.Redacted<string> | string
  /** Certificates to trust for `https` beside the well-known ones, in PEM. */
  readonly ca?: string
  /** The largest answer taken, in bytes; 16 MiB unless told otherwise. */
  readonly readMaxBytes?: number
  /** How long a connection with calls on it may be silent before it is asked for a sign of life; 15 s. */
  readonly keepAliveMillis?: number
  /** How long to wait for that sign before the connection counts as dead; 10 s. */
  readonly keepAliveTimeoutMillis?: number
  /**
   * How many calls share one HTTP/2 connection; further ones open another. 100, which servers allow at least: beyond
   * their limit a call would wait unseen behind the long polls.
   */
  readonly callsPerConnection?: number
}

/** Hides the detail header from connect-es; `renamedDetailHeader` says why. Trailers are there when the body ends. */
const renaming =
  (client: UniversalClientFn): UniversalClientFn =>
  (request) =>
    client(request).then((response) => {
      renameDetail(response.header)
      const source = response.body[Symbol.asyncIterator]()
      const body: AsyncIterator<Uint8Array> = {
        ...(source.throw === undefined ? {} : { throw: (reason?: unknown) => source.throw!(reason) }),
        next: () =>
          source.next().then((result) => {
            if (result.done === true) renameDetail(response.trailer)
            return result
          })
      }
      return { ...response, body: { [Symbol.asyncIterator]: () => body } }
    })

const readMaxBytes = (options: Options) => options.readMaxBytes ?? 16 * 1024 * 1024

const transportOptions = (origin: string, options: Options, httpClient: UniversalClientFn) => ({
  baseUrl: origin,
  httpClient,
  useBinaryFormat: true,
  interceptors: [],
  acceptCompression: [],
  sendCompression: null,
  compressMinBytes: 1024,
  readMaxBytes: readMaxBytes(options),
  writeMaxBytes: 0xffff_ffff
})

interface Connection {
  readonly transport: Transport
  readonly close: () => void
  calls: number
}

interface Http2Connection extends Connection {
  readonly sessions: Duplex.SessionManager
}

/**
 * The manager stops listening to a session before a pending error of it is emitted, when it is told to abort in
 * between. An error that nobody hears would end the process.
 */
const guarded = (manager: Http2SessionManager): Duplex.SessionManager => {
  let known: unknown
  return {
    authority: manager.authority,
    request: (method, path, headers, options) =>
      manager.request(method, path, headers, options).then((stream) => {
        if (stream.session !== known) {
          known = stream.session
          stream.session?.on("error", () => undefined)
        }
        return stream
      }),
    notifyResponseByteRead: (stream) => manager.notifyResponseByteRead(stream)
  }
}

const http2Connection = (origin: string, options: Options): Http2Connection => {
  const session = new Http2SessionManager(
    origin,
    {
      pingIntervalMs: options.keepAliveMillis ?? 15_000,
      pingTimeoutMs: options.keepAliveTimeoutMillis ?? 10_000
    },
    options.ca === undefined ? {} : { ca: options.ca }
  )
  const sessions = guarded(session)
  const httpClient = renaming(createNodeHttpClient({ httpVersion: "2", sessionProvider: () => sessions }))
  return {
    transport: createGrpcTransport(transportOptions(origin, options, httpClient)),
    sessions,
    close: () => session.abort(new ConnectError("connection closed", Code.Canceled)),
    calls: 0
  }
}

const http1Connection = (origin: string, options: Options, protocol: "grpc-web" | "connect"): Connection => {
  const httpClient = createNodeHttpClient({
    httpVersion: "1.1",
    nodeOptions: options.ca === undefined ? {} : { ca: options.ca }
  })
  return {
    transport:
      protocol === "connect"
        ? createConnectTransport(transportOptions(origin, options, httpClient))
        : createGrpcWebTransport(transportOptions(origin, options, renaming(httpClient))),
    close: () => undefined,
    calls: 0
  }
}

/** Takes the first connection with room for a call, and opens another when there is none. */
const pool = <C extends Connection>(open: () => C, callsPerConnection: number) => {
  const connections: Array<C> = []
  const take = () => {
    const free = connections.find((connection) => connection.calls < callsPerConnection)
    if (free !== undefined) {
      free.calls++
      return free
    }
    const connection = open()
    connection.calls++
    connections.push(connection)
    return connection
  }
  const release = (connection: Connection) =>
    Effect.sync(() => {
      connection.calls--
    })
  const close = Effect.sync(() => {
    for (const connection of connections) connection.close()
  })
  return { take: Effect.sync(take), release, close }
}

const authorization = (apiKey: Options["apiKey"]): Readonly<Record<string, string>> => {
  const value = Redacted.isRedacted(apiKey) ? Redacted.value(apiKey) : apiKey
  return value === undefined || value === "" ? {} : { authorization: `Bearer ${value}` }
}

/** RPCs to the server at that origin. */
const peerAt = (origin: string, options: Options): Effect.Effect<Peer, never, Scope.Scope> =>
  Effect.gen(function* () {
    const { protocol = "grpc" } = options
    const auth = authorization(options.apiKey)
    const peer = `the server at ${origin}`
    const calling =
      ({ release, take }: ReturnType<typeof pool>): Peer["call"] =>
      (method, input, callOptions = {}) =>
        Effect.contextWith((context: Parameters<typeof traceparent>[0]) => {
          const parent = traceparent(context)
          const headers = {
            ...auth,
            ...(parent === undefined ? {} : { [traceparentHeader]: parent }),
            ...callOptions.headers
          }
          return Effect.acquireUseRelease(
            take,
            ({ transport }) =>
              Effect.tryPromise({
                try: (signal) => transport.unary(method, signal, callOptions.timeoutMillis, headers, input),
                catch: (reason) =>
                  new Failed({ error: fromConnectError(reason, peer), isUnreached: isUnreached(reason) })
              }),
            release
          )
        }).pipe(Effect.map((response) => response.message))
    if (protocol !== "grpc") {
      // Both directions at once take HTTP/2.
      const connections = pool(() => http1Connection(origin, options, protocol), Number.POSITIVE_INFINITY)
      yield* Effect.addFinalizer(() => connections.close)
      return { call: calling(connections) }
    }
    const connections = pool(() => http2Connection(origin, options), options.callsPerConnection ?? 100)
    yield* Effect.addFinalizer(() => connections.close)
    const open: NonNullable<Peer["open"]> = (method) =>
      Effect.flatMap(Effect.acquireRelease(connections.take, connections.release), ({ sessions }) =>
        Duplex.open({ sessions, headers: auth, readMaxBytes: readMaxBytes(options), peer }, method)
      )
    return { call: calling(connections), open }
  })

/**
 * RPCs to the server at an address, or to one of the servers at several: each client begins with any of them, so that
 * they share the load. Nothing is connected before the first call. Fails when an address is no address.
 */
export const make = (options: Options): Effect.Effect<Shape, InvalidArgument, Scope.Scope> =>
  Effect.gen(function* () {
    const parsed = Address.parseAll(options.address)
    if (Result.isFailure(parsed)) return yield* new InvalidArgument({ message: parsed.failure })
    const [first, ...others] = parsed.success
    const peer = yield* peerAt(first, options)
    if (others.length === 0) return oneOf([peer])
    const peers = [peer, ...(yield* Effect.forEach(others, (origin) => peerAt(origin, options)))]
    return oneOf(yield* Random.shuffle(peers))
  })

/** `make` as a layer. */
export const layer = (options: Options): Layer.Layer<Rpc, InvalidArgument> => Layer.effect(Rpc, make(options))
