/**
 * Services of public standards, which tools bring their own clients for: their methods may stream, and their errors are
 * a status and a message, without the details of our own contract.
 */
import { ServerResponse } from "node:http"
import type { DescMethod, MessageInitShape, MessageShape } from "@bufbuild/protobuf"
import { Code, ConnectError, createConnectRouter, type HandlerContext } from "@connectrpc/connect"
import type { UniversalHandler } from "@connectrpc/connect/protocol"
import { universalRequestFromNodeRequest, universalResponseToNodeResponse } from "@connectrpc/connect-node"
import { Cause, type Context, Effect, Option, Stream } from "effect"
import type * as KagziError from "../KagziError.ts"
import { refusal, statusCode } from "../protocol/errors.ts"
import { internalMessage, maxMessageBytes } from "./errorEncoding.ts"
import type { Needs } from "./Handler.ts"
import type { Request, Response } from "./listener.ts"

/** Answers requests that come one by one: a single one, for a method that takes no stream. */
type Answer<I extends DescMethod["input"], O extends DescMethod["output"]> = (
  requests: Stream.Stream<MessageShape<I>, ConnectError>
) => Stream.Stream<MessageInitShape<O>, KagziError.KagziError | ConnectError, Needs>

/** A method of a standard service, and what answers it. */
export interface StandardEntry {
  readonly method: DescMethod
  readonly answer: Answer<DescMethod["input"], DescMethod["output"]>
}

/** Pairs a method with what answers it. */
export const standardEntry = <M extends DescMethod>(
  method: M,
  answer: Answer<M["input"], M["output"]>
): StandardEntry => ({
  method,
  // messages reach an answer only by its own method, so that their types are right though the table forgets them
  answer: answer as unknown as StandardEntry["answer"]
})

const toConnectError = (
  cause: Cause.Cause<KagziError.KagziError | ConnectError>
): Effect.Effect<never, ConnectError> => {
  const error = Option.getOrUndefined(Cause.findErrorOption(cause))
  if (error instanceof ConnectError) return Effect.fail(error)
  if (error !== undefined) {
    const { code, message } = refusal(error)
    return Effect.fail(new ConnectError(message, statusCode(code)))
  }
  if (Cause.hasInterruptsOnly(cause)) return Effect.fail(new ConnectError("The call was cut short", Code.Unavailable))
  return Effect.andThen(
    Effect.logError("A call of a standard service failed", cause),
    Effect.fail(new ConnectError(internalMessage, Code.Internal))
  )
}

const aborted = (signal: AbortSignal): Effect.Effect<never, ConnectError> =>
  Effect.callback((resume) => {
    const abort = () => resume(Effect.fail(ConnectError.from(signal.reason, Code.Canceled)))
    if (signal.aborted) return abort()
    signal.addEventListener("abort", abort)
    return Effect.sync(() => signal.removeEventListener("abort", abort))
  })

const isIterable = (input: object): input is AsyncIterable<object> => Symbol.asyncIterator in input

/** What handles the requests of standard services, by their paths. */
export const standardHandlers = (
  entries: ReadonlyArray<StandardEntry>,
  draining: Effect.Effect<void>,
  context: Context.Context<Needs>
): ReadonlyMap<string, UniversalHandler> => {
  const router = createConnectRouter({ readMaxBytes: maxMessageBytes })
  const drained = Effect.andThen(
    draining,
    // made then: the first one loads all of Node's fetch
    Effect.failSync(() => new ConnectError("The server is shutting down", Code.Unavailable))
  )
  for (const { answer, method } of entries) {
    const answers = (input: object, { signal }: HandlerContext) => {
      const requests = isIterable(input)
        ? Stream.fromAsyncIterable(input, (cause) => ConnectError.from(cause))
        : Stream.succeed(input)
      return answer(requests as Parameters<typeof answer>[0]).pipe(
        Stream.interruptWhen(Effect.raceFirst(drained, aborted(signal))),
        Stream.catchCause((cause) => Stream.fromEffect(toConnectError(cause)))
      )
    }
    // which of both is asked for depends on the kind of the method, and so does the type of what implements it
    const implementation = (input: object, call: HandlerContext) =>
      method.methodKind === "unary"
        ? Effect.runPromiseWith(context)(
            Effect.flatMap(Stream.runHead(answers(input, call)), (found) => Effect.fromOption(found))
          )
        : Stream.toAsyncIterableWith(answers(input, call), context)
    router.rpc(method, implementation as unknown as Parameters<typeof router.rpc>[1])
  }
  return new Map(router.handlers.map((handler) => [handler.requestPath, handler]))
}

const isGone = (response: Response): boolean =>
  response instanceof ServerResponse ? response.destroyed : response.stream.destroyed

/** Answers a request as its messages come and go. A caller that goes away in the middle, as watchers do, is no failure. */
export const serveStandard = (
  handler: UniversalHandler,
  request: Request,
  response: Response
): Effect.Effect<void, Cause.UnknownError> =>
  Effect.tryPromise(() =>
    handler(universalRequestFromNodeRequest(request, response, undefined, undefined)).then((answer) =>
      universalResponseToNodeResponse(answer, response)
    )
  ).pipe(Effect.catch((error) => (isGone(response) ? Effect.void : Effect.fail(error))))
