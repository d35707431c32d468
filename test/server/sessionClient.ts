/** The client's end of a session, with nothing between the test and the messages. */
import type { MessageInitShape } from "@bufbuild/protobuf"
import { type CallOptions, createClient } from "@connectrpc/connect"
import { createGrpcTransport } from "@connectrpc/connect-node"
import { Effect, Queue, type Scope } from "effect"
import {
  type OpenSessionRequestSchema,
  type SessionCommandSchema,
  type SessionEvent,
  SessionService
} from "../../gen/kagzi/v1/session_pb.ts"

type CommandInit = MessageInitShape<typeof SessionCommandSchema>
type Command = Extract<NonNullable<CommandInit["command"]>, { readonly value: unknown }>
type Case = Command["case"]

export interface Client {
  /** The messages as they came, each with its events. */
  readonly messages: Queue.Dequeue<ReadonlyArray<SessionEvent>, unknown>
  /** Sends commands in one message. */
  readonly send: (...commands: ReadonlyArray<CommandInit>) => void
  /** The next event that fits; those before it are dropped. Fails when the stream has ended. */
  readonly next: <K extends NonNullable<SessionEvent["event"]["case"]>>(
    kind: K,
    id?: number
  ) => Effect.Effect<Extract<SessionEvent["event"], { readonly case: K }>["value"], unknown>
  /** Ends the client's side. */
  readonly finish: () => void
  /** Breaks the stream. */
  readonly cut: () => void
}

/** A command without a lease, or with one. */
export const command = <K extends Case>(
  id: number,
  kind: K,
  value: Extract<Command, { readonly case: K }>["value"],
  lease = 0
): CommandInit => ({ id, leaseEpoch: BigInt(lease), command: { case: kind, value } as Command })

/** Messages to send, as they come. */
class Outgoing implements AsyncIterableIterator<MessageInitShape<typeof OpenSessionRequestSchema>, undefined> {
  #waiting: Array<MessageInitShape<typeof OpenSessionRequestSchema>> = []
  #wake: (() => void) | undefined
  #ended = false

  send(commands: ReadonlyArray<CommandInit>): void {
    this.#waiting.push({ commands: [...commands] })
    this.#wake?.()
  }

  end(): void {
    this.#ended = true
    this.#wake?.()
  }

  async next(): Promise<IteratorResult<MessageInitShape<typeof OpenSessionRequestSchema>, undefined>> {
    while (this.#waiting.length === 0 && !this.#ended) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    const value = this.#waiting.shift()
    return value === undefined ? { done: true, value: undefined } : { done: false, value }
  }

  return(): Promise<IteratorResult<MessageInitShape<typeof OpenSessionRequestSchema>, undefined>> {
    return Promise.resolve({ done: true, value: undefined })
  }

  throw(): Promise<IteratorResult<MessageInitShape<typeof OpenSessionRequestSchema>, undefined>> {
    return this.return()
  }

  [Symbol.asyncIterator](): this {
    return this
  }
}

/** Opens a session, which ends with the scope. With `reads: false` it takes nothing that comes until `read` is called. */
export const openSession = Effect.fnUntraced(function* (
  baseUrl: string,
  options: { readonly paused?: boolean } & CallOptions = {}
): Effect.fn.Return<Client & { readonly read: () => void }, never, Scope.Scope> {
  const { paused = false, ...callOptions } = options
  const client = createClient(SessionService, createGrpcTransport({ baseUrl, readMaxBytes: 0x7fff_ffff }))
  const controller = new AbortController()
  const outgoing = new Outgoing()
  const messages = yield* Queue.unbounded<ReadonlyArray<SessionEvent>, unknown>()
  const incoming = client.openSession(outgoing, { signal: controller.signal, ...callOptions })
  const receive = async () => {
    try {
      for await (const { events } of incoming) Queue.offerUnsafe(messages, events)
      Effect.runSync(Queue.fail(messages, "ended"))
    } catch (error) {
      Effect.runSync(Queue.fail(messages, error))
    }
  }
  let reading = false
  const read = () => {
    if (!reading) void receive()
    reading = true
  }
  if (!paused) read()
  yield* Effect.addFinalizer(() => Effect.sync(() => controller.abort()))
  let pending: Array<SessionEvent> = []
  const next: Client["next"] = (kind, id) =>
    Effect.gen(function* () {
      for (;;) {
        const index = pending.findIndex(({ event, id: of }) => event.case === kind && (id === undefined || id === of))
        const found = pending[index]
        if (found !== undefined) {
          pending = pending.slice(index + 1)
          return found.event.value as never
        }
        pending = []
        pending.push(...(yield* Queue.take(messages)))
      }
    })
  return {
    messages,
    next,
    read,
    send: (...commands) => outgoing.send(commands),
    finish: () => outgoing.end(),
    cut: () => controller.abort()
  }
})
