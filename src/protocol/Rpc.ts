/** How one unary RPC of the contract is called, whatever carries it. */
import type {
  DescMessage,
  DescMethod,
  DescMethodUnary,
  DescService,
  MessageInitShape,
  MessageShape
} from "@bufbuild/protobuf"
import { Context, type Effect } from "effect"
import type { KagziError } from "../KagziError.ts"

/** What goes with one call. */
export interface CallOptions {
  readonly headers?: Readonly<Record<string, string>>
  /** How long to wait for the answer, in milliseconds; then the call fails with `Timeout`. */
  readonly timeoutMillis?: number
}

export interface Shape {
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
