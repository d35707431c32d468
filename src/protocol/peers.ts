/**
 * Several servers as one: calls go to one of them for as long as it answers, and then to the next.
 *
 * All share a database, so that it does not matter which one is asked.
 */
import type {
  DescMessage,
  DescMethodBiDiStreaming,
  DescMethodUnary,
  MessageInitShape,
  MessageShape
} from "@bufbuild/protobuf"
import { Data, Effect, type Scope } from "effect"
import type { KagziError } from "../KagziError.ts"
import { isLost } from "./retry.ts"
import type { CallOptions, Duplex, Shape } from "./Rpc.ts"

/** A call failed. */
export class Failed extends Data.TaggedError("Failed")<{
  readonly error: KagziError
  /** The server can't have seen it, so that another one may be asked. */
  readonly isUnreached: boolean
}> {}

/** One server. */
export interface Peer {
  readonly open?: <I extends DescMessage, O extends DescMessage>(
    method: DescMethodBiDiStreaming<I, O>
  ) => Effect.Effect<Duplex<I, O>, KagziError, Scope.Scope>
  readonly call: <I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    input: MessageInitShape<I>,
    options?: CallOptions
  ) => Effect.Effect<MessageShape<O>, Failed>
}

/** The way to call one of those servers. There is at least one, and all are of one kind. */
export const oneOf = (peers: ReadonlyArray<Peer>): Shape => {
  let current = 0

  /** Where that one is the one that calls go to, the next one is. */
  const leave = (peer: number): void => {
    if (current === peer) current = (peer + 1) % peers.length
  }

  const call: Shape["call"] = (method, input, options) => {
    const attempt = (left: number): ReturnType<typeof call<(typeof method)["input"], (typeof method)["output"]>> =>
      Effect.suspend(() => {
        const peer = current
        return Effect.catch(peers[peer]!.call(method, input, options), ({ error, isUnreached }) => {
          if (isLost(error)) leave(peer)
          // of what was lost on the way it is not known whether it was carried out: that is for the caller to judge
          return isUnreached && left > 1 ? attempt(left - 1) : Effect.fail(error)
        })
      })
    return attempt(peers.length)
  }

  if (peers[0]?.open === undefined) return { call }
  const open: NonNullable<Shape["open"]> = (method) =>
    Effect.suspend(() => {
      const peer = current
      return peers[peer]!.open!(method).pipe(
        Effect.map((duplex) => ({ ...duplex, giveUp: () => leave(peer) })),
        Effect.tapError(() => Effect.sync(() => leave(peer)))
      )
    })
  return { call, open }
}
