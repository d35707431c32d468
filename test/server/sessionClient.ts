/** The client's end of a session, with nothing between the test and the messages. */
import type { MessageInitShape } from "@bufbuild/protobuf"
import { Effect, Exit, Queue, Scope } from "effect"
import { type SessionCommandSchema, type SessionEvent, SessionService } from "../../gen/kagzi/v1/session_pb.ts"
import type { KagziError } from "../../src/KagziError.ts"
import * as Node from "../../src/protocol/node.ts"

type CommandInit = MessageInitShape<typeof SessionCommandSchema>
type Command = Extract<NonNullable<CommandInit["command"]>, { readonly value: unknown }>
type Case = Command["case"]

export interface Client {
  /** The events of the next message; those that were read before and not used are dropped. */
  readonly message: Effect.Effect<ReadonlyArray<SessionEvent>, KagziError>
  /** So many events, as they come. */
  readonly events: (count: number) => Effect.Effect<ReadonlyArray<SessionEvent>, KagziError>
  /** How many messages the connection has not taken. */
  readonly waiting: () => number
  /** Sends commands in one message. */
  readonly send: (...commands: ReadonlyArray<CommandInit>) => void
  /** The next event that fits; others wait to be asked for. Fails when the stream has ended. */
  readonly next: <K extends NonNullable<SessionEvent["event"]["case"]>>(
    kind: K,
    id?: number
  ) => Effect.Effect<Extract<SessionEvent["event"], { readonly case: K }>["value"], KagziError>
  /** How the stream ends. What comes before is dropped. */
  readonly end: Effect.Effect<KagziError>
  /** Breaks the stream. */
  readonly cut: Effect.Effect<void>
  /** Takes what comes from now on. */
  readonly read: Effect.Effect<void>
}

/** A command without a lease, or with one. */
export const command = <K extends Case>(
  id: number,
  kind: K,
  value: Extract<Command, { readonly case: K }>["value"],
  lease = 0
): CommandInit => ({ id, leaseEpoch: BigInt(lease), command: { case: kind, value } as Command })

/** Opens a session, which ends with the scope. When `paused`, it takes nothing that comes until it is told to read. */
export const openSession = Effect.fnUntraced(function* (
  address: string,
  options: { readonly paused?: boolean } = {}
): Effect.fn.Return<Client, KagziError, Scope.Scope> {
  const scope = yield* Scope.fork(yield* Effect.scope)
  const { open } = yield* Scope.provide(Node.make({ address }), scope)
  const duplex = yield* Scope.provide(open!(SessionService.method.openSession), scope)
  const messages = yield* Queue.unbounded<ReadonlyArray<SessionEvent>, KagziError>()
  const receiving = Effect.forever(Effect.map(duplex.receive, ({ events }) => Queue.offerUnsafe(messages, events)))
  const read = Effect.asVoid(
    Effect.forkIn(
      Effect.catch(receiving, (error) => Queue.fail(messages, error)),
      scope
    )
  )
  if (options.paused !== true) yield* read
  let pending: Array<SessionEvent> = []
  const more = Effect.map(Queue.take(messages), (events) => {
    pending.push(...events)
  })
  const next: Client["next"] = (kind, id) =>
    Effect.gen(function* () {
      for (;;) {
        const index = pending.findIndex(({ event, id: of }) => event.case === kind && (id === undefined || id === of))
        const [found] = index < 0 ? [] : pending.splice(index, 1)
        if (found !== undefined) return found.event.value as never
        yield* more
      }
    })
  return {
    message: Effect.suspend(() => {
      pending = []
      return Queue.take(messages)
    }),
    events: (count) =>
      Effect.gen(function* () {
        while (pending.length < count) yield* more
        return pending.splice(0, count)
      }),
    next,
    send: (...commands) => duplex.send({ commands: [...commands] }),
    end: Effect.flip(Effect.forever(more)),
    waiting: duplex.waiting,
    read,
    cut: Scope.close(scope, Exit.void)
  }
})
