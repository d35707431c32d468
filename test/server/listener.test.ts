import * as http from "node:http"
import * as http2 from "node:http2"
import * as net from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Scope } from "effect"
import { listen, type Options, type Request, type Response } from "../../src/server/listener.ts"
import { StartError } from "../../src/server/StartError.ts"

/** Answers with the HTTP version and how many bytes came. */
const counting = (request: Request, response: Response): void => {
  const stream: NodeJS.ReadableStream & { readonly httpVersion: string } = request as http.IncomingMessage
  let bytes = 0
  stream.on("data", (chunk: Buffer) => {
    bytes += chunk.byteLength
  })
  stream.on("end", () => response.end(`${stream.httpVersion} ${bytes}`))
}

const serve = (options: Partial<Options> = {}) =>
  listen({ host: "127.0.0.1", port: 0, grace: 1000, onRequest: counting, onDrain: Effect.void, ...options })

/** Sends bytes, ends if asked to, and gives what comes back until the server closes. */
const exchange = (port: number, bytes: string, end: boolean): Effect.Effect<string> =>
  Effect.callback((resume) => {
    const socket = net.connect({ port, host: "127.0.0.1", allowHalfOpen: true })
    let received = ""
    socket.setEncoding("latin1").on("data", (chunk) => {
      received += String(chunk)
    })
    socket.on("error", () => {})
    socket.on("end", () => socket.end())
    socket.on("close", () => resume(Effect.succeed(received)))
    socket.write(bytes, "latin1")
    if (end) socket.end()
    return Effect.sync(() => socket.destroy())
  })

const http2Post = (port: number, body: Uint8Array): Effect.Effect<string> =>
  Effect.callback((resume) => {
    const session = http2.connect(`http://127.0.0.1:${port}`)
    const stream = session.request({ ":method": "POST", ":path": "/" })
    let received = ""
    stream.setEncoding("utf8").on("data", (chunk) => {
      received += String(chunk)
    })
    stream.on("end", () => {
      session.close()
      resume(Effect.succeed(received))
    })
    stream.end(body)
  })

const http1Post = (port: number, body: Uint8Array): Effect.Effect<string> =>
  Effect.promise(() => fetch(`http://127.0.0.1:${port}`, { method: "POST", body }).then((response) => response.text()))

const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

describe("the listener", () => {
  it.live("serves HTTP/1.1 and HTTP/2 on one port", () =>
    Effect.gen(function* () {
      const { port } = yield* serve()
      const body = new Uint8Array(3_000_000)
      assert.strictEqual(yield* http1Post(port, body), "1.1 3000000")
      assert.strictEqual(yield* http2Post(port, body), "2.0 3000000")
    })
  )

  it.live("knows the HTTP/2 preface when it comes byte by byte", () =>
    Effect.gen(function* () {
      const { port } = yield* serve()
      const answered = yield* Effect.callback<number>((resume) => {
        const socket = net.connect({ port, host: "127.0.0.1", noDelay: true })
        const bytes = Buffer.from(`${preface}\0\0\0\u0004\0\0\0\0\0`, "latin1")
        const send = (at: number) => {
          if (at < bytes.length) socket.write(bytes.subarray(at, at + 1), () => setImmediate(send, at + 1))
        }
        socket.once("connect", () => send(0))
        // the type of the first frame of the answer: SETTINGS
        socket.once("data", (chunk: Buffer) => {
          resume(Effect.succeed(chunk.readUInt8(3)))
          socket.destroy()
        })
      })
      assert.strictEqual(answered, 4)
    })
  )

  it.live("answers an HTTP/1.1 client that ended its side after the request", () =>
    Effect.gen(function* () {
      const { port } = yield* serve()
      const answer = yield* exchange(port, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi", true)
      assert.match(answer, /^HTTP\/1\.1 200 OK.*1\.1 2/s)
    })
  )

  it.live("closes connections that send garbage, break off, or speak broken HTTP/2", () =>
    Effect.gen(function* () {
      const { port } = yield* serve()
      assert.match(yield* exchange(port, "\0\u0001\u0002 garbage\r\n\r\n", false), /^HTTP\/1\.1 400 /)
      assert.strictEqual(yield* exchange(port, "PRI * HT", true), "")
      assert.strictEqual(yield* exchange(port, "", true), "")
      yield* exchange(port, `${preface}and now for something completely different`, false)
      yield* exchange(port, preface, true)
      assert.strictEqual(yield* http1Post(port, new Uint8Array(1)), "1.1 1")
    })
  )

  it.live("closes connections that say nothing, or not enough", () =>
    Effect.gen(function* () {
      const { port } = yield* serve({ silence: 20 })
      assert.strictEqual(yield* exchange(port, "", false), "")
      assert.strictEqual(yield* exchange(port, "PRI", false), "")
    })
  )

  it.live("says that a port is in use", () =>
    Effect.gen(function* () {
      const { port } = yield* serve()
      const error = yield* Effect.flip(serve({ port }))
      assert.instanceOf(error, StartError)
      assert.strictEqual(error.reason, "PortInUse")
      assert.strictEqual(error.message, `127.0.0.1:${port} is already in use`)
    })
  )

  it.live("says that an address or a port makes no sense", () =>
    Effect.gen(function* () {
      for (const options of [{ host: "no-such-host.invalid" }, { host: "192.0.2.1" }, { port: 65_536 }]) {
        const error = yield* Effect.flip(serve(options))
        assert.strictEqual(error.reason, "BadAddress")
        assert.notInclude(error.message, "\n")
      }
    })
  )

  it.live("frees the port when its scope closes, whoever is connected", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { port } = yield* Scope.provide(serve(), scope)
      const connected = yield* Effect.acquireRelease(
        Effect.callback<net.Socket>((resume) => {
          const socket = net.connect({ port, host: "127.0.0.1" }, () => resume(Effect.succeed(socket)))
        }),
        (socket) => Effect.sync(() => socket.destroy())
      )
      const closed = yield* Deferred.make<void>()
      connected
        .on("error", () => {})
        .on("close", () => Deferred.doneUnsafe(closed, Effect.void))
        .resume()
      yield* Scope.close(scope, Exit.void)
      yield* Deferred.await(closed)
      yield* serve({ port })
    })
  )

  it.live("lets open calls finish when its scope closes, after telling them", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const draining = yield* Deferred.make<void>()
      const waiting: Array<Response> = []
      const arrived = yield* Deferred.make<void>()
      const { port } = yield* Scope.provide(
        serve({
          grace: "20 seconds",
          onDrain: Effect.asVoid(Deferred.succeed(draining, undefined)),
          onRequest: (_, response) => {
            waiting.push(response)
            if (waiting.length === 2) Deferred.doneUnsafe(arrived, Effect.void)
          }
        }),
        scope
      )
      const first = yield* Effect.forkChild(http1Post(port, new Uint8Array(1)))
      const second = yield* Effect.forkChild(http2Post(port, new Uint8Array(1)))
      yield* Deferred.await(arrived)
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* Deferred.await(draining)
      for (const response of waiting) response.end("done")
      assert.strictEqual(yield* Fiber.join(first), "done")
      assert.strictEqual(yield* Fiber.join(second), "done")
      yield* Fiber.join(closing)
    })
  )

  it.live("cuts calls that don't finish within the grace", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const arrived = yield* Deferred.make<void>()
      const { port } = yield* Scope.provide(
        serve({ grace: 10, onRequest: () => void Deferred.doneUnsafe(arrived, Effect.void) }),
        scope
      )
      const cut = yield* Effect.forkChild(
        Effect.callback<string>((resume) => {
          const request = http.get({ port, host: "127.0.0.1" })
          request.on("error", (error: NodeJS.ErrnoException) => resume(Effect.succeed(String(error.code))))
        })
      )
      yield* Deferred.await(arrived)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(yield* Fiber.join(cut), "ECONNRESET")
    })
  )
})
