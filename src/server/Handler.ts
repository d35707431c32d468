/**
 * What answers a call: a plain effect, whichever way the call came in.
 *
 * The listener and the in-process transport share one table of handlers, keyed by method.
 */
import type { DescMethodUnary, MessageInitShape, MessageShape } from "@bufbuild/protobuf"
import { Data, type Effect } from "effect"
import type { Engine } from "../engine/Engine.ts"
import type * as KagziError from "../KagziError.ts"

/** A call beside its message. */
export interface Call {
  /** A header of the request; the name in lower case. */
  readonly header: (name: string) => string | null
  /** Succeeds when the server goes down, so that a call that only waits ends. */
  readonly draining: Effect.Effect<void>
  /** Whether whoever calls this way may open a session too. */
  readonly streams: boolean
  /** What to run unless the call succeeds and its answer is delivered, as far as can be known. */
  readonly ifUndelivered: (undo: Effect.Effect<void, never, Needs>) => void
}

/** A failure that was recorded earlier and is answered as it was, not as a refusal of this call. */
export class Recorded extends Data.TaggedError("Recorded")<{ readonly detail: KagziError.Detail }> {}

export type HandlerError = KagziError.KagziError | Recorded

/** What handlers need. */
export type Needs = Engine

/** Answers calls of one method. */
export type Handler<I extends DescMethodUnary["input"], O extends DescMethodUnary["output"]> = (
  request: MessageShape<I>,
  call: Call
) => Effect.Effect<MessageInitShape<O>, HandlerError, Needs>

/** A method and its handler. */
export interface Entry {
  readonly method: DescMethodUnary
  readonly handler: Handler<DescMethodUnary["input"], DescMethodUnary["output"]>
}

/** Pairs a method with its handler. */
export const entry = <I extends DescMethodUnary["input"], O extends DescMethodUnary["output"]>(
  method: DescMethodUnary<I, O>,
  handler: Handler<I, O>
): Entry => ({
  method,
  // messages reach a handler only by its own method, so that their types are right though the table forgets them
  handler: handler as unknown as Entry["handler"]
})
