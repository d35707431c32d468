/** What is checked of a request before anything is asked of the engine; each fails with `InvalidArgument`. */
import { Effect } from "effect"
import type { Payload as ProtoPayload } from "../../gen/kagzi/v1/common_pb.ts"
import * as KagziError from "../KagziError.ts"
import { readPayload, requested } from "../protocol/codec.ts"
import { leaseHeader, readLease } from "../protocol/extensions.ts"
import type { Payload } from "../Run.ts"
import type { Call } from "./Handler.ts"
import { MaxPayloadBytes } from "./Settings.ts"

/** Payloads over this many bytes are warned of. */
const largePayloadBytes = 1_048_576

export const invalid = (message: string): Effect.Effect<never, KagziError.InvalidArgument> =>
  Effect.fail(new KagziError.InvalidArgument({ message }))

/** Fails when the text is empty; `field` names it in the message. */
export const nonEmpty = (value: string, field: string): Effect.Effect<string, KagziError.InvalidArgument> =>
  value === "" ? invalid(`${field} must not be empty`) : Effect.succeed(value)

const uuidForm = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

/** Fails when the text is no UUID. Ids are compared in lower case. */
export const uuid = (value: string, field: string): Effect.Effect<string, KagziError.InvalidArgument> =>
  uuidForm.test(value)
    ? Effect.succeed(value.toLowerCase())
    : invalid(`${field} must be a UUID: ${value.slice(0, 100)}`)

/** The run that a request is about. */
export const ofRun = Effect.fnUntraced(function* (request: { readonly namespace: string; readonly runId: string }) {
  const namespace = yield* nonEmpty(request.namespace, "namespace")
  const runId = yield* uuid(request.runId, "run_id")
  return { namespace, runId }
})

/** The run that a request is about, with the lease in the header of the call if the peer knows of leases. */
export const underLease = Effect.fnUntraced(function* (
  request: { readonly namespace: string; readonly runId: string },
  call: Call
): Effect.fn.Return<
  { readonly namespace: string; readonly runId: string; readonly lease?: number },
  KagziError.InvalidArgument
> {
  const run = yield* ofRun(request)
  const lease = yield* requested(readLease(call.header(leaseHeader)))
  return lease === undefined ? run : { ...run, lease }
})

/** The payload, `null` if there is none. Fails when it is over the limit, and warns when it is large. */
export const payload = Effect.fnUntraced(function* (
  message: ProtoPayload | undefined,
  field: string
): Effect.fn.Return<Payload, KagziError.InvalidArgument> {
  const value = readPayload(message)
  const bytes = value.data.byteLength
  if (bytes > largePayloadBytes) {
    const maxPayloadBytes = yield* MaxPayloadBytes
    if (bytes > maxPayloadBytes) {
      return yield* invalid(`${field} has ${bytes} bytes, more than the ${maxPayloadBytes} allowed`)
    }
    yield* Effect.logWarning(`A payload is large: ${field} has ${bytes} bytes`)
  }
  return value
})
