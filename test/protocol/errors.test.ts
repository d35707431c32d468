import { fromBinary, toBinary } from "@bufbuild/protobuf"
import { base64Decode } from "@bufbuild/protobuf/wire"
import { Code, ConnectError } from "@connectrpc/connect"
import { assert, describe, it } from "@effect/vitest"
import { type ErrorCode as ProtoCode, ErrorCode, ErrorDetailSchema } from "../../gen/kagzi/v1/common_pb.ts"
import * as KagziError from "../../src/KagziError.ts"
import { errorDetail } from "../../src/protocol/codec.ts"
import {
  detailHeader,
  detailHeaderValue,
  fromConnectError,
  refusal,
  renamedDetailHeader,
  statusCode,
  toConnectError,
  toHandlerError
} from "../../src/protocol/errors.ts"

// The table of the contract: status, code of the detail, and whether the caller is told not to retry.
const table: ReadonlyArray<readonly [KagziError.Code, Code, ProtoCode, boolean]> = [
  ["InvalidArgument", Code.InvalidArgument, ErrorCode.INVALID_ARGUMENT, true],
  ["NotFound", Code.NotFound, ErrorCode.NOT_FOUND, true],
  ["PreconditionFailed", Code.FailedPrecondition, ErrorCode.PRECONDITION_FAILED, true],
  ["Conflict", Code.Aborted, ErrorCode.CONFLICT, false],
  ["Unauthorized", Code.PermissionDenied, ErrorCode.UNAUTHORIZED, true],
  ["Unavailable", Code.Unavailable, ErrorCode.UNAVAILABLE, false],
  ["Timeout", Code.DeadlineExceeded, ErrorCode.TIMEOUT, false],
  ["Internal", Code.Internal, ErrorCode.INTERNAL, true]
]

const recorded: KagziError.Detail = {
  code: "Unavailable",
  message: "the bank ist müde %",
  nonRetryable: true,
  retryAfterMillis: 1_500,
  subject: "step",
  subjectId: "42",
  metadata: { tag: "Declined" }
}

const wireError = (code: Code, message: string, headers: Record<string, string> = { "grpc-status": String(code) }) =>
  new ConnectError(message, code, headers)

describe("errors", () => {
  it("has a row for every code", () => {
    assert.deepStrictEqual(table.map(([code]) => code).toSorted(), [...KagziError.codes].toSorted())
  })

  for (const [code, status, protoCode, nonRetryable] of table) {
    it(`sends ${code} as the contract says and reads it back`, () => {
      const error = KagziError.make(code, "why", { subject: "workflow", subjectId: "7" })
      assert.strictEqual(statusCode(code), status)

      const grpc = toConnectError(error, "grpc")
      assert.strictEqual(grpc.code, status)
      assert.strictEqual(grpc.rawMessage, "why")
      assert.lengthOf(grpc.details, 0)
      const value = detailHeaderValue(refusal(error))
      assert.notInclude(value, "=")
      const detail = fromBinary(ErrorDetailSchema, base64Decode(value))
      assert.strictEqual(detail.code, protoCode)
      assert.strictEqual(detail.nonRetryable, nonRetryable)
      assert.strictEqual(detail.message, "why")
      const overGrpc = fromConnectError(wireError(status, "why", { [renamedDetailHeader]: value }))
      assert.deepStrictEqual(KagziError.toDetail(overGrpc), refusal(error))

      for (const protocol of ["connect", "grpc-web"]) {
        const standard = toConnectError(error, protocol)
        assert.strictEqual(standard.code, status)
        assert.deepStrictEqual(KagziError.toDetail(fromConnectError(standard)), refusal(error))
      }
    })

    it(`knows ${code} by its status alone`, () => {
      const read = fromConnectError(wireError(status, "why"))
      assert.strictEqual(read._tag, code)
      assert.strictEqual(read.message, "why")
    })
  }

  it("sends a recorded failure as it was recorded", () => {
    const read = fromConnectError(toConnectError(recorded, "connect"))
    assert.deepStrictEqual(KagziError.toDetail(read), recorded)
  })

  it("puts the detail into the trailer for gRPC peers, and leaves the trailer alone for others", () => {
    const grpc = { protocolName: "grpc", responseTrailer: new Headers() }
    assert.lengthOf(toHandlerError(recorded, grpc).details, 0)
    assert.strictEqual(grpc.responseTrailer.get(detailHeader), detailHeaderValue(recorded))
    const connect = { protocolName: "connect", responseTrailer: new Headers() }
    assert.lengthOf(toHandlerError(recorded, connect).details, 1)
    assert.isNull(connect.responseTrailer.get(detailHeader))
  })

  it("takes no google.rpc.Status and no garbage for a detail", () => {
    const detail = { ...recorded, message: "other" }
    const bytes = toBinary(ErrorDetailSchema, errorDetail(detail))
    // the first field of a google.rpc.Status repeats the status code
    const status = Uint8Array.from(bytes)
    status[1] = Code.NotFound
    for (const value of [Buffer.from(status).toString("base64"), "!!", "//////", ""]) {
      const read = fromConnectError(wireError(Code.NotFound, "gone", { [renamedDetailHeader]: value }))
      assert.strictEqual(read._tag, "NotFound")
      assert.strictEqual(read.message, "gone")
    }
  })

  it("calls everything that the connection does Unavailable, naming the peer", () => {
    const node = Object.assign(new Error("connect ECONNREFUSED 127.0.0.1:1"), { code: "ECONNREFUSED" })
    const broken = [
      new ConnectError(node.message, Code.Unavailable, undefined, undefined, node),
      new ConnectError("socket hang up", Code.Aborted, undefined, undefined, node),
      new ConnectError("write EPIPE", Code.Internal, undefined, undefined, node),
      new ConnectError("http/2 stream closed with error code CANCEL (0x8)", Code.Canceled),
      new ConnectError("http/2 stream closed with error code INTERNAL_ERROR (0x2)", Code.Internal),
      new ConnectError("protocol error: missing status", Code.Internal),
      new ConnectError("PING timed out", Code.Unavailable)
    ]
    for (const reason of broken) {
      const error = fromConnectError(reason, "the server at http://h:1")
      assert.strictEqual(error._tag, "Unavailable", reason.message)
      assert.include(error.message, "http://h:1")
    }
  })

  it("says why none of the addresses of a name answers", () => {
    const refusedAt = (ip: string) => Object.assign(new Error(`connect ECONNREFUSED ${ip}:1`), { code: "ECONNREFUSED" })
    const several = Object.assign(new AggregateError([refusedAt("::1"), refusedAt("127.0.0.1")]), {
      code: "ECONNREFUSED"
    })
    const error = fromConnectError(new ConnectError("", Code.Unavailable, undefined, undefined, several), "it")
    assert.strictEqual(error.message, "Can't reach it: connect ECONNREFUSED ::1:1")
  })

  it("does not take an answer for a broken connection", () => {
    assert.strictEqual(fromConnectError(wireError(Code.Aborted, "taken"))._tag, "Conflict")
    assert.strictEqual(fromConnectError(wireError(Code.Internal, "broken"))._tag, "Internal")
  })

  it("reads a message that is too large as InvalidArgument, and other exhaustion as Unavailable", () => {
    const size = "message size 9 is larger than configured readMaxBytes 8"
    assert.strictEqual(fromConnectError(new ConnectError(size, Code.ResourceExhausted))._tag, "InvalidArgument")
    assert.strictEqual(fromConnectError(wireError(Code.OutOfRange, "length too large"))._tag, "InvalidArgument")
    assert.strictEqual(fromConnectError(wireError(Code.ResourceExhausted, "slow down"))._tag, "Unavailable")
  })

  it("reads a call that the server does not know as a failure that no retry mends", () => {
    const error = fromConnectError(wireError(Code.Unimplemented, "no such method"))
    assert.strictEqual(error._tag, "Internal")
    assert.isTrue(error.nonRetryable)
  })

  it("makes an error of anything thrown", () => {
    assert.strictEqual(fromConnectError("odd")._tag, "Internal")
    assert.strictEqual(fromConnectError(new TypeError("bug")).message, "bug")
  })
})
