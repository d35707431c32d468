/**
 * Errors of Kagzi as errors of an RPC, both ways.
 *
 * gRPC peers get the bytes of one `ErrorDetail` in the header `grpc-status-details-bin`; peers that speak Connect or
 * gRPC-Web get it as a standard error detail.
 */
import { fromBinary, toBinary } from "@bufbuild/protobuf"
import { base64Decode, base64Encode } from "@bufbuild/protobuf/wire"
import { Code, ConnectError, type HandlerContext } from "@connectrpc/connect"
import { ErrorDetailSchema } from "../../gen/kagzi/v1/common_pb.ts"
import * as KagziError from "../KagziError.ts"
import { errorDetail, readErrorDetail } from "./codec.ts"

/** The header of gRPC that carries the detail of an error, here the bytes of an `ErrorDetail`. */
export const detailHeader = "grpc-status-details-bin"

/**
 * The name under which our transport hides that header. Left in place, connect-es reads the bytes as a
 * `google.rpc.Status` and takes code and message from there, so that a "not found" arrives as "canceled".
 */
export const renamedDetailHeader = "kagzi-error-detail-bin"

/** Hides it. */
export const renameDetail = (headers: Headers): void => {
  const value = headers.get(detailHeader)
  if (value === null) return
  headers.delete(detailHeader)
  headers.set(renamedDetailHeader, value)
}

interface Refusal {
  readonly code: Code
  /** Whether the server's own refusals with that code tell the caller not to retry. */
  readonly nonRetryable: boolean
}

const refusals = {
  NotFound: { code: Code.NotFound, nonRetryable: true },
  InvalidArgument: { code: Code.InvalidArgument, nonRetryable: true },
  PreconditionFailed: { code: Code.FailedPrecondition, nonRetryable: true },
  Conflict: { code: Code.Aborted, nonRetryable: false },
  Unauthorized: { code: Code.PermissionDenied, nonRetryable: true },
  Unavailable: { code: Code.Unavailable, nonRetryable: false },
  Internal: { code: Code.Internal, nonRetryable: true },
  Timeout: { code: Code.DeadlineExceeded, nonRetryable: false }
} as const satisfies { readonly [C in KagziError.Code]: Refusal }

/** The RPC status code of an error. */
export const statusCode = (code: KagziError.Code): Code => refusals[code].code

/** What a server sends of an error of its own: whether to retry is fixed for each code by the contract. */
export const refusal = (error: KagziError.KagziError): KagziError.Detail => ({
  ...KagziError.toDetail(error),
  nonRetryable: refusals[error._tag].nonRetryable
})

/** The value of the detail header: the bytes in base64 without padding. */
export const detailHeaderValue = (detail: KagziError.Detail): string =>
  base64Encode(toBinary(ErrorDetailSchema, errorDetail(detail)), "std_raw")

const asDetail = (error: KagziError.KagziError | KagziError.Detail): KagziError.Detail =>
  KagziError.isKagziError(error) ? refusal(error) : error

/**
 * The error for a handler to end with. An error is sent as the server's own refusal; a detail, such as the recorded
 * failure of a step, is sent as it is.
 *
 * **Gotchas**
 *
 * For a gRPC peer the detail must go into the response trailer too, because connect-es has no other way to send it:
 * `toHandlerError` does both.
 */
export const toConnectError = (
  error: KagziError.KagziError | KagziError.Detail,
  protocolName: string
): ConnectError => {
  const detail = asDetail(error)
  return new ConnectError(
    detail.message,
    statusCode(detail.code),
    undefined,
    protocolName === "grpc" ? undefined : [{ desc: ErrorDetailSchema, value: errorDetail(detail) }]
  )
}

/** Prepares the response of a handler for an error, and gives the error to end the handler with. */
export const toHandlerError = (
  error: KagziError.KagziError | KagziError.Detail,
  context: Pick<HandlerContext, "protocolName" | "responseTrailer">
): ConnectError => {
  const detail = asDetail(error)
  if (context.protocolName === "grpc") context.responseTrailer.set(detailHeader, detailHeaderValue(detail))
  return toConnectError(detail, context.protocolName)
}

const decodeDetailHeader = (value: string, code: Code): KagziError.Detail | undefined => {
  try {
    const message = fromBinary(ErrorDetailSchema, base64Decode(value))
    // A peer that is not Kagzi (a proxy, say) sends a google.rpc.Status here, whose first field repeats the status
    // code; no code of ours has the number of its own status.
    return (message.code as number) === code || message.code === 0 ? undefined : readErrorDetail(message)
  } catch {
    return undefined
  }
}

const findDetail = (error: ConnectError): KagziError.Detail | undefined => {
  const header = error.metadata.get(renamedDetailHeader)
  if (header !== null) return decodeDetailHeader(header, error.code)
  const [standard] = error.findDetails(ErrorDetailSchema)
  return standard === undefined ? undefined : readErrorDetail(standard)
}

const causes = (error: unknown): ReadonlyArray<Error> => {
  const chain: Array<Error> = []
  let next = error
  while (next instanceof Error && !chain.includes(next)) {
    chain.push(next)
    next = next.cause
  }
  return chain
}

const isNodeError = (error: Error) => "code" in error && typeof error.code === "string"

// What connect-es says when an answer breaks off, or when it gives up on a connection.
const brokenOff =
  /^(http\/2 stream closed|PING timed out|connection aborted|sentinel completed|protocol error: (missing|promised)|premature|http\/2 connection closed|received GOAWAY|expected open session)/

/** Whether an error comes from the connection and not from the peer, whose errors bring headers along. */
const isTransportFailure = (error: ConnectError, chain: ReadonlyArray<Error>): boolean =>
  [...error.metadata.keys()].length === 0 &&
  (error.code === Code.Unavailable ||
    error.code === Code.Canceled ||
    error.code === Code.Aborted ||
    chain.some(isNodeError) ||
    brokenOff.test(error.rawMessage))

/** Of connections that were not made, so that nothing was sent over them. */
const unreached: ReadonlySet<unknown> = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "EHOSTDOWN",
  "ENETDOWN"
])

/** Whether the server can't have seen the call that failed so. */
export const isUnreached = (reason: unknown): boolean =>
  causes(reason).some((error) => "code" in error && unreached.has(error.code))

const oversize = /message (size|length)|too large|larger than/i

/** What an error without a detail of ours says by its status alone. */
export const meaning = (error: ConnectError): { readonly code: KagziError.Code; readonly nonRetryable?: boolean } => {
  switch (error.code) {
    case Code.InvalidArgument:
    case Code.OutOfRange:
      return { code: "InvalidArgument" }
    case Code.ResourceExhausted:
      return { code: oversize.test(error.rawMessage) ? "InvalidArgument" : "Unavailable" }
    case Code.NotFound:
      return { code: "NotFound" }
    case Code.FailedPrecondition:
      return { code: "PreconditionFailed" }
    case Code.AlreadyExists:
    case Code.Aborted:
      return { code: "Conflict" }
    case Code.PermissionDenied:
    case Code.Unauthenticated:
      return { code: "Unauthorized" }
    case Code.Unavailable:
    case Code.Canceled:
      return { code: "Unavailable" }
    case Code.DeadlineExceeded:
      return { code: "Timeout" }
    case Code.Unimplemented:
    case Code.DataLoss:
      return { code: "Internal", nonRetryable: true }
    case Code.Internal:
    case Code.Unknown:
      return { code: "Internal" }
  }
}

/**
 * The error behind whatever a call failed with. `peer` is named in messages about the connection, and as the one that
 * answered where the answer itself says little.
 */
export const fromConnectError = (reason: unknown, peer = "the server"): KagziError.KagziError => {
  const error = ConnectError.from(reason)
  const detail = findDetail(error)
  if (detail !== undefined) return KagziError.fromDetail(detail)
  const chain = causes(error)
  if (isTransportFailure(error, chain)) {
    // An address with several IPs fails with an AggregateError, which has no message of its own.
    const root = chain.findLast(isNodeError)
    const inner = root instanceof AggregateError ? root.errors.find((e) => e instanceof Error) : root
    return KagziError.make("Unavailable", `Can't reach ${peer}: ${inner?.message || error.rawMessage}`)
  }
  const { code, nonRetryable } = meaning(error)
  const message =
    error.code === Code.Unimplemented
      ? `${peer} does not know this call: ${error.rawMessage}`
      : error.rawMessage || `${peer} answered ${Code[error.code]}`
  return KagziError.make(code, message, nonRetryable === undefined ? {} : { nonRetryable })
}
