/** The standard services, asked as their tools ask: with stock clients and stubs of the public protos. */
import * as http2 from "node:http2"
import { create, createFileRegistry, fromBinary, toBinary } from "@bufbuild/protobuf"
import { type FileDescriptorProto, FileDescriptorProtoSchema, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt"
import { Code, ConnectError, createClient } from "@connectrpc/connect"
import { createGrpcTransport } from "@connectrpc/connect-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Exit, Logger, Scope } from "effect"
import { Health, HealthCheckResponse_ServingStatus as ServingStatus } from "../../gen/grpc/health/v1/health_pb.ts"
import {
  ServerReflectionRequestSchema,
  type ServerReflectionResponse,
  ServerReflectionResponseSchema
} from "../../gen/grpc/reflection/v1/reflection_pb.ts"
import { frame, start, transports } from "./support.ts"

const run = <A>(call: () => Promise<A>): Effect.Effect<A> => Effect.promise(call)

const codeOf = (call: () => Promise<unknown>): Effect.Effect<Code> =>
  Effect.promise(() =>
    call().then(
      () => assert.fail("the call succeeded"),
      (reason: unknown) => ConnectError.from(reason).code
    )
  )

describe("the health of a server", () => {
  for (const [index, [name]] of transports("http://127.0.0.1").entries()) {
    it.live(`is told over ${name}`, () =>
      Effect.gen(function* () {
        const [, transport] = transports(yield* start())[index] ?? assert.fail("no such transport")
        const health = createClient(Health, transport)
        assert.strictEqual((yield* run(() => health.check({}))).status, ServingStatus.SERVING)
        const service = "kagzi.v1.WorkflowService"
        assert.strictEqual((yield* run(() => health.check({ service }))).status, ServingStatus.SERVING)
        assert.strictEqual(yield* codeOf(() => health.check({ service: "nobody" })), Code.NotFound)
        const { statuses } = yield* run(() => health.list({}))
        assert.strictEqual(statuses[""]?.status, ServingStatus.SERVING)
        assert.strictEqual(statuses[service]?.status, ServingStatus.SERVING)
        assert.isUndefined(statuses.nobody)
      })
    )
  }

  it.live("can be watched: the status comes at once, and the watch goes on until the caller ends it", () =>
    Effect.gen(function* () {
      const health = createClient(Health, createGrpcTransport({ baseUrl: yield* start() }))
      for (const [service, status] of [
        ["", ServingStatus.SERVING],
        ["nobody", ServingStatus.SERVICE_UNKNOWN]
      ] as const) {
        const ended = new AbortController()
        const watch = health.watch({ service }, { signal: ended.signal })[Symbol.asyncIterator]()
        const first = yield* run(() => watch.next())
        assert.strictEqual(first.value?.status, status)
        const next = watch.next()
        ended.abort()
        assert.strictEqual(yield* codeOf(() => next), Code.Canceled)
      }
    })
  )

  it.live("leaves nothing in the log when those who watch go away", () => {
    const lines: Array<unknown> = []
    return Effect.gen(function* () {
      for (const [name, transport] of transports(yield* start())) {
        const health = createClient(Health, transport)
        const ended = new AbortController()
        const watch = health.watch({}, { signal: ended.signal })[Symbol.asyncIterator]()
        yield* run(() => watch.next())
        const next = watch.next()
        ended.abort()
        assert.strictEqual(yield* codeOf(() => next), Code.Canceled)
        // by this answer the server has seen that
        yield* run(() => health.check({}))
        assert.deepStrictEqual(lines, [], name)
      }
    }).pipe(Effect.provide(Logger.layer([Logger.make(({ message }) => void lines.push(message))])))
  })

  it.live("is no longer told to those who watch when the server stops", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const baseUrl = yield* Effect.provideService(start(), Scope.Scope, scope)
      const health = createClient(Health, createGrpcTransport({ baseUrl }))
      const watch = health.watch({})[Symbol.asyncIterator]()
      yield* run(() => watch.next())
      const next = codeOf(() => watch.next())
      const closing = yield* Effect.forkChild(
        Scope.close(scope, { _tag: "Success", value: undefined } as Exit.Exit<void>)
      )
      assert.strictEqual(yield* next, Code.Unavailable)
      closing.interruptUnsafe()
    })
  )
})

/** An exchange as grpcurl has it: one stream, one request after the answer to the one before. */
const converse = (baseUrl: string, version: "v1" | "v1alpha") => {
  const session = http2.connect(baseUrl)
  const stream = session.request({
    ":method": "POST",
    ":path": `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`,
    "content-type": "application/grpc",
    te: "trailers"
  })
  let received = Buffer.alloc(0)
  let waiting: ((answer: ServerReflectionResponse) => void) | undefined
  stream.on("data", (chunk: Buffer) => {
    received = Buffer.concat([received, chunk])
    const length = received.length < 5 ? Number.POSITIVE_INFINITY : received.readUInt32BE(1)
    if (received.length < 5 + length) return
    const message = received.subarray(5, 5 + length)
    received = received.subarray(5 + length)
    waiting?.(fromBinary(ServerReflectionResponseSchema, message))
  })
  const status = new Promise<unknown>((resolve) =>
    stream.on("trailers", (trailers) => resolve(trailers["grpc-status"]))
  )
  return {
    ask: (request: NonNullable<Parameters<typeof create<typeof ServerReflectionRequestSchema>>[1]>["messageRequest"]) =>
      Effect.promise(() => {
        const answer = new Promise<ServerReflectionResponse>((resolve) => {
          waiting = resolve
        })
        const message = create(ServerReflectionRequestSchema, { host: "here", messageRequest: request! })
        stream.write(frame(toBinary(ServerReflectionRequestSchema, message)))
        return answer
      }),
    end: Effect.promise(() => {
      stream.end()
      return status.finally(() => session.close())
    })
  }
}

const filesOf = ({ messageResponse }: ServerReflectionResponse): ReadonlyArray<FileDescriptorProto> => {
  if (messageResponse.case !== "fileDescriptorResponse") return assert.fail(String(messageResponse.case))
  return messageResponse.value.fileDescriptorProto.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes))
}

describe("reflection", () => {
  for (const version of ["v1", "v1alpha"] as const) {
    it.live(`tells the services and the files that declare them, in ${version}`, () =>
      Effect.gen(function* () {
        const { ask, end } = converse(yield* start(), version)
        const listed = yield* ask({ case: "listServices", value: "*" })
        assert.strictEqual(listed.validHost, "here")
        assert.strictEqual(listed.originalRequest?.messageRequest.case, "listServices")
        if (listed.messageResponse.case !== "listServicesResponse") return assert.fail()
        const names = listed.messageResponse.value.service.map(({ name }) => name)
        assert.includeMembers(names, [
          "grpc.health.v1.Health",
          "grpc.reflection.v1.ServerReflection",
          "grpc.reflection.v1alpha.ServerReflection",
          "kagzi.v1.AdminService",
          "kagzi.v1.ExecutionService",
          "kagzi.v1.NamespaceService",
          "kagzi.v1.WorkerService",
          "kagzi.v1.WorkflowService"
        ])
        assert.deepStrictEqual(names, [...new Set(names)].sort())

        // Everything that a client needs to call a service it knows by name alone.
        const file = filesOf(yield* ask({ case: "fileContainingSymbol", value: "kagzi.v1.WorkflowService" }))
        const registry = createFileRegistry(create(FileDescriptorSetSchema, { file: [...file].reverse() }))
        const service = registry.getService("kagzi.v1.WorkflowService")
        assert.strictEqual(service?.method.startWorkflow?.input.typeName, "kagzi.v1.StartWorkflowRequest")
        assert.include(
          file.map(({ name }) => name),
          "google/protobuf/timestamp.proto"
        )
        // What was sent before is not sent again beside what is asked for.
        const common = filesOf(yield* ask({ case: "fileByFilename", value: "kagzi/v1/common.proto" }))
        assert.deepStrictEqual(
          common.map(({ name }) => name),
          ["kagzi/v1/common.proto"]
        )

        const symbols = [
          ["kagzi.v1.Payload", "kagzi/v1/common.proto"],
          [".kagzi.v1.Payload", "kagzi/v1/common.proto"],
          ["kagzi.v1.WorkerService.PollTask", "kagzi/v1/worker.proto"],
          ["kagzi.v1.Payload.data", "kagzi/v1/common.proto"],
          ["kagzi.v1.STEP_KIND_SLEEP", "kagzi/v1/worker.proto"],
          ["kagzi.v1.ErrorCode", "kagzi/v1/common.proto"],
          ["google.protobuf.Timestamp", "google/protobuf/timestamp.proto"],
          ["grpc.health.v1.HealthCheckResponse.SERVICE_UNKNOWN", "grpc/health/v1/health.proto"],
          ["grpc.health.v1.HealthCheckResponse.ServingStatus", "grpc/health/v1/health.proto"]
        ] as const
        for (const [value, name] of symbols) {
          assert.strictEqual(filesOf(yield* ask({ case: "fileContainingSymbol", value }))[0]?.name, name, value)
        }
        assert.strictEqual(yield* end, "0")
      })
    )
  }

  it.live("says what it does not know, and goes on", () =>
    Effect.gen(function* () {
      const { ask, end } = converse(yield* start(), "v1")
      for (const request of [
        { case: "fileContainingSymbol", value: "kagzi.v1.Nothing" },
        { case: "fileContainingSymbol", value: "kagzi.v1.Payload.nothing" },
        { case: "fileContainingSymbol", value: "" },
        { case: "fileByFilename", value: "nothing.proto" },
        { case: "allExtensionNumbersOfType", value: "kagzi.v1.Nothing" },
        { case: "fileContainingExtension", value: { containingType: "kagzi.v1.Payload", extensionNumber: 7 } }
      ] as const) {
        const { messageResponse } = yield* ask(request as Parameters<typeof ask>[0])
        if (messageResponse.case !== "errorResponse") return assert.fail(String(messageResponse.case))
        assert.strictEqual(messageResponse.value.errorCode, Code.NotFound)
      }
      const none = yield* ask({ case: "allExtensionNumbersOfType", value: "kagzi.v1.Payload" })
      assert.deepStrictEqual(
        none.messageResponse.case === "allExtensionNumbersResponse" && none.messageResponse.value.extensionNumber,
        []
      )
      const empty = yield* ask({ case: undefined })
      assert.strictEqual(empty.messageResponse.case, "errorResponse")
      assert.strictEqual(yield* end, "0")
    })
  )
})
