/**
 * The last word on errors, before a response is written: every error carries an `ErrorDetail`, those of connect-es
 * itself included, in the form that fits the peer.
 *
 * A gRPC peer gets a trailers-only response with the bytes of the detail in `grpc-status-details-bin`. Peers of Connect
 * and gRPC-Web get a standard error detail.
 */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf"
import { base64Decode, base64Encode } from "@bufbuild/protobuf/wire"
import { Code, ConnectError } from "@connectrpc/connect"
import { encodeEnvelope } from "@connectrpc/connect/protocol"
import { errorFromJsonBytes, errorToJsonBytes } from "@connectrpc/connect/protocol-connect"
import { findTrailerError, setTrailerStatus } from "@connectrpc/connect/protocol-grpc"
import { trailerFlag, trailerParse, trailerSerialize } from "@connectrpc/connect/protocol-grpc-web"
import { type ErrorDetail, ErrorDetailSchema } from "../../gen/kagzi/v1/common_pb.ts"
import * as KagziError from "../KagziError.ts"
import { errorDetail } from "../protocol/codec.ts"
import { detailHeader, detailHeaderValue, meaning, refusal } from "../protocol/errors.ts"

/** A whole response, as it is about to be written. */
export interface Answer {
  readonly status: number
  readonly header: Headers
  readonly body: Uint8Array
  readonly trailer?: Headers
}

/** How the peer of a call speaks. */
export type WireProtocol = "grpc" | "grpc-web" | "connect"

/** The protocol of a request, by its content type. */
export const wireProtocol = (contentType: string | undefined): WireProtocol => {
  if (contentType === undefined) return "connect"
  if (contentType.startsWith("application/grpc-web")) return "grpc-web"
  return contentType.startsWith("application/grpc") ? "grpc" : "connect"
}

/** The largest request message, as the peers of the contract have it. */
export const maxMessageBytes = 4 * 1024 * 1024

/** What clients are told of a failure that only the server's log may explain. */
export const internalMessage = "Internal server error"

const undecodable = "parse binary: "

const withDetail = (code: Code, kind: KagziError.Code, message: string) => ({
  code,
  detail: refusal(KagziError.make(kind, message.toWellFormed()))
})

/** The detail of an error that connect-es raised by itself, and the status that says best what it means. */
export const classify = (error: ConnectError): { readonly code: Code; readonly detail: KagziError.Detail } => {
  const { code, rawMessage } = error
  switch (code) {
    // connect-es calls a message over its read limit exhausted; peers of the contract know it as out of range
    case Code.ResourceExhausted:
      return withDetail(Code.OutOfRange, "InvalidArgument", `The request is larger than ${maxMessageBytes} bytes`)
    case Code.Internal:
      return rawMessage.startsWith(undecodable)
        ? withDetail(
            Code.InvalidArgument,
            "InvalidArgument",
            `The request can't be decoded: ${rawMessage.slice(undecodable.length)}`
          )
        : withDetail(code, "Internal", internalMessage)
    default:
      return withDetail(code, meaning(error).code, rawMessage)
  }
}

const headersWithout = (headers: Headers, ...names: ReadonlyArray<string>) => {
  const copy = new Headers(headers)
  for (const name of names) copy.delete(name)
  return copy
}

// gRPC carries errors in headers, of which hyper and other clients take 16 KiB in all before they drop the connection.
const maxMessageHeader = 4096
const maxDetailHeader = 8192

/** The text, or as much of its beginning as fits. */
const shortened = (text: string, fits: (text: string) => boolean): string => {
  let kept = text
  while (!fits(kept)) kept = `${kept.slice(0, kept.length >> 1).toWellFormed()}…`
  return kept
}

const detailHeaderFor = (detail: ErrorDetail): string => base64Encode(toBinary(ErrorDetailSchema, detail), "std_raw")

/**
 * Text as gRPC wants it in `grpc-message`: printable ASCII as it is, but for the percent sign. Some clients decode no
 * more than that.
 */
const percentEncoded = (text: string): string => text.replace(/[^\x20-\x24\x26-\x7e]+/g, encodeURIComponent)

/** The headers of an error, without what would make them too large: metadata first, then the end of the message. */
const fitted = (header: Headers): Headers => {
  const message = header.get("grpc-message") ?? ""
  const value = header.get(detailHeader) ?? ""
  const text = decodeURIComponent(message)
  header.set("grpc-message", percentEncoded(text))
  if (message.length <= maxMessageHeader && value.length <= maxDetailHeader) return header
  const fits = (text: string) => percentEncoded(text).length <= maxMessageHeader
  const told = fromBinary(ErrorDetailSchema, base64Decode(value))
  const detail = create(ErrorDetailSchema, { ...told, message: shortened(told.message, fits) })
  header.set("grpc-message", percentEncoded(shortened(text, fits)))
  header.set(detailHeader, detailHeaderFor(detail))
  if ((header.get(detailHeader) ?? "").length > maxDetailHeader) {
    const small = (text: string) => text.length <= 256
    const subject = shortened(detail.subject, small)
    const subjectId = shortened(detail.subjectId, small)
    header.set(
      detailHeader,
      detailHeaderFor(create(ErrorDetailSchema, { ...detail, metadata: {}, subject, subjectId }))
    )
  }
  return header
}

const grpc = (answer: Answer): Answer => {
  const status = answer.trailer?.get("grpc-status") ?? "0"
  if (answer.trailer === undefined || status === "0") return answer
  // without a body, status and details travel in the header block, which ends the stream
  const header = headersWithout(answer.header, "grpc-encoding")
  answer.trailer.forEach((value, name) => {
    header.set(name, value)
  })
  if (!header.has(detailHeader)) {
    const { code, detail } = classify(findTrailerError(answer.trailer) ?? new ConnectError("", Code.Internal))
    setTrailerStatus(header, new ConnectError(detail.message, code))
    header.set(detailHeader, detailHeaderValue(detail))
  }
  return { status: 200, header: fitted(header), body: new Uint8Array(0) }
}

const standard = (error: ConnectError): ConnectError => {
  const { code, detail } = classify(error)
  return new ConnectError(detail.message, code, undefined, [{ desc: ErrorDetailSchema, value: errorDetail(detail) }])
}

const grpcWeb = (answer: Answer): Answer => {
  // an error has no message frame, so that the trailer comes first
  if (answer.status !== 200 || answer.body[0] !== trailerFlag) return answer
  const error = findTrailerError(trailerParse(answer.body.subarray(5)))
  if (error === undefined || error.details.length > 0) return answer
  const trailer = setTrailerStatus(new Headers(), standard(error))
  return { ...answer, body: encodeEnvelope(trailerFlag, trailerSerialize(trailer)) }
}

const httpStatus: { readonly [C in Code]: number } = {
  [Code.Canceled]: 499,
  [Code.Unknown]: 500,
  [Code.InvalidArgument]: 400,
  [Code.DeadlineExceeded]: 504,
  [Code.NotFound]: 404,
  [Code.AlreadyExists]: 409,
  [Code.PermissionDenied]: 403,
  [Code.ResourceExhausted]: 429,
  [Code.FailedPrecondition]: 400,
  [Code.Aborted]: 409,
  [Code.OutOfRange]: 400,
  [Code.Unimplemented]: 501,
  [Code.Internal]: 500,
  [Code.Unavailable]: 503,
  [Code.DataLoss]: 500,
  [Code.Unauthenticated]: 401
}

const connect = (answer: Answer): Answer => {
  if (answer.status === 200 || answer.header.get("content-type") !== "application/json") return answer
  const error = errorFromJsonBytes(answer.body, undefined, new ConnectError("", Code.Internal))
  if (error.details.length > 0) return answer
  const complete = standard(error)
  const body = errorToJsonBytes(complete, undefined)
  const header = headersWithout(answer.header, "content-encoding")
  header.set("content-length", `${body.byteLength}`)
  return { status: httpStatus[complete.code], header, body }
}

/** Completes the error of a response, if it is one. */
export const complete = (protocol: WireProtocol, answer: Answer): Answer => {
  switch (protocol) {
    case "grpc":
      return grpc(answer)
    case "grpc-web":
      return grpcWeb(answer)
    case "connect":
      return connect(answer)
  }
}
