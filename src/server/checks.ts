/**
 * What is checked of a request before anything is asked of the engine.
 *
 * The checks answer a `Result` whose failure says what is wrong. What they are called without `read` is the same as an
 * effect that fails with `InvalidArgument`.
 */
import { Effect, Result } from "effect"
import type { Payload as ProtoPayload } from "../../gen/kagzi/v1/common_pb.ts"
import * as KagziError from "../KagziError.ts"
import { type Read, readPayload as decodePayload, requested } from "../protocol/codec.ts"
import type { Payload } from "../Run.ts"
import { MaxPayloadBytes } from "./Settings.ts"

/** Payloads over this many bytes are warned of. */
const largePayloadBytes = 1_048_576

export const invalid = (message: string): Effect.Effect<never, KagziError.InvalidArgument> =>
  Effect.fail(new KagziError.InvalidArgument({ message }))

/** Fails when the text is empty; `field` names it in the message. */
export const readNonEmpty = (value: string, field: string): Read<string> =>
  value === "" ? Result.fail(`${field} must not be empty`) : Result.succeed(value)

export const nonEmpty = (value: string, field: string): Effect.Effect<string, KagziError.InvalidArgument> =>
  requested(readNonEmpty(value, field))

const uuidForm = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

/** Fails when the text is no UUID. Ids are compared in lower case. */
export const readUuid = (value: string, field: string): Read<string> =>
  uuidForm.test(value)
    ? Result.succeed(value.toLowerCase())
    : Result.fail(`${field} must be a UUID: ${value.slice(0, 100)}`)

export const uuid = (value: string, field: string): Effect.Effect<string, KagziError.InvalidArgument> =>
  requested(readUuid(value, field))

interface OfRun {
  readonly namespace: string
  readonly runId: string
}

/** The run that a request is about. */
export const readRun = (request: OfRun): Read<OfRun> => {
  if (request.namespace === "") return Result.fail("namespace must not be empty")
  const runId = readUuid(request.runId, "run_id")
  return Result.isFailure(runId)
    ? Result.fail(runId.failure)
    : Result.succeed({ namespace: request.namespace, runId: runId.success })
}

export const ofRun = (request: OfRun): Effect.Effect<OfRun, KagziError.InvalidArgument> => requested(readRun(request))

/** What a server lets payloads be, and who is told of large ones. */
export interface PayloadLimits {
  readonly maxPayloadBytes: number
  readonly warn: (message: string) => void
}

/** The payload, `null` if there is none. Fails when it is over the limit, and warns when it is large. */
export const readPayload = (
  message: ProtoPayload | undefined,
  field: string,
  { maxPayloadBytes, warn }: PayloadLimits
): Read<Payload> => {
  const value = decodePayload(message)
  const bytes = value.data.byteLength
  if (bytes > maxPayloadBytes) {
    return Result.fail(`${field} has ${bytes} bytes, more than the ${maxPayloadBytes} allowed`)
  }
  if (bytes > largePayloadBytes) warn(`A payload is large: ${field} has ${bytes} bytes`)
  return Result.succeed(value)
}

/** Reads with the limits of this server, and logs what was warned of. */
export const limited = Effect.fnUntraced(function* <A>(
  read: (limits: PayloadLimits) => Read<A>
): Effect.fn.Return<A, KagziError.InvalidArgument> {
  const warnings: Array<string> = []
  const found = read({ maxPayloadBytes: yield* MaxPayloadBytes, warn: (message) => warnings.push(message) })
  for (const warning of warnings) yield* Effect.logWarning(warning)
  return yield* requested(found)
})

export const payload = (message: ProtoPayload | undefined, field: string) =>
  limited((limits) => readPayload(message, field, limits))
