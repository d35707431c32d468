/** Runs the handler of a call and settles what its failure tells the caller. */
import type { DescMessage, MessageInitShape, MessageShape } from "@bufbuild/protobuf"
import { Cause, Effect, Result } from "effect"
import * as KagziError from "../KagziError.ts"
import { refusal } from "../protocol/errors.ts"
import { internalMessage } from "./errorEncoding.ts"
import type { Call, Entry, HandlerError, Needs } from "./Handler.ts"
import { continued } from "./trace.ts"

const internal = refusal(new KagziError.Internal({ message: internalMessage }))

/** What the caller is told of an error. */
export const detailOf = (error: HandlerError): KagziError.Detail => {
  if (error._tag === "Internal") return internal
  const detail = error._tag === "Recorded" ? error.detail : refusal(error)
  // half of a surrogate pair can't be written into a header
  return { ...detail, message: detail.message.toWellFormed() }
}

/** What the caller is told. Reasons of internal failures are for the log; the engine has logged those of its own. */
const told = (entry: Entry, cause: Cause.Cause<HandlerError>): Effect.Effect<never, KagziError.Detail> => {
  const error = Result.getOrUndefined(Cause.findError(cause))
  if (error !== undefined) {
    return Effect.fail(detailOf(error))
  }
  if (Cause.hasInterruptsOnly(cause)) return Effect.failCause(cause as Cause.Cause<never>)
  return Effect.andThen(
    Effect.logError(`${entry.method.parent.typeName}/${entry.method.name} failed`, cause),
    Effect.fail(internal)
  )
}

/** The answer to a call, or the detail of the error that it gets. */
export const dispatch = (
  entry: Entry,
  request: MessageShape<DescMessage>,
  call: Call
): Effect.Effect<MessageInitShape<DescMessage>, KagziError.Detail, Needs> =>
  Effect.suspend(() => entry.handler(request, call)).pipe(
    Effect.catchCause((cause) => told(entry, cause)),
    Effect.withSpan(
      `${entry.method.parent.typeName}/${entry.method.name}`,
      { kind: "server" },
      { captureStackTrace: false }
    ),
    (effect) => continued(effect, call.header("traceparent"))
  )
