/** A small real server for tests of the client side: each test says what its calls answer. */
import type { ConnectRouter, HandlerContext, ServiceImpl } from "@connectrpc/connect"
import { connectNodeAdapter } from "@connectrpc/connect-node"
import { Effect, type Scope } from "effect"
import * as http from "node:http"
import * as http2 from "node:http2"
import { type AddressInfo, createServer } from "node:net"
import { WorkflowService } from "../../gen/kagzi/v1/workflow_pb.ts"
import { certificate, privateKey } from "./certificate.ts"

type Handlers = Partial<ServiceImpl<typeof WorkflowService>>

export type { HandlerContext }

export interface Peer {
  readonly address: string
  readonly port: number
  /** The HTTP/2 sessions opened so far. */
  readonly sessions: ReadonlyArray<http2.ServerHttp2Session>
  /** Cuts all connections and stops listening. */
  readonly stop: Effect.Effect<void>
}

export interface PeerOptions {
  readonly kind?: "http1" | "http2" | "tls"
  readonly port?: number
  readonly settings?: http2.Settings
}

const open = (
  listener: (request: http2.Http2ServerRequest, response: http2.Http2ServerResponse) => void,
  options: PeerOptions
) => {
  switch (options.kind) {
    case "http1":
      return http.createServer(listener as unknown as http.RequestListener)
    case "tls":
      return http2.createSecureServer({ cert: certificate, key: privateKey }, listener)
    default:
      return http2.createServer({ settings: options.settings ?? {} }, listener)
  }
}

/** Serves raw requests. */
export const serveRaw = (
  listener: (request: http2.Http2ServerRequest, response: http2.Http2ServerResponse) => void,
  options: PeerOptions = {}
): Effect.Effect<Peer, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<Peer>((resume) => {
      const server = open(listener, options)
      const sessions: Array<http2.ServerHttp2Session> = []
      server.on("session", (session: http2.ServerHttp2Session) => {
        sessions.push(session)
        session.on("error", () => undefined)
      })
      const stop = Effect.callback<void>((stopped) => {
        for (const session of sessions) session.destroy()
        if ("closeAllConnections" in server) server.closeAllConnections()
        if (!server.listening) stopped(Effect.void)
        else server.close(() => stopped(Effect.void))
      })
      server.listen(options.port ?? 0, "127.0.0.1", () => {
        const { port } = server.address() as AddressInfo
        const scheme = options.kind === "tls" ? "https" : "http"
        resume(Effect.succeed({ address: `${scheme}://127.0.0.1:${port}`, port, sessions, stop }))
      })
    }),
    (peer) => peer.stop
  )

/** Serves WorkflowService with connect-es as it is. */
export const serve = (handlers: Handlers, options: PeerOptions = {}): Effect.Effect<Peer, never, Scope.Scope> => {
  const routes = (router: ConnectRouter) => {
    router.service(WorkflowService, handlers)
  }
  return serveRaw(connectNodeAdapter({ routes }), options)
}

/** The address of a server that takes connections and says nothing, not even that it lives. */
export const silent: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.callback<{ readonly address: string; readonly close: () => void }>((resume) => {
    const server = createServer((socket) => {
      socket.on("error", () => undefined)
      socket.resume()
    })
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo
      resume(Effect.succeed({ address: `http://127.0.0.1:${port}`, close: () => server.close() }))
    })
  }),
  ({ close }) => Effect.sync(close)
).pipe(Effect.map(({ address }) => address))
