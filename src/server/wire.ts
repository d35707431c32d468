/**
 * Both ends of a connection without the connection: calls and sessions as bytes, for whoever carries them.
 *
 * Between the two ends anything may happen to the bytes that may happen on a network.
 */
import {
  create,
  type DescMessage,
  type DescMethodBiDiStreaming,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  toBinary
} from "@bufbuild/protobuf"
import { Effect, Latch, type Scope } from "effect"
import { OpenSessionRequestSchema, type SessionCommand } from "../../gen/kagzi/v1/session_pb.ts"
import { Engine } from "../engine/Engine.ts"
import * as KagziError from "../KagziError.ts"
import type { CallOptions, Duplex, Shape } from "../protocol/Rpc.ts"
import { dispatch } from "./dispatch.ts"
import type { Call } from "./Handler.ts"
import { entries } from "./handlers/index.ts"
import { type Needs, Session } from "./session/Session.ts"
import { MaxPayloadBytes } from "./Settings.ts"

const table = new Map(entries.map((entry) => [`${entry.method.parent.typeName}/${entry.method.name}`, entry]))

const nameOf = (method: DescMethodUnary) => `${method.parent.typeName}/${method.name}`

/** What comes in of one session. */
export interface Incoming {
  readonly message: (bytes: Uint8Array) => void
  /** The connection is gone. */
  readonly lost: () => void
}

/** Where a session's messages go. */
export interface Outgoing {
  readonly message: (bytes: Uint8Array) => void
  readonly end: (error: KagziError.KagziError | undefined) => void
}

/** The end of a server. */
export interface ServerEnd {
  /** Interrupted where the connection is lost before the answer is there. */
  readonly call: (
    name: string,
    request: Uint8Array,
    headers: Readonly<Record<string, string>>
  ) => Effect.Effect<Uint8Array, KagziError.KagziError>
  readonly accept: (outgoing: Outgoing) => Incoming
  /** The server goes down: calls that only wait end, and sessions when all their commands are answered. */
  readonly drain: () => void
}

/** Bytes before each message of a stream of gRPC. */
const prefixBytes = 5

export const makeServer: Effect.Effect<ServerEnd, never, Engine> = Effect.gen(function* () {
  const context = yield* Effect.context<Engine>()
  const needs: Needs = {
    engine: yield* Engine,
    maxPayloadBytes: yield* MaxPayloadBytes,
    fork: Effect.runForkWith(context),
    interrupt: (session, message) => session.end(new KagziError.Unavailable({ message }))
  }
  const draining = Latch.makeUnsafe()
  const sessions = new Set<Session>()
  return {
    drain: () => {
      draining.openUnsafe()
      for (const session of [...sessions]) needs.interrupt(session, "The server is shutting down")
    },
    call: (name, request, given) =>
      Effect.suspend(() => {
        const entry = table.get(name)
        if (entry === undefined) {
          return Effect.fail(new KagziError.Internal({ message: `${name} is not implemented`, nonRetryable: true }))
        }
        const headers = new Headers(given)
        let undo: Effect.Effect<void, never, Engine> = Effect.void
        const call: Call = {
          header: (header) => headers.get(header),
          draining: Effect.asVoid(draining.await),
          streams: true,
          ifUndelivered: (effect) => {
            undo = effect
          }
        }
        return dispatch(entry, fromBinary(entry.method.input, request), call).pipe(
          Effect.map((output) =>
            toBinary(entry.method.output, create(entry.method.output, output as MessageInitShape<DescMessage>))
          ),
          Effect.mapError(KagziError.fromDetail),
          Effect.onError(() => undo)
        )
      }).pipe(Effect.provideContext(context)),
    accept: (outgoing) => {
      const session = new Session(needs, {
        write: (bytes) => {
          outgoing.message(bytes.subarray(prefixBytes))
          return true
        },
        end: outgoing.end
      })
      sessions.add(session)
      let commands: Array<SessionCommand> = []
      const read = (): void => {
        let done = 0
        for (const command of commands) {
          if (!session.isOpen || !session.hasRoom(read)) break
          done++
          session.receive(command)
        }
        commands = session.isOpen ? commands.slice(done) : []
      }
      return {
        message: (bytes) => {
          if (!session.isOpen) return
          commands.push(...fromBinary(OpenSessionRequestSchema, bytes).commands)
          read()
        },
        lost: () => {
          sessions.delete(session)
          session.close()
        }
      }
    }
  }
})

/** A session's connection as its client holds it. */
export interface Connection {
  readonly send: (bytes: Uint8Array) => void
  readonly receive: Effect.Effect<Uint8Array, KagziError.KagziError>
}

/** What carries bytes to a server. */
export interface Carrier {
  readonly call: (
    name: string,
    request: Uint8Array,
    options: CallOptions
  ) => Effect.Effect<Uint8Array, KagziError.KagziError>
  readonly open: Effect.Effect<Connection, KagziError.KagziError, Scope.Scope>
}

/** The end of a client. */
export const makeClient = ({ call, open }: Carrier): Shape => ({
  call: (method, input, options = {}) =>
    Effect.suspend(() => call(nameOf(method), toBinary(method.input, create(method.input, input)), options)).pipe(
      Effect.map((bytes) => fromBinary(method.output, bytes))
    ),
  open: <I extends DescMessage, O extends DescMessage>(
    method: DescMethodBiDiStreaming<I, O>
  ): Effect.Effect<Duplex<I, O>, KagziError.KagziError, Scope.Scope> =>
    Effect.map(open, (connection) => ({
      send: (message) => connection.send(toBinary(method.input, create(method.input, message))),
      waiting: () => 0,
      receive: Effect.map(connection.receive, (bytes) => fromBinary(method.output, bytes))
    }))
})
