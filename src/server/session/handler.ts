/** How sessions come in: as a stream each, which ends when the server goes down. */
import { ConnectError, type ConnectRouterOptions, createConnectRouter, type HandlerContext } from "@connectrpc/connect"
import type { UniversalHandler } from "@connectrpc/connect/protocol"
import { Effect, type Fiber } from "effect"
import { type OpenSessionRequest, SessionService } from "../../../gen/kagzi/v1/session_pb.ts"
import { Engine } from "../../engine/Engine.ts"
import * as KagziError from "../../KagziError.ts"
import { detailHeader, detailHeaderValue, toHandlerError } from "../../protocol/errors.ts"
import { classify } from "../errorEncoding.ts"
import { MaxPayloadBytes } from "../Settings.ts"
import { type Needs, Session } from "./Session.ts"

/** Reads commands as fast as the session has room for them. */
const read = (session: Session, requests: AsyncIterable<OpenSessionRequest>, context: HandlerContext): void => {
  const iterator = requests[Symbol.asyncIterator]()
  const next = (): void => {
    if (!session.isOpen) return
    session.whenRoom(() => {
      if (session.isOpen) iterator.next().then(received, broken)
    })
  }
  const received = (result: IteratorResult<OpenSessionRequest>): void => {
    const problem = result.done === true ? undefined : session.receive(result.value)
    if (result.done === true) session.end()
    else if (problem === undefined) next()
    else session.end(toHandlerError(problem, context))
  }
  const broken = (reason: unknown): void => {
    const { code, detail } = classify(ConnectError.from(reason))
    context.responseTrailer.set(detailHeader, detailHeaderValue(detail))
    session.end(new ConnectError(detail.message, code))
  }
  next()
}

/** What answers `OpenSession`. */
export const makeSessionHandler = Effect.fnUntraced(function* (
  options: ConnectRouterOptions,
  draining: Effect.Effect<void>,
  run: (effect: Effect.Effect<unknown>) => Fiber.Fiber<unknown, unknown>
): Effect.fn.Return<UniversalHandler, never, Engine> {
  const sessions = new Map<Session, HandlerContext>()
  const interrupt = (session: Session, message: string): void => {
    const context = sessions.get(session)
    if (context === undefined) return
    session.end(toHandlerError(new KagziError.Unavailable({ message }), context))
  }
  const needs: Needs = { engine: yield* Engine, maxPayloadBytes: yield* MaxPayloadBytes, fork: run, interrupt }
  run(
    Effect.andThen(
      draining,
      Effect.sync(() => {
        for (const session of [...sessions.keys()]) interrupt(session, "The server is shutting down")
      })
    )
  )
  const router = createConnectRouter(options)
  router.rpc(SessionService.method.openSession, (requests, context) => {
    const session = new Session(needs)
    sessions.set(session, context)
    const gone = (): void => {
      sessions.delete(session)
      session.close()
    }
    context.signal.addEventListener("abort", gone)
    if (context.signal.aborted) gone()
    read(session, requests, context)
    return session.outbox
  })
  // one for each method of the router
  return router.handlers[0] as UniversalHandler
})
