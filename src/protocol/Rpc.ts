/** How an RPC of the contract is called, whatever carries it. */
import type {
  DescMessage,
  DescMethod,
  DescMethodBiDiStreaming,
  DescMethodUnary,
  DescService,
  MessageInitShape,
  MessageShape
} from "@bufbuild/protobuf"
import { Context, type Effect, type Scope } from "effect"
import type { KagziError } from "../KagziError.ts"

/** What goes with one call. */
export interface CallOptions {
  readonly headers?: Readonly<Record<string, string>>
  /** How long to wait for the answer, in milliseconds; then the call fails with `Timeout`. */
  readonly timeoutMillis?: number
}

/** A call whose messages come and go independently. It ends with the scope in which it was opened. */
export interface Duplex<I extends DescMessage, O extends DescMessage> {
  /** Sends a message after those before it. Of no effect when the call has ended; `receive` tells that. */
  readonly send: (message: MessageInitShape<I>) => void
  /** Messages that were given to `send` and have not been taken by the connection yet. */
  readonly waiting: () => number
  /** The next message. Fails when the call has ended: with `Unavailable` where the connection is lost. */
  readonly receive: Effect.Effect<MessageShape<O>, KagziError>
  /** The server is of no use: what is called next is called on another one, where there are several. */
  readonly giveUp?: () => void
}

export interface Shape {
  /** Opens a call that streams both ways. Absent where the transport can't. */
  readonly open?: <I extends DescMessage, O extends DescMessage>(
    method: DescMethodBiDiStreaming<I, O>
  ) => Effect.Effect<Duplex<I, O>, KagziError, Scope.Scope>
  /** Calls a method. Interrupting the effect aborts the call. */
  readonly call: <I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    input: MessageInitShape<I>,
    options?: CallOptions
  ) => Effect.Effect<MessageShape<O>, KagziError>
}

/** The way to call a server. */
export class Rpc extends Context.Service<Rpc, Shape>()("kagzi/protocol/Rpc") {}

type Unary<M> = M extends { readonly methodKind: "unary"; readonly input: infer I; readonly output: infer O }
  ? I extends DescMessage
    ? O extends DescMessage
      ? (input: MessageInitShape<I>, options?: CallOptions) => Effect.Effect<MessageShape<O>, KagziError>
      : never
    : never
  : never

/** The unary methods of a service as functions that answer effects. */
export type Client<S extends DescService> = {
  readonly [K in keyof S["method"] as Unary<S["method"][K]> extends never ? never : K]: Unary<S["method"][K]>
}

const isUnary = (method: DescMethod): method is DescMethodUnary => method.methodKind === "unary"

/** A client for a service, made from its descriptor. */
export const client = <S extends DescService>(service: S, rpc: Shape): Client<S> =>
  Object.fromEntries(
    service.methods
      .filter(isUnary)
      .map((method) => [
        method.localName,
        (input: MessageInitShape<DescMessage>, options?: CallOptions) => rpc.call(method, input, options)
      ])
    // The methods of a descriptor are known to the compiler by name, and here only as a list.
  ) as unknown as Client<S>
