import { fromBinary, type MessageInitShape, type MessageShape, toBinary, create } from "@bufbuild/protobuf"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Queue, Redacted, Scope } from "effect"
import type { Http2ServerRequest, ServerHttp2Stream } from "node:http2"
import { OpenSessionRequestSchema, OpenSessionResponseSchema, SessionService } from "../../gen/kagzi/v1/session_pb.ts"
import * as KagziError from "../../src/KagziError.ts"
import * as Envelopes from "../../src/protocol/envelopes.ts"
import { detailHeader, detailHeaderValue, statusCode } from "../../src/protocol/errors.ts"
import * as Node from "../../src/protocol/node.ts"
import * as Peer from "./peer.ts"

const dial = (options: Node.Options) =>
  Effect.map(Node.make(options), (rpc) => rpc.open!(SessionService.method.openSession))

const request = (id: number, text = ""): MessageInitShape<typeof OpenSessionRequestSchema> => ({
  commands: [{ id, command: { case: "deregister", value: { workerId: text } } }]
})

const envelope = (message: Uint8Array) => {
  const { at, bytes } = Envelopes.allocate(message.byteLength)
  bytes.set(message, at)
  return bytes
}

const response = (id: number, text = "") =>
  envelope(
    toBinary(
      OpenSessionResponseSchema,
      create(OpenSessionResponseSchema, { events: [{ id, event: { case: "error", value: { message: text } } }] })
    )
  )

const idsOf = (message: MessageShape<typeof OpenSessionResponseSchema>) => message.events.map(({ id }) => id)

const grpc = { ":status": 200, "content-type": "application/grpc+proto" }

/** Begins to answer. The stream ends with these trailers. */
const begin = (stream: ServerHttp2Stream, trailers: Record<string, string> = { "grpc-status": "0" }) => {
  stream.on("error", () => undefined)
  stream.respond(grpc, { waitForTrailers: true })
  // the response that comes with it sends none
  stream.removeAllListeners("wantTrailers")
  stream.on("wantTrailers", () => stream.sendTrailers(trailers))
}

/** Takes what a client sends. */
const hear = (stream: ServerHttp2Stream, heard: (id: number) => void) => {
  const split = Envelopes.splitter(1 << 24, (bytes) => {
    for (const { id } of fromBinary(OpenSessionRequestSchema, bytes).commands) heard(id)
  })
  stream.on("data", (chunk: Uint8Array) => {
    assert.isUndefined(split(chunk))
  })
}

const serve = (script: (stream: ServerHttp2Stream, request: Http2ServerRequest) => void) =>
  Peer.serveRaw((request) => script(request.stream, request))

/** What a call fails with when the server does this. */
const failureOf = (
  script: (stream: ServerHttp2Stream) => void,
  options: Partial<Node.Options> = {}
): Effect.Effect<KagziError.KagziError, unknown, Scope.Scope> =>
  Effect.gen(function* () {
    const { address } = yield* serve(script)
    const duplex = yield* yield* dial({ address, ...options })
    const error = yield* Effect.flip(duplex.receive)
    assert.strictEqual(yield* Effect.flip(duplex.receive), error)
    duplex.send(request(1))
    assert.strictEqual(duplex.waiting(), 0)
    return error
  })

const refused: KagziError.Detail = {
  code: "Conflict",
  message: "schon vergeben",
  nonRetryable: true,
  retryAfterMillis: 20,
  subject: "worker",
  subjectId: "7",
  metadata: { a: "b" }
}

const statusOf = (detail: KagziError.Detail) => ({
  "grpc-status": String(statusCode(detail.code)),
  "grpc-message": encodeURIComponent("what the status says"),
  [detailHeader]: detailHeaderValue(detail)
})

describe("messages of a call that streams both ways", () => {
  it.live("go there and back, with the headers of a call of gRPC", () =>
    Effect.gen(function* () {
      const seen: Array<unknown> = []
      const { address } = yield* serve((stream, { headers }) => {
        for (const name of [":method", ":path", "content-type", "te", "authorization", "grpc-accept-encoding"]) {
          seen.push(headers[name])
        }
        begin(stream)
        hear(stream, (id) => stream.write(response(id)))
      })
      const duplex = yield* yield* dial({ address, apiKey: Redacted.make("secret") })
      for (const id of [1, 2, 3]) {
        duplex.send(request(id))
        assert.deepStrictEqual(idsOf(yield* duplex.receive), [id])
      }
      assert.deepStrictEqual(seen, [
        "POST",
        "/kagzi.v1.SessionService/OpenSession",
        "application/grpc+proto",
        "trailers",
        "Bearer secret",
        undefined
      ])
    })
  )

  it.live("are whole wherever their bytes are cut", () =>
    Effect.gen(function* () {
      const both = Buffer.concat([response(1, "ö"), response(2)])
      const { address } = yield* serve((stream) => {
        begin(stream)
        // each piece leaves before the next is given
        const from = (cut: number) => {
          if (cut > both.byteLength) stream.end()
          else stream.write(both.subarray(0, cut), () => stream.write(both.subarray(cut), () => from(cut + 1)))
        }
        from(1)
      })
      const duplex = yield* yield* dial({ address })
      for (let cut = 1; cut <= both.byteLength; cut++) {
        const first = yield* duplex.receive
        assert.deepStrictEqual(idsOf(first), [1])
        assert.strictEqual((first.events[0]!.event.value as { message: string }).message, "ö")
        assert.deepStrictEqual(idsOf(yield* duplex.receive), [2])
      }
      assert.include((yield* Effect.flip(duplex.receive)).message, "has ended the call")
    })
  )

  it.live("come one by one when many come at once, empty ones too, and then what ended the call", () =>
    Effect.gen(function* () {
      const { address } = yield* serve((stream) => {
        begin(stream, statusOf(refused))
        stream.end(Buffer.concat([response(1), envelope(new Uint8Array(0)), response(2), response(3)]))
      })
      const duplex = yield* yield* dial({ address })
      const received = yield* Effect.all([duplex.receive, duplex.receive, duplex.receive, duplex.receive])
      assert.deepStrictEqual(received.map(idsOf), [[1], [], [2], [3]])
      assert.deepStrictEqual(KagziError.toDetail(yield* Effect.flip(duplex.receive)), refused)
      assert.deepStrictEqual(KagziError.toDetail(yield* Effect.flip(duplex.receive)), refused)
    })
  )

  it.live("may be large, and be read in many pieces", () =>
    Effect.gen(function* () {
      const text = "x".repeat(8 * 1024 * 1024)
      const { address } = yield* serve((stream) => {
        begin(stream)
        stream.write(response(1, text))
      })
      const duplex = yield* yield* dial({ address })
      const [event] = (yield* duplex.receive).events
      assert.strictEqual((event!.event.value as { message: string }).message.length, text.length)
    })
  )

  it.live("all come that were sent before the end, though the client sends while it has not read them", () =>
    Effect.gen(function* () {
      const count = 20
      const accepted = yield* Deferred.make<void>()
      const { address, sessions } = yield* serve((stream) => {
        begin(stream, statusOf(refused))
        for (let id = 1; id <= count; id++) stream.write(response(id, "x".repeat(6 * 1024)))
        stream.end()
        Deferred.doneUnsafe(accepted, Effect.void)
      })
      const duplex = yield* yield* dial({ address })
      yield* Deferred.await(accepted)
      const ping = Effect.callback<void>((resume) => {
        sessions[0]!.ping(() => resume(Effect.void))
      })
      yield* Effect.repeat(ping, { times: 10 })
      for (let id = 1; id <= count; id++) {
        duplex.send(request(id))
        assert.deepStrictEqual(idsOf(yield* duplex.receive), [id])
      }
      assert.deepStrictEqual(KagziError.toDetail(yield* Effect.flip(duplex.receive)), refused)
    })
  )

  it.live("wait when the server does not read, and none is lost", () =>
    Effect.gen(function* () {
      const count = 200
      const accepted = yield* Deferred.make<ServerHttp2Stream>()
      const { address } = yield* serve((stream) => {
        begin(stream)
        Deferred.doneUnsafe(accepted, Effect.succeed(stream))
      })
      const duplex = yield* yield* dial({ address })
      const text = "x".repeat(16 * 1024)
      const ids = Array.from({ length: count }, (_, index) => index + 1)
      for (const id of ids.slice(0, count / 2)) duplex.send(request(id, text))
      assert.strictEqual(duplex.waiting(), count / 2)
      const stream = yield* Deferred.await(accepted)
      for (const id of ids.slice(count / 2)) duplex.send(request(id, text))
      assert.isAbove(duplex.waiting(), count / 2)
      assert.isBelow(duplex.waiting(), count)
      const heard: Array<number> = []
      const all = yield* Deferred.make<void>()
      hear(stream, (id) => {
        heard.push(id)
        if (heard.length === count) Deferred.doneUnsafe(all, Effect.void)
      })
      yield* Deferred.await(all)
      assert.deepStrictEqual(heard, ids)
      assert.strictEqual(duplex.waiting(), 0)
    })
  )

  it.live("hold the server back when nobody receives them", () =>
    Effect.gen(function* () {
      const count = 100
      const size = 64 * 1024
      const accepted = yield* Deferred.make<ServerHttp2Stream>()
      let taken = 0
      const { address } = yield* serve((stream) => {
        begin(stream)
        const text = "x".repeat(size)
        const next = (id: number) => {
          if (id > count) return
          stream.write(response(id, text), () => {
            taken++
            next(id + 1)
          })
        }
        next(1)
        Deferred.doneUnsafe(accepted, Effect.succeed(stream))
      })
      const duplex = yield* yield* dial({ address })
      const stream = yield* Deferred.await(accepted)
      // The client has dealt with what came before a ping when it answers that.
      const ping = Effect.callback<void>((resume) => {
        stream.session!.ping(() => resume(Effect.void))
      })
      yield* Effect.repeat(ping, { times: 10 * count })
      assert.isBelow(taken, 10)
      for (let id = 1; id <= count; id++) assert.deepStrictEqual(idsOf(yield* duplex.receive), [id])
    })
  )
})

describe("a call that streams both ways", () => {
  it.live("fails with the detail of an answer that is headers alone", () =>
    Effect.gen(function* () {
      const error = yield* failureOf((stream) => stream.respond({ ...grpc, ...statusOf(refused) }, { endStream: true }))
      assert.deepStrictEqual(KagziError.toDetail(error), refused)
    })
  )

  it.live("fails with Unavailable when the server ends it", () =>
    Effect.gen(function* () {
      const error = yield* failureOf((stream) => {
        begin(stream)
        stream.end()
      })
      assert.strictEqual(error._tag, "Unavailable")
      assert.match(error.message, /^the server at .* has ended the call$/)
    })
  )

  it.live("fails with Unavailable when it ends without a status", () =>
    Effect.gen(function* () {
      const error = yield* failureOf((stream) => {
        stream.respond(grpc)
        stream.end(response(1).subarray(0, 3))
      })
      assert.strictEqual(error._tag, "Unavailable")
    })
  )

  it.live("fails with InvalidArgument when a message is too large", () =>
    Effect.gen(function* () {
      const script = (stream: ServerHttp2Stream) => {
        begin(stream)
        stream.write(response(1, "x".repeat(5_000)))
      }
      const error = yield* failureOf(script, { readMaxBytes: 1_000 })
      assert.strictEqual(error._tag, "InvalidArgument")
      assert.include(error.message, "1000")
    })
  )

  for (const [what, bytes] of [
    ["is compressed", Uint8Array.of(1, 0, 0, 0, 0)],
    ["has flags that mean nothing", Uint8Array.of(4, 0, 0, 0, 0)],
    ["is no message", Uint8Array.of(0, 0, 0, 0, 1, 0xff)]
  ] as const) {
    it.live(`fails with Internal when what comes ${what}`, () =>
      Effect.gen(function* () {
        const left = yield* Deferred.make<number>()
        const error = yield* failureOf((stream) => {
          begin(stream)
          stream.on("close", () => Deferred.doneUnsafe(left, Effect.succeed(stream.rstCode)))
          stream.write(bytes)
        })
        assert.strictEqual(error._tag, "Internal")
        assert.strictEqual(yield* Deferred.await(left), 8)
      })
    )
  }

  it.live("fails with something else than a lost connection where the server does not know it", () =>
    Effect.gen(function* () {
      const { address } = yield* Peer.serve({})
      const duplex = yield* yield* dial({ address })
      const error = yield* Effect.flip(duplex.receive)
      assert.strictEqual(error._tag, "Internal")
      assert.include(error.message, "does not know this call")
    })
  )

  for (const [status, tag] of [
    [404, "Internal"],
    [503, "Unavailable"],
    [200, "Internal"]
  ] as const) {
    it.live(`fails with ${tag} where something else answers ${status}`, () =>
      Effect.gen(function* () {
        const error = yield* failureOf((stream) => {
          stream.respond({ ":status": status, "content-type": "text/html" })
          stream.end("<html>")
        })
        assert.strictEqual(error._tag, tag)
      })
    )
  }

  for (const [name, code] of [
    ["INTERNAL_ERROR", 2],
    ["REFUSED_STREAM", 7],
    ["CANCEL", 8],
    ["ENHANCE_YOUR_CALM", 11],
    ["HTTP_1_1_REQUIRED", 13]
  ] as const) {
    for (const when of ["at once", "after a message"]) {
      it.live(`fails with Unavailable when it is reset with ${name} ${when}`, () =>
        Effect.gen(function* () {
          const heard = yield* Deferred.make<void>()
          const { address } = yield* serve((stream) => {
            if (when === "at once") {
              stream.close(code)
              return
            }
            begin(stream)
            stream.write(response(1))
            hear(stream, () => stream.close(code))
            Deferred.doneUnsafe(heard, Effect.void)
          })
          const duplex = yield* yield* dial({ address })
          if (when !== "at once") {
            assert.deepStrictEqual(idsOf(yield* duplex.receive), [1])
            duplex.send(request(1))
          }
          const error = yield* Effect.flip(duplex.receive)
          assert.strictEqual(error._tag, "Unavailable")
          assert.include(error.message, "error code")
        })
      )
    }
  }

  for (const [what, cut] of [
    ["is cut", (stream: ServerHttp2Stream) => stream.session?.destroy()],
    ["is given up", (stream: ServerHttp2Stream) => stream.session?.goaway(11)]
  ] as const) {
    it.live(`fails with Unavailable when its connection ${what}, and the next one gets through`, () =>
      Effect.gen(function* () {
        let calls = 0
        const { address } = yield* serve((stream) => {
          begin(stream)
          stream.write(response(1))
          if (++calls === 1) hear(stream, () => cut(stream))
        })
        const call = yield* dial({ address })
        const duplex = yield* call
        yield* duplex.receive
        duplex.send(request(1))
        assert.strictEqual((yield* Effect.flip(duplex.receive))._tag, "Unavailable")
        yield* (yield* call).receive
      })
    )
  }

  it.live("fails with Unavailable and the address where nothing listens", () =>
    Effect.gen(function* () {
      const peer = yield* Peer.serve({})
      yield* peer.stop
      const duplex = yield* yield* dial({ address: peer.address })
      duplex.send(request(1))
      const error = yield* Effect.flip(duplex.receive)
      assert.strictEqual(error._tag, "Unavailable")
      assert.include(error.message, peer.address)
      assert.include(error.message, "ECONNREFUSED")
      assert.strictEqual(duplex.waiting(), 0)
    })
  )

  it.live("fails with Unavailable where no HTTP/2 is spoken", () =>
    Effect.gen(function* () {
      const { address } = yield* Peer.serve({}, { kind: "http1" })
      const duplex = yield* yield* dial({ address })
      assert.strictEqual((yield* Effect.flip(duplex.receive))._tag, "Unavailable")
    })
  )

  it.live("notices a server that takes it and says nothing, not even that it lives", () =>
    Effect.gen(function* () {
      const address = yield* Peer.silent
      const duplex = yield* yield* dial({ address, keepAliveMillis: 20, keepAliveTimeoutMillis: 20 })
      assert.strictEqual((yield* Effect.flip(duplex.receive))._tag, "Unavailable")
    })
  )

  it.live("fails when the key can't be sent", () =>
    Effect.gen(function* () {
      const { address } = yield* Peer.serve({})
      const duplex = yield* yield* dial({ address, apiKey: "two\nlines" })
      assert.strictEqual((yield* Effect.flip(duplex.receive))._tag, "Internal")
    })
  )

  it.live("is cancelled when its scope is closed while it receives", () =>
    Effect.gen(function* () {
      const streams = yield* Queue.unbounded<ServerHttp2Stream>()
      const left = yield* Deferred.make<number>()
      const { address } = yield* serve((stream) => {
        begin(stream)
        stream.on("close", () => Deferred.doneUnsafe(left, Effect.succeed(stream.rstCode)))
        Queue.offerUnsafe(streams, stream)
      })
      const call = yield* dial({ address })
      const scope = yield* Scope.make()
      const duplex = yield* Scope.provide(call, scope)
      const fiber = yield* Effect.forkChild(Effect.flip(duplex.receive), { startImmediately: true })
      yield* Queue.take(streams)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* Fiber.join(fiber))._tag, "Unavailable")
      assert.strictEqual(yield* Deferred.await(left), 8)
    })
  )

  it.live("may receive again after a receive was interrupted", () =>
    Effect.gen(function* () {
      const { address } = yield* serve((stream) => {
        begin(stream)
        hear(stream, (id) => stream.write(response(id)))
      })
      const duplex = yield* yield* dial({ address })
      const fiber = yield* Effect.forkChild(duplex.receive, { startImmediately: true })
      yield* Fiber.interrupt(fiber)
      duplex.send(request(1))
      assert.deepStrictEqual(idsOf(yield* duplex.receive), [1])
    })
  )

  it.live("comes to nothing when its scope is closed before the connection is there", () =>
    Effect.gen(function* () {
      const { address } = yield* serve((stream) => {
        begin(stream)
        hear(stream, (id) => stream.write(response(id)))
      })
      const call = yield* dial({ address })
      const early = yield* Effect.scoped(Effect.tap(call, (duplex) => Effect.sync(() => duplex.send(request(1)))))
      assert.strictEqual((yield* Effect.flip(early.receive))._tag, "Unavailable")
      const duplex = yield* call
      duplex.send(request(2))
      assert.deepStrictEqual(idsOf(yield* duplex.receive), [2])
    })
  )
})
