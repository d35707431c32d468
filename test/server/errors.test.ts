import { create } from "@bufbuild/protobuf"
import { Code, ConnectError, createClient } from "@connectrpc/connect"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Logger } from "effect"
import { AdminService } from "../../gen/kagzi/v1/admin_pb.ts"
import { ErrorCode, ErrorDetailSchema } from "../../gen/kagzi/v1/common_pb.ts"
import { ExecutionService } from "../../gen/kagzi/v1/execution_pb.ts"
import { WorkflowService } from "../../gen/kagzi/v1/workflow_pb.ts"
import * as KagziError from "../../src/KagziError.ts"
import * as enums from "../../src/protocol/enums.ts"
import * as NodeRpc from "../../src/protocol/node.ts"
import { entry, type HandlerError, Recorded } from "../../src/server/Handler.ts"
import { grpcError, grpcFailure, rawCall, rawGrpc, start, startWith, transports } from "./support.ts"

const getWorkflow = WorkflowService.method.getWorkflow

interface Row {
  readonly name: string
  readonly error: Effect.Effect<never, HandlerError>
  readonly status: Code
  readonly code: ErrorCode
  readonly nonRetryable: boolean
  readonly message: string
  readonly subject?: string
  readonly subjectId?: string
  readonly retryAfterMs?: bigint
}

const rows: ReadonlyArray<Row> = [
  {
    name: "invalid argument",
    error: Effect.fail(KagziError.make("InvalidArgument", "näme must not be empty: 100 %")),
    status: Code.InvalidArgument,
    code: ErrorCode.INVALID_ARGUMENT,
    nonRetryable: true,
    message: "näme must not be empty: 100 %"
  },
  {
    name: "not found",
    error: Effect.fail(KagziError.make("NotFound", "There is no workflow 7", { subject: "workflow", subjectId: "7" })),
    status: Code.NotFound,
    code: ErrorCode.NOT_FOUND,
    nonRetryable: true,
    message: "There is no workflow 7",
    subject: "workflow",
    subjectId: "7"
  },
  {
    name: "precondition failed",
    error: Effect.fail(KagziError.make("PreconditionFailed", "Workflow 7 is COMPLETED")),
    status: Code.FailedPrecondition,
    code: ErrorCode.PRECONDITION_FAILED,
    nonRetryable: true,
    message: "Workflow 7 is COMPLETED"
  },
  {
    name: "conflict",
    error: Effect.fail(KagziError.make("Conflict", "It exists")),
    status: Code.Aborted,
    code: ErrorCode.CONFLICT,
    nonRetryable: false,
    message: "It exists"
  },
  {
    name: "unauthorized",
    error: Effect.fail(KagziError.make("Unauthorized", "Not you")),
    status: Code.PermissionDenied,
    code: ErrorCode.UNAUTHORIZED,
    nonRetryable: true,
    message: "Not you"
  },
  {
    name: "unavailable",
    error: Effect.fail(KagziError.make("Unavailable", "Not now")),
    status: Code.Unavailable,
    code: ErrorCode.UNAVAILABLE,
    nonRetryable: false,
    message: "Not now"
  },
  {
    name: "timeout",
    error: Effect.fail(KagziError.make("Timeout", "Too long")),
    status: Code.DeadlineExceeded,
    code: ErrorCode.TIMEOUT,
    nonRetryable: false,
    message: "Too long"
  },
  {
    name: "internal",
    error: Effect.fail(KagziError.make("Internal", "secret of the server")),
    status: Code.Internal,
    code: ErrorCode.INTERNAL,
    nonRetryable: true,
    message: "Internal server error"
  },
  {
    name: "recorded failure",
    error: Effect.fail(
      new Recorded({
        detail: {
          code: "Internal",
          message: "card declined",
          nonRetryable: false,
          retryAfterMillis: 1500,
          subject: "card",
          subjectId: "4",
          metadata: {}
        }
      })
    ),
    status: Code.Internal,
    code: ErrorCode.INTERNAL,
    nonRetryable: false,
    message: "card declined",
    subject: "card",
    subjectId: "4",
    retryAfterMs: 1500n
  }
]

const expected = (row: Row) =>
  create(ErrorDetailSchema, {
    code: row.code,
    message: row.message,
    nonRetryable: row.nonRetryable,
    subject: row.subject ?? "",
    subjectId: row.subjectId ?? "",
    retryAfterMs: row.retryAfterMs ?? 0n
  })

/** The error that a call ends with. */
const failure = (call: () => Promise<unknown>) =>
  Effect.promise(() =>
    call().then(
      () => assert.fail("the call succeeded"),
      (reason: unknown) => ConnectError.from(reason)
    )
  )

/** All but stock connect-es on gRPC, which takes the bytes of our detail for a google.rpc.Status. */
const standardTransports = (baseUrl: string) => transports(baseUrl).filter(([name]) => name !== "gRPC")

describe("an error of a handler", () => {
  for (const row of rows) {
    it.live(`says ${row.name} to a gRPC client in a response of headers alone`, () =>
      Effect.gen(function* () {
        const server = yield* startWith([entry(getWorkflow, () => row.error)])
        const answer = yield* rawGrpc(server, getWorkflow, { namespace: "n", runId: "7" })
        assert.strictEqual(answer.headers[":status"], 200)
        assert.strictEqual(answer.body.byteLength, 0)
        assert.deepStrictEqual(Object.keys(answer.trailers), [])
        assert.notMatch(String(answer.headers["grpc-status-details-bin"]), /=$/)
        const { detail, message, status } = grpcError(answer)
        assert.strictEqual(status, row.status)
        assert.strictEqual(message, row.message)
        assert.deepStrictEqual(detail, expected(row))
      })
    )

    it.live(`says ${row.name} to a stock gRPC client, which gives its own bytes back`, () =>
      Effect.gen(function* () {
        const server = yield* startWith([entry(getWorkflow, () => row.error)])
        const failure = yield* grpcFailure(server, getWorkflow, { namespace: "n", runId: "7" })
        assert.deepStrictEqual(failure, { code: row.status, message: row.message, detail: expected(row) })
      })
    )

    it.live(`says ${row.name} to gRPC-Web and Connect clients in a standard detail`, () =>
      Effect.gen(function* () {
        const server = yield* startWith([entry(getWorkflow, () => row.error)])
        for (const [name, transport] of standardTransports(server)) {
          const client = createClient(WorkflowService, transport)
          const error = yield* failure(() => client.getWorkflow({ namespace: "n", runId: "7" }))
          assert.strictEqual(error.code, row.status, name)
          assert.strictEqual(error.rawMessage, row.message, name)
          assert.deepStrictEqual(error.findDetails(ErrorDetailSchema), [expected(row)], name)
        }
      })
    )
  }
})

describe("an error of a handler, as our own client sees it,", () => {
  for (const protocol of ["grpc", "grpc-web", "connect"] as const) {
    it.live(`is the same over ${protocol}`, () =>
      Effect.gen(function* () {
        for (const row of rows) {
          const server = yield* startWith([entry(getWorkflow, () => row.error)])
          const { call } = yield* NodeRpc.make({ address: server, protocol })
          const error = yield* Effect.flip(call(getWorkflow, { namespace: "n", runId: "7" }))
          assert.strictEqual(enums.errorCode.toProto(error._tag), row.code)
          assert.strictEqual(error.message, row.message)
          assert.strictEqual(error.nonRetryable, row.nonRetryable)
          assert.strictEqual(error.subject, row.subject)
          assert.strictEqual(error.subjectId, row.subjectId)
        }
      })
    )
  }
})

describe("a very long error", () => {
  const long = (detail: Partial<KagziError.Detail>) =>
    Effect.gen(function* () {
      const recorded = new Recorded({
        detail: {
          code: "Conflict",
          message: "short",
          nonRetryable: true,
          subject: "card",
          subjectId: "4",
          metadata: { a: "b" },
          ...detail
        }
      })
      const server = yield* startWith([entry(getWorkflow, () => Effect.fail(recorded))])
      const answer = yield* rawGrpc(server, getWorkflow, {})
      assert.isBelow(JSON.stringify(answer.headers).length, 16_384)
      return grpcError(answer)
    })

  it.live("keeps its code, and as much of its message as gRPC's headers have room for", () =>
    Effect.gen(function* () {
      const { detail, message, status } = yield* long({ message: "😀x".repeat(500_000) })
      assert.strictEqual(status, Code.Aborted)
      assert.match(message, /^😀x.*…$/u)
      assert.strictEqual(detail.message, message)
      assert.deepInclude(detail, {
        code: ErrorCode.CONFLICT,
        nonRetryable: true,
        subject: "card",
        metadata: { a: "b" }
      })
    })
  )

  it.live("loses metadata that has no room there", () =>
    Effect.gen(function* () {
      const { detail } = yield* long({ metadata: { trace: "x".repeat(100_000) } })
      assert.deepInclude(detail, { code: ErrorCode.CONFLICT, message: "short", subject: "card", metadata: {} })
    })
  )

  it.live("may hold text that is no Unicode", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* long({ message: "half \ud83d" })).message, "half \ufffd")
    })
  )
})

describe("a defect of a handler", () => {
  it.live("is told to clients as an internal error, and its cause to the log alone", () => {
    const logged: Array<string> = []
    const logger = Logger.make(({ cause, message }) => logged.push(`${message} ${Cause.pretty(cause)}`))
    return Effect.gen(function* () {
      const server = yield* startWith([entry(getWorkflow, () => Effect.die(new Error("secret of the server")))])
      const answer = yield* rawGrpc(server, getWorkflow, { namespace: "n", runId: "7" })
      const { detail, message, status } = grpcError(answer)
      assert.strictEqual(status, Code.Internal)
      assert.strictEqual(message, "Internal server error")
      assert.deepStrictEqual(
        detail,
        create(ErrorDetailSchema, { code: ErrorCode.INTERNAL, message, nonRetryable: true })
      )
      assert.notInclude(JSON.stringify(answer.headers), "secret")
      assert.lengthOf(logged, 1)
      assert.match(logged.join(), /WorkflowService\/GetWorkflow failed.*secret of the server/s)
    }).pipe(Effect.provide(Logger.layer([logger])))
  })
})

describe("an error of the transport", () => {
  const framework = (code: ErrorCode, message: string, nonRetryable = true) =>
    create(ErrorDetailSchema, { code, message, nonRetryable })

  it.live("names a method that is not implemented, of a known or an unknown service", () =>
    Effect.gen(function* () {
      const server = yield* start()
      for (const path of ["kagzi.v1.AdminService/GetNothing", "kagzi.v1.NoService/GetStats", "other.v1.A/B"]) {
        const { detail, message, status } = grpcError(yield* rawCall(server, `/${path}`, Buffer.alloc(5)))
        assert.strictEqual(status, Code.Unimplemented)
        assert.strictEqual(message, `${path} is not implemented`)
        assert.deepStrictEqual(detail, framework(ErrorCode.INTERNAL, message))
      }
      for (const [name, transport] of standardTransports(server)) {
        const { getStats } = AdminService.method
        const unknown = [
          { ...getStats, name: "GetNothing" },
          { ...getStats, parent: { ...AdminService, typeName: "kagzi.v1.NoService" } }
        ]
        for (const method of unknown) {
          const error = yield* failure(() => transport.unary(method, undefined, undefined, undefined, {}))
          assert.strictEqual(error.code, Code.Unimplemented, name)
          assert.match(error.rawMessage, /is not implemented$/, name)
          assert.strictEqual(error.findDetails(ErrorDetailSchema)[0]?.code, ErrorCode.INTERNAL, name)
        }
      }
    })
  )

  it.live("says out of range for a message over 4 MiB, and the connection stays usable", () =>
    Effect.gen(function* () {
      const server = yield* start()
      const big = { namespace: "n", externalId: "e", taskQueue: "q", workflowType: "t", version: "1" }
      const input = { data: new Uint8Array(4 * 1024 * 1024) }
      const start_ = WorkflowService.method.startWorkflow
      const { detail, message, status } = grpcError(yield* rawGrpc(server, start_, { ...big, input }))
      assert.strictEqual(status, Code.OutOfRange)
      assert.deepStrictEqual(detail, framework(ErrorCode.INVALID_ARGUMENT, message))
      for (const [name, transport] of standardTransports(server).filter(([name]) => !name.startsWith("JSON"))) {
        const client = createClient(WorkflowService, transport)
        const error = yield* failure(() => client.startWorkflow({ ...big, input }))
        assert.strictEqual(error.code, Code.OutOfRange, name)
        assert.strictEqual(error.rawMessage, "The request is larger than 4194304 bytes", name)
        assert.deepStrictEqual(error.findDetails(ErrorDetailSchema), [detail], name)
        const small = yield* Effect.promise(() => client.startWorkflow(big))
        assert.match(small.runId, /^[0-9a-f-]{36}$/, name)
      }
    })
  )

  it.live("says invalid argument for bytes that can't be decoded", () =>
    Effect.gen(function* () {
      const server = yield* start()
      const path = "/kagzi.v1.WorkflowService/GetWorkflow"
      const garbage = Buffer.from([0x0a, 0xff, 0xff, 0xff])
      const framed = Buffer.concat([Buffer.from([0, 0, 0, 0, garbage.length]), garbage])
      const { detail, message, status } = grpcError(yield* rawCall(server, path, framed))
      assert.strictEqual(status, Code.InvalidArgument)
      assert.match(message, /^The request can't be decoded/)
      assert.deepStrictEqual(detail, framework(ErrorCode.INVALID_ARGUMENT, message))

      const cut = grpcError(yield* rawCall(server, path, Buffer.from([0, 0, 0, 0, 9, 1])))
      assert.strictEqual(cut.status, Code.InvalidArgument)
      assert.strictEqual(cut.detail.code, ErrorCode.INVALID_ARGUMENT)

      for (const [type, body] of [
        ["application/json", "{"],
        ["application/json", `{"namespace": 7}`],
        ["application/proto", garbage]
      ] as const) {
        const response = yield* Effect.promise(() =>
          fetch(server + path, { method: "POST", headers: { "content-type": type }, body })
        )
        const json = (yield* Effect.promise(() => response.json())) as {
          readonly code: string
          readonly details: ReadonlyArray<{ readonly type: string; readonly debug: { readonly code: string } }>
        }
        assert.strictEqual(response.status, 400)
        assert.strictEqual(json.code, "invalid_argument")
        assert.strictEqual(json.details[0]?.type, "kagzi.v1.ErrorDetail")
        assert.strictEqual(json.details[0]?.debug.code, "ERROR_CODE_INVALID_ARGUMENT")
      }
    })
  )

  it.live("says deadline exceeded when the caller's deadline passes", () =>
    Effect.gen(function* () {
      const method = ExecutionService.method.awaitResult
      const server = yield* startWith([entry(method, () => Effect.never)])
      const answer = yield* rawGrpc(server, method, {}, { "grpc-timeout": "20m" })
      const { detail, message, status } = grpcError(answer)
      assert.strictEqual(status, Code.DeadlineExceeded)
      assert.deepStrictEqual(detail, framework(ErrorCode.TIMEOUT, message, false))

      const path = `${server}/kagzi.v1.ExecutionService/AwaitResult`
      const headers = { "content-type": "application/json", "connect-timeout-ms": "20" }
      const response = yield* Effect.promise(() => fetch(path, { method: "POST", headers, body: "{}" }))
      assert.strictEqual(response.status, 504)
      const json = (yield* Effect.promise(() => response.json())) as {
        readonly code: string
        readonly details: unknown
      }
      assert.strictEqual(json.code, "deadline_exceeded")
      assert.lengthOf(json.details as ReadonlyArray<unknown>, 1)
    })
  )
})
