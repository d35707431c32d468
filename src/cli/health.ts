/** `kagzi health`. */
import { Effect } from "effect"
import { Command } from "effect/cli"
import { KagziClient } from "../KagziClient.ts"
import * as Client from "./client.ts"
import { failed } from "./failure.ts"
import { clientFlags } from "./flags.ts"
import * as Logging from "./logging.ts"
import { print } from "./output.ts"

export const health = Command.make(
  "health",
  {},
  Effect.fnUntraced(function* () {
    const { protocol } = yield* KagziClient
    const { message, serving } = yield* protocol.health
    yield* print({
      json: () => ({ serving, message }),
      text: () => (serving ? "The server is healthy" : "The server is not healthy")
    })
    if (!serving) return yield* failed(message === "" ? "The server is not healthy" : message)
  })
).pipe(
  Command.withDescription(
    "Ask whether the server and its database work; exit code 1 when not. JSON: { serving, message }"
  ),
  Command.withShortDescription("Ask whether the server works"),
  Command.provide(Client.layer),
  Command.provide(Logging.layer()),
  Command.withGlobalFlags(clientFlags)
)
