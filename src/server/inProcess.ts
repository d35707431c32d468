/** Calls answered in this process: no port, no bytes, and no time but that of the Clock. */
import { create, type DescMessage, type DescMethodUnary, type MessageInitShape } from "@bufbuild/protobuf"
import { Effect, Layer } from "effect"
import * as KagziError from "../KagziError.ts"
import { type CallOptions, Rpc, type Shape } from "../protocol/Rpc.ts"
import { dispatch } from "./dispatch.ts"
import type { Call, Needs } from "./Handler.ts"
import { entries } from "./handlers/index.ts"

const table = new Map(entries.map((entry) => [`${entry.method.parent.typeName}/${entry.method.name}`, entry]))

/** The way to call the handlers directly. */
export const make: Effect.Effect<Shape, never, Needs> = Effect.contextWith((context) => {
  const call: Shape["call"] = <I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    input: MessageInitShape<I>,
    options: CallOptions = {}
  ) =>
    Effect.suspend(() => {
      const name = `${method.parent.typeName}/${method.name}`
      const entry = table.get(name)
      if (entry === undefined) {
        return Effect.fail(new KagziError.Internal({ message: `${name} is not implemented`, nonRetryable: true }))
      }
      const headers = new Headers(options.headers)
      let undo: Effect.Effect<void, never, Needs> = Effect.void
      const through: Call = {
        header: (header) => headers.get(header),
        draining: Effect.never,
        streams: false,
        ifUndelivered: (effect) => {
          undo = effect
        }
      }
      // Nothing can be lost on the way, so there is no time limit to a call either.
      return dispatch(entry, create(method.input, input), through).pipe(
        Effect.map((output) => create(method.output, output as MessageInitShape<typeof method.output>)),
        Effect.mapError(KagziError.fromDetail),
        Effect.onError(() => undo)
      )
    }).pipe(Effect.provideContext(context))
  return Effect.succeed({ call })
})

/** `make` as a layer. */
export const layer: Layer.Layer<Rpc, never, Needs> = Layer.effect(Rpc, make)
