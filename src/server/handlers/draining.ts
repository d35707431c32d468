/** How a call that waits ends when the server goes down. */
import { Effect } from "effect"
import { Unavailable } from "../../KagziError.ts"
import type { Call } from "../Handler.ts"

/** Fails with `Unavailable` when the server goes down, so that the caller tries again elsewhere or later. */
export const shuttingDown = (call: Call): Effect.Effect<never, Unavailable> =>
  Effect.andThen(call.draining, Effect.fail(new Unavailable({ message: "The server is shutting down" })))
