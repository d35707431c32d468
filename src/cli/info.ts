/** `kagzi info`. */
import { Effect } from "effect"
import { Command } from "effect/cli"
import { KagziClient } from "../KagziClient.ts"
import * as Client from "./client.ts"
import { clientFlags } from "./flags.ts"
import * as Logging from "./logging.ts"
import { print } from "./output.ts"
import { fields } from "./table.ts"

export const info = Command.make(
  "info",
  {},
  Effect.fnUntraced(function* () {
    const { protocol } = yield* KagziClient
    const { apiVersion, minSdkVersion, supportedFeatures, version } = yield* protocol.serverInfo
    yield* print({
      json: () => ({ version, apiVersion, supportedFeatures, minSdkVersion }),
      text: () =>
        fields([
          ["Version", version],
          ["API version", apiVersion],
          ["Features", supportedFeatures.join(", ")],
          ["Oldest SDK", minSdkVersion]
        ])
    })
  })
).pipe(
  Command.withDescription("Show what the server is. JSON: { version, apiVersion, supportedFeatures, minSdkVersion }"),
  Command.withShortDescription("Show what the server is"),
  Command.provide(Client.layer),
  Command.provide(Logging.layer()),
  Command.withGlobalFlags(clientFlags)
)
