/** How sessions come in: as a stream each, which ends when the server goes down. */
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2"
import { fromBinary } from "@bufbuild/protobuf"
import { setTrailerStatus } from "@connectrpc/connect/protocol-grpc"
import { Cause, Effect, type Fiber, Result } from "effect"
import { OpenSessionRequestSchema, type SessionCommand } from "../../../gen/kagzi/v1/session_pb.ts"
import { Engine } from "../../engine/Engine.ts"
import * as KagziError from "../../KagziError.ts"
import * as Envelopes from "../../protocol/envelopes.ts"
import { toHandlerError } from "../../protocol/errors.ts"
import { classify, complete, internalMessage, maxMessageBytes } from "../errorEncoding.ts"
import { MaxPayloadBytes } from "../Settings.ts"
import { type Needs, Session } from "./Session.ts"

const nothing = new Uint8Array(0)

/** What a stream ends with. */
const trailersOf = (error: KagziError.KagziError | undefined): Headers => {
  const trailer = new Headers()
  if (error === undefined) return setTrailerStatus(trailer, undefined)
  setTrailerStatus(trailer, toHandlerError(error, { protocolName: "grpc", responseTrailer: trailer }))
  return complete("grpc", { status: 200, header: new Headers(), body: nothing, trailer }).header
}

/** A stream as it comes in. */
export interface SessionCall {
  readonly request: Http2ServerRequest
  readonly response: Http2ServerResponse
}

/** Takes messages as fast as the session has room for them. */
const converse = (needs: Needs, { request: { stream }, response }: SessionCall): Session => {
  const session = new Session(needs, {
    write: (bytes) => stream.write(bytes),
    end: (error) => {
      response.addTrailers(Object.fromEntries(trailersOf(error)))
      response.end()
    }
  })
  let commands: Array<SessionCommand> = []
  let isComplete = false
  /** What is wrong with the bytes so far. */
  let problem: KagziError.KagziError | undefined

  /** What happens in here happens in events of the stream, of which a defect would end the process. */
  const guarded = (run: () => void): void => {
    const done = Result.try({ try: run, catch: (defect) => defect })
    if (Result.isSuccess(done)) return
    needs.fork(Effect.logError("A session ends after an unforeseen error", Cause.die(done.failure)))
    session.end(new KagziError.Internal({ message: internalMessage }))
  }

  const read = (): void => {
    let done = 0
    for (const command of commands) {
      if (!session.isOpen || !session.hasRoom(readOn)) break
      done++
      session.receive(command)
    }
    // of one that ends nothing more is carried out, and what still comes is dropped
    commands = session.isOpen ? commands.slice(done) : []
    if (commands.length > 0) stream.pause()
    else if (isComplete) session.end()
    else stream.resume()
  }
  const readOn = (): void => guarded(read)

  const decode = (message: Uint8Array): void => {
    const decoded = Result.try({ try: () => fromBinary(OpenSessionRequestSchema, message), catch: String })
    if (Result.isSuccess(decoded)) for (const command of decoded.success.commands) commands.push(command)
    else problem ??= new KagziError.InvalidArgument({ message: `The request can't be decoded: ${decoded.failure}` })
  }

  const split = Envelopes.splitter(maxMessageBytes, decode)
  stream.on("data", (chunk: Uint8Array) =>
    guarded(() => {
      if (!session.isOpen || problem !== undefined) return
      const wrong = split(chunk)
      if (wrong !== undefined) problem ??= KagziError.fromDetail(classify(wrong).detail)
      read()
      if (problem !== undefined) session.end(problem)
    })
  )
  stream.once("end", () => {
    isComplete = true
    if (commands.length === 0) session.end()
  })
  stream.on("drain", () => session.outbox.drained())
  response.writeHead(200, { "content-type": "application/grpc+proto" })
  return session
}

/** What answers `OpenSession`. */
export const makeSessionHandler = Effect.fnUntraced(function* (
  draining: Effect.Effect<void>,
  run: (effect: Effect.Effect<unknown>) => Fiber.Fiber<unknown, unknown>
): Effect.fn.Return<(call: SessionCall) => void, never, Engine> {
  const sessions = new Set<Session>()
  const interrupt = (session: Session, message: string): void => session.end(new KagziError.Unavailable({ message }))
  const needs: Needs = { engine: yield* Engine, maxPayloadBytes: yield* MaxPayloadBytes, fork: run, interrupt }
  let isDraining = false
  run(
    Effect.andThen(
      draining,
      Effect.sync(() => {
        isDraining = true
        for (const session of [...sessions]) interrupt(session, "The server is shutting down")
      })
    )
  )
  return (call) => {
    const session = converse(needs, call)
    sessions.add(session)
    call.request.stream.once("close", () => {
      sessions.delete(session)
      session.close()
    })
    if (isDraining) interrupt(session, "The server is shutting down")
  }
})
