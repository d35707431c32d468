/** `kagzi namespace list`. */
import { Effect, Stream } from "effect"
import { Command } from "effect/cli"
import { KagziClient } from "../../KagziClient.ts"
import { limit } from "../flags.ts"
import { print } from "../output.ts"
import { table } from "../table.ts"
import * as views from "../views.ts"

export const list = Command.make(
  "list",
  { limit },
  Effect.fnUntraced(function* ({ limit }) {
    const { namespaces } = yield* KagziClient
    const found = yield* namespaces.list.pipe(Stream.take(limit), Stream.runCollect)
    yield* print({
      json: () => found.map(views.namespace),
      text: () =>
        table(
          ["NAME", "DISPLAY NAME", "ENABLED", "CREATED"],
          found.map(({ createdAt, displayName, enabled, name }) => [
            name,
            displayName,
            enabled ? "yes" : "no",
            createdAt.toISOString()
          ])
        )
    })
  })
).pipe(
  Command.withDescription("List namespaces by name. JSON: an array of what `get` prints"),
  Command.withShortDescription("List namespaces by name")
)
