/** A call that streams both ways, over a transport of connect-es. */
import type { DescMessage, DescMethodBiDiStreaming, MessageInitShape } from "@bufbuild/protobuf"
import type { Transport } from "@connectrpc/connect"
import { Effect, type Scope } from "effect"
import { type KagziError, make as makeError } from "../KagziError.ts"
import { fromConnectError } from "./errors.ts"
import type { Duplex } from "./Rpc.ts"

const done: IteratorResult<never> = { done: true, value: undefined }

/** Messages on their way into a call: what is put in comes out in order, for one reader. */
const makeOutbox = <A>() => {
  const messages: Array<A> = []
  let reader: ((result: IteratorResult<A>) => void) | undefined
  let ended = false
  const end = () => {
    ended = true
    messages.length = 0
    reader?.(done)
    reader = undefined
  }
  const close = (): Promise<IteratorResult<A>> => {
    end()
    return Promise.resolve(done)
  }
  const iterator: AsyncIterator<A> = {
    next: () => {
      const message = messages.shift()
      if (message !== undefined) return Promise.resolve({ done: false, value: message })
      if (ended) return Promise.resolve(done)
      return new Promise((resolve) => {
        reader = resolve
      })
    },
    return: close,
    throw: close
  }
  const put = (message: A) => {
    if (ended) return
    if (reader === undefined) {
      messages.push(message)
      return
    }
    const take = reader
    reader = undefined
    take({ done: false, value: message })
  }
  const iterable: AsyncIterable<A> = { [Symbol.asyncIterator]: () => iterator }
  return { put, end, iterable, waiting: () => messages.length }
}

/** Opens the call. `peer` names the server in messages about the connection. */
export const open = <I extends DescMessage, O extends DescMessage>(
  transport: Transport,
  method: DescMethodBiDiStreaming<I, O>,
  headers: Readonly<Record<string, string>>,
  peer: string
): Effect.Effect<Duplex<I, O>, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const outbox = makeOutbox<MessageInitShape<I>>()
      const controller = new AbortController()
      const answers = transport
        .stream(method, controller.signal, undefined, headers, outbox.iterable)
        .then((response) => response.message[Symbol.asyncIterator]())
      // a call that fails before anything is received is told of by the next `receive`
      answers.catch(() => undefined)
      const next = () => answers.then((iterator) => iterator.next())
      const receive: Duplex<I, O>["receive"] = Effect.flatMap(
        Effect.tryPromise({ try: next, catch: (reason): KagziError => fromConnectError(reason, peer) }),
        (result) =>
          result.done === true
            ? Effect.fail(makeError("Unavailable", `${peer} has ended the call`))
            : Effect.succeed(result.value)
      )
      const close = () => {
        outbox.end()
        controller.abort()
      }
      return { duplex: { send: outbox.put, waiting: outbox.waiting, receive }, close }
    }),
    ({ close }) => Effect.sync(close)
  ).pipe(Effect.map(({ duplex }) => duplex))
