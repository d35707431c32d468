import { Code, ConnectError } from "@connectrpc/connect"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Redacted, Tracer } from "effect"
import { WorkflowService } from "../../gen/kagzi/v1/workflow_pb.ts"
import * as KagziError from "../../src/KagziError.ts"
import { detailHeader, detailHeaderValue, toHandlerError } from "../../src/protocol/errors.ts"
import * as Node from "../../src/protocol/node.ts"
import * as Rpc from "../../src/protocol/Rpc.ts"
import { certificate } from "./certificate.ts"
import * as Peer from "./peer.ts"

const client = (options: Node.Options) => Effect.map(Node.make(options), (rpc) => Rpc.client(WorkflowService, rpc))

const input = { namespace: "default", runId: "r" }

const recorded: KagziError.Detail = {
  code: "Conflict",
  message: "schon vergeben",
  nonRetryable: true,
  retryAfterMillis: 20,
  subject: "workflow",
  subjectId: "7",
  metadata: { a: "b" }
}

const never = (context: Peer.HandlerContext) =>
  new Promise<never>((_, reject) => {
    context.signal.addEventListener("abort", () => reject(context.signal.reason))
  })

const protocols = [
  { protocol: "grpc", kind: "http2" },
  { protocol: "grpc-web", kind: "http1" },
  { protocol: "connect", kind: "http1" }
] as const

for (const { kind, protocol } of protocols) {
  describe(`Rpc over ${protocol}`, () => {
    it.live("carries a call there and its answer back", () =>
      Effect.gen(function* () {
        const { address } = yield* Peer.serve(
          { startWorkflow: (request) => ({ runId: `run of ${request.externalId}`, alreadyExists: true }) },
          { kind }
        )
        const workflows = yield* client({ address, protocol })
        const reply = yield* workflows.startWorkflow({ externalId: "ö" })
        assert.strictEqual(reply.runId, "run of ö")
        assert.isTrue(reply.alreadyExists)
      })
    )

    it.live("reads an error with its detail", () =>
      Effect.gen(function* () {
        const { address } = yield* Peer.serve(
          { getWorkflow: (_, context) => Promise.reject(toHandlerError(recorded, context)) },
          { kind }
        )
        const workflows = yield* client({ address, protocol })
        const error = yield* Effect.flip(workflows.getWorkflow(input))
        assert.deepStrictEqual(KagziError.toDetail(error), recorded)
      })
    )

    it.live("reads an error without a detail by its status", () =>
      Effect.gen(function* () {
        const { address } = yield* Peer.serve(
          { getWorkflow: () => Promise.reject(new ConnectError("no such run", Code.NotFound)) },
          { kind }
        )
        const workflows = yield* client({ address, protocol })
        const error = yield* Effect.flip(workflows.getWorkflow(input))
        assert.strictEqual(error._tag, "NotFound")
        assert.strictEqual(error.message, "no such run")
      })
    )

    it.live("fails with a message that names the call when the server does not know it", () =>
      Effect.gen(function* () {
        const { address } = yield* Peer.serve({}, { kind })
        const workflows = yield* client({ address, protocol })
        const error = yield* Effect.flip(workflows.getWorkflow(input))
        assert.strictEqual(error._tag, "Internal")
        assert.isTrue(error.nonRetryable)
        assert.include(error.message, "GetWorkflow")
      })
    )

    it.live("fails with Timeout when the answer takes too long", () =>
      Effect.gen(function* () {
        const { address } = yield* Peer.serve({ getWorkflow: (_, context) => never(context) }, { kind })
        const workflows = yield* client({ address, protocol })
        const error = yield* Effect.flip(workflows.getWorkflow(input, { timeoutMillis: 30 }))
        assert.strictEqual(error._tag, "Timeout")
      })
    )

    it.live("aborts the call when the effect is interrupted", () =>
      Effect.gen(function* () {
        const begun = yield* Deferred.make<void>()
        const aborted = yield* Deferred.make<void>()
        const { address } = yield* Peer.serve(
          {
            getWorkflow: (_, context) => {
              Deferred.doneUnsafe(begun, Effect.void)
              context.signal.addEventListener("abort", () => Deferred.doneUnsafe(aborted, Effect.void))
              return never(context)
            }
          },
          { kind }
        )
        const workflows = yield* client({ address, protocol })
        const fiber = yield* Effect.forkChild(workflows.getWorkflow(input))
        yield* Deferred.await(begun)
        yield* Fiber.interrupt(fiber)
        assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(fiber)))
        yield* Deferred.await(aborted)
      })
    )

    it.live("fails with Unavailable and the address where nothing listens", () =>
      Effect.gen(function* () {
        const peer = yield* Peer.serve({}, { kind })
        yield* peer.stop
        const workflows = yield* client({ address: peer.address, protocol })
        const error = yield* Effect.flip(workflows.getWorkflow(input))
        assert.strictEqual(error._tag, "Unavailable")
        assert.include(error.message, peer.address)
        assert.include(error.message, "ECONNREFUSED")
      })
    )

    it.live("fails with Unavailable when the server dies in a call, and reaches its successor", () =>
      Effect.gen(function* () {
        const begun = yield* Deferred.make<void>()
        const peer = yield* Peer.serve(
          {
            getWorkflow: (_, context) => {
              Deferred.doneUnsafe(begun, Effect.void)
              return never(context)
            }
          },
          { kind }
        )
        const workflows = yield* client({ address: peer.address, protocol })
        const fiber = yield* Effect.forkChild(Effect.flip(workflows.getWorkflow(input)))
        yield* Deferred.await(begun)
        yield* peer.stop
        assert.strictEqual((yield* Fiber.join(fiber))._tag, "Unavailable")
        yield* Peer.serve({ getWorkflow: () => ({}) }, { kind, port: peer.port })
        const reply = yield* workflows.getWorkflow(input)
        assert.isUndefined(reply.workflow)
      })
    )

    it.live("fails with InvalidArgument when the answer is too large", () =>
      Effect.gen(function* () {
        const { address } = yield* Peer.serve({ startWorkflow: () => ({ runId: "x".repeat(5_000) }) }, { kind })
        const workflows = yield* client({ address, protocol, readMaxBytes: 1_000 })
        const error = yield* Effect.flip(workflows.startWorkflow({}))
        assert.strictEqual(error._tag, "InvalidArgument")
        assert.include(error.message, "1000")
      })
    )

    it.live("sends the key, the trace and the headers of the call", () =>
      Effect.gen(function* () {
        const seen: Array<string | null> = []
        const { address } = yield* Peer.serve(
          {
            startWorkflow: (_, context) => {
              for (const name of ["authorization", "traceparent", "kagzi-lease"]) {
                seen.push(context.requestHeader.get(name))
              }
              return {}
            }
          },
          { kind }
        )
        const workflows = yield* client({ address, protocol, apiKey: Redacted.make("secret") })
        yield* workflows.startWorkflow({}, { headers: { "kagzi-lease": "3" } })
        const span = { traceId: "0af7651916cd43dd8448eb211c80319c", spanId: "b7ad6b7169203331", sampled: true }
        yield* Effect.withParentSpan(workflows.startWorkflow({}), Tracer.externalSpan(span))
        assert.deepStrictEqual(seen, [
          "Bearer secret",
          null,
          "3",
          "Bearer secret",
          "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
          null
        ])
      })
    )
  })
}

describe("Rpc over grpc", () => {
  for (const code of KagziError.codes) {
    it.live(`reads ${code} from a server that answers with headers alone`, () =>
      Effect.gen(function* () {
        const detail = { ...recorded, code }
        const { address } = yield* Peer.serveRaw((_, response) => {
          response.writeHead(200, {
            "content-type": "application/grpc",
            "grpc-status": String(toHandlerError(detail, grpcContext()).code),
            "grpc-message": encodeURIComponent(detail.message),
            [detailHeader]: detailHeaderValue(detail)
          })
          response.end()
        })
        const workflows = yield* client({ address })
        const error = yield* Effect.flip(workflows.getWorkflow(input))
        assert.deepStrictEqual(KagziError.toDetail(error), detail)
      })
    )
  }

  it.live("opens further connections for calls that would wait behind long polls", () =>
    Effect.gen(function* () {
      const polls = 25
      let waiting = 0
      const allWait = yield* Deferred.make<void>()
      const end = yield* Deferred.make<void>()
      const peer = yield* Peer.serve(
        {
          getWorkflow: () => {
            waiting++
            if (waiting === polls) Deferred.doneUnsafe(allWait, Effect.void)
            return Effect.runPromise(Effect.as(Deferred.await(end), {}))
          },
          startWorkflow: () => ({ runId: "quick" })
        },
        { settings: { maxConcurrentStreams: 10 } }
      )
      const workflows = yield* client({ address: peer.address, callsPerConnection: 10 })
      const fiber = yield* Effect.forkChild(
        Effect.all(
          Array.from({ length: polls }, () => workflows.getWorkflow(input)),
          { concurrency: "unbounded", discard: true }
        )
      )
      yield* Deferred.await(allWait)
      assert.strictEqual((yield* workflows.startWorkflow({})).runId, "quick")
      yield* Deferred.succeed(end, undefined)
      yield* Fiber.join(fiber)
      yield* workflows.startWorkflow({})
      assert.lengthOf(peer.sessions, 3)
    })
  )

  it.live("notices a server that takes calls and says nothing, not even that it lives", () =>
    Effect.gen(function* () {
      const address = yield* Peer.silent
      const workflows = yield* client({ address, keepAliveMillis: 20, keepAliveTimeoutMillis: 20 })
      const error = yield* Effect.flip(workflows.getWorkflow(input))
      assert.strictEqual(error._tag, "Unavailable")
    })
  )

  it.live("speaks TLS to https addresses, and only with certificates that it trusts", () =>
    Effect.gen(function* () {
      const { address } = yield* Peer.serve({ startWorkflow: () => ({ runId: "safe" }) }, { kind: "tls" })
      const trusting = yield* client({ address, ca: certificate })
      assert.strictEqual((yield* trusting.startWorkflow({})).runId, "safe")
      const wary = yield* client({ address })
      const error = yield* Effect.flip(wary.startWorkflow({}))
      assert.strictEqual(error._tag, "Unavailable")
      assert.include(error.message, "certificate")
    })
  )

  it.live("fails with Unavailable or Internal, not with a defect, where something else listens", () =>
    Effect.gen(function* () {
      const { address } = yield* Peer.serveRaw((_, response) => {
        response.writeHead(404, { "content-type": "text/plain" })
        response.end("not here")
      })
      const workflows = yield* client({ address })
      const error = yield* Effect.flip(workflows.getWorkflow(input))
      assert.include(["Internal", "Unavailable"], error._tag)
    })
  )
})

describe("address of a server", () => {
  for (const [address, reason] of [
    ["", "empty"],
    ["http://", "HOST:PORT"],
    ["ftp://host:1", "scheme"],
    ["http://host:99999", "HOST:PORT"],
    ["http://user:pw@host:1", "apiKey"],
    ["http://host:1/path", "end after the port"]
  ] as const) {
    it.effect(`is refused when it is ${JSON.stringify(address)}`, () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(Layer.build(Node.layer({ address })))
        assert.strictEqual(error._tag, "InvalidArgument")
        assert.include(error.message, reason)
      })
    )
  }

  it.live("may leave out the scheme", () =>
    Effect.gen(function* () {
      const { port } = yield* Peer.serve({ startWorkflow: () => ({ runId: "here" }) })
      const workflows = yield* client({ address: `localhost:${port}` })
      assert.strictEqual((yield* workflows.startWorkflow({})).runId, "here")
    })
  )
})

const grpcContext = () => ({ protocolName: "grpc", responseTrailer: new Headers() })
