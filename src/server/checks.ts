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

/**
 * Why a text can't be stored as it is, if so; `field` names it in the message. No database tells a lone surrogate from
 * another, and PostgreSQL has no U+0000. What failures, payloads and labels say is stored as JSON, which escapes both.
 */
export const textProblem = (value: string, field: string): string | undefined =>
  value.includes("\u0000")
    ? `${field} must not contain U+0000`
    : value.isWellFormed()
      ? undefined
      : `${field} must be valid Unicode`

/** The same for a text that must say something. */
export const nameProblem = (value: string, field: string): string | undefined =>
  value === "" ? `${field} must not be empty` : textProblem(value, field)

/** The first of those texts that can't be stored as it is. */
export const textsProblem = (values: ReadonlyArray<string>, field: string): string | undefined => {
  for (const value of values) {
    const problem = textProblem(value, field)
    if (problem !== undefined) return problem
  }
  return undefined
}

const readAs = <A>(value: A, problem: string | undefined): Read<A> =>
  problem === undefined ? Result.succeed(value) : Result.fail(problem)

/** Fails when the text is empty or can't be stored. */
export const readNonEmpty = (value: string, field: string): Read<string> => readAs(value, nameProblem(value, field))

/** Fails when a text can't be stored. Where none is given there is nothing to check. */
export const storable = <A extends string | undefined>(
  value: A,
  field: string
): Effect.Effect<A, KagziError.InvalidArgument> =>
  requested(readAs(value, value === undefined ? undefined : textProblem(value, field)))

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
  const problem = nameProblem(request.namespace, "namespace")
  if (problem !== undefined) return Result.fail(problem)
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
