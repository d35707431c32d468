/**
 * One port for every way to speak HTTP: a connection that begins with the HTTP/2 preface goes to a Node HTTP/2 server,
 * any other to an HTTP/1.1 server, and both have the same request handler.
 */
import * as http from "node:http"
import * as http2 from "node:http2"
import * as net from "node:net"
import { Duration, Effect, type Scope } from "effect"
import { StartError } from "./StartError.ts"

export type Request = http.IncomingMessage | http2.Http2ServerRequest
export type Response = http.ServerResponse | http2.Http2ServerResponse

export interface Options {
  readonly host: string
  /** 0 picks a free one. */
  readonly port: number
  /** How long a connection may be silent before it has said which protocol it speaks. By default 10 seconds. */
  readonly silence?: Duration.Input
  /** How long open calls may go on when the scope closes, before their connections are cut. */
  readonly grace: Duration.Input
  readonly onRequest: (request: Request, response: Response) => void
  /** Runs when no new connection is accepted any more, so that calls that wait can end. */
  readonly onDrain: Effect.Effect<void>
}

const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1")

/** TCP finds out about peers that vanished without a word. */
const keepAliveMillis = 30_000

/** Connections of HTTP/1.1 clients stay open that long between two calls. */
const idleMillis = 75_000

const mebibyte = 1024 * 1024

/**
 * Reads the first bytes of a connection and gives them back, then says which protocol they begin. A connection that
 * stays silent, ends or breaks first is closed.
 */
const sniff = (socket: net.Socket, silenceMillis: number, decided: (isHttp2: boolean) => void): void => {
  let seen: Buffer<ArrayBufferLike> = Buffer.alloc(0)
  const give = () => socket.destroy()
  const read = () => {
    const chunk: Buffer | null = socket.read()
    if (chunk === null) return
    seen = seen.length === 0 ? chunk : Buffer.concat([seen, chunk])
    const length = Math.min(seen.length, preface.length)
    const matches = seen.compare(preface, 0, length, 0, length) === 0
    if (matches && seen.length < preface.length) return
    socket.off("readable", read).off("end", give).off("timeout", give).setTimeout(0)
    socket.unshift(seen)
    decided(matches)
  }
  socket.on("readable", read).once("end", give).once("timeout", give).setTimeout(silenceMillis)
}

const startError = (options: Options, cause: NodeJS.ErrnoException): StartError => {
  const where = `${options.host}:${options.port}`
  switch (cause.code) {
    case "EADDRINUSE":
      return new StartError({ reason: "PortInUse", message: `${where} is already in use`, cause })
    case "EACCES":
      return new StartError({ reason: "BadAddress", message: `No permission to listen on ${where}`, cause })
    case "EADDRNOTAVAIL":
      return new StartError({
        reason: "BadAddress",
        message: `${options.host} is not an address of this machine`,
        cause
      })
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return new StartError({ reason: "BadAddress", message: `The host ${options.host} can't be resolved`, cause })
    default:
      return new StartError({ reason: "BadAddress", message: `Can't listen on ${where}: ${cause.message}`, cause })
  }
}

/** Listens until the scope closes, and gives the port. */
export const listen = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<{ readonly port: number }, StartError, Scope.Scope> {
  const sockets = new Set<net.Socket>()
  const undecided = new Set<net.Socket>()
  const sessions = new Set<http2.Http2Session>()
  const answering = new Set<http.ServerResponse>()
  const silenceMillis = Duration.toMillis(Duration.fromInputUnsafe(options.silence ?? "10 seconds"))
  let closing = false

  const h1 = http.createServer(
    { keepAliveTimeout: idleMillis, noDelay: true },
    (request: http.IncomingMessage, response: http.ServerResponse) => {
      answering.add(response)
      response.once("close", () => answering.delete(response))
      if (closing) response.setHeader("connection", "close")
      options.onRequest(request, response)
    }
  )
  // the server never listens itself, and checks of header and request timeouts begin with this event
  h1.emit("listening")

  const h2 = http2.createServer(
    {
      // what may be in flight on one connection; Node's 10 MB cuts off a few large requests
      maxSessionMemory: 128,
      settings: { initialWindowSize: mebibyte }
    },
    options.onRequest
  )
  h2.on("session", (session) => {
    sessions.add(session)
    session.setLocalWindowSize(16 * mebibyte)
    session.once("close", () => sessions.delete(session))
    if (closing) session.close()
  })
  // the session is gone by then, and its streams have been told
  h2.on("sessionError", () => {})

  const server = net.createServer({
    allowHalfOpen: true,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: keepAliveMillis
  })
  server.on("connection", (socket) => {
    sockets.add(socket)
    undecided.add(socket)
    socket.once("close", () => {
      sockets.delete(socket)
      undecided.delete(socket)
    })
    // a broken connection closes, which is all there is to do about it
    socket.on("error", () => {})
    sniff(socket, silenceMillis, (isHttp2) => {
      undecided.delete(socket)
      // an HTTP/1.1 client may end its side and wait for the answer; an HTTP/2 connection that ended has no more use
      if (isHttp2) socket.once("end", () => socket.end())
      const target: net.Server = isHttp2 ? h2 : h1
      target.emit("connection", socket)
    })
  })

  yield* Effect.acquireRelease(
    Effect.callback<void, StartError>((resume) => {
      const failed = (cause: NodeJS.ErrnoException) => resume(Effect.fail(startError(options, cause)))
      server.once("error", failed)
      try {
        server.listen(options.port, options.host, () => {
          server.off("error", failed)
          resume(Effect.void)
        })
      } catch (cause) {
        failed(cause as NodeJS.ErrnoException)
      }
    }),
    () => {
      const drained = Effect.callback<void>((resume) => {
        closing = true
        server.close(() => resume(Effect.void))
        for (const session of sessions) session.close()
        for (const response of answering) if (!response.headersSent) response.setHeader("connection", "close")
        // ends the idle connections and the checks of timeouts
        h1.close()
        for (const socket of undecided) socket.destroy()
      })
      const cut = Effect.callback<void>((resume) => {
        // `close` was called before and answers again when the last connection has gone
        server.close(() => resume(Effect.void))
        for (const socket of sockets) socket.destroy()
      })
      return Effect.all([options.onDrain, drained], { discard: true, concurrency: "unbounded" }).pipe(
        Effect.interruptible,
        Effect.timeoutOrElse({ duration: options.grace, orElse: () => cut }),
        Effect.interruptible
      )
    }
  )
  return { port: (server.address() as net.AddressInfo).port }
})
