/** `kagzi namespace get`. */
import { Effect } from "effect"
import { Command } from "effect/cli"
import { KagziClient } from "../../KagziClient.ts"
import { name, shape, show } from "./show.ts"

export const get = Command.make(
  "get",
  { name },
  Effect.fnUntraced(function* ({ name }) {
    const { namespaces } = yield* KagziClient
    yield* show(yield* namespaces.get(name))
  })
).pipe(Command.withDescription(`Show a namespace. JSON: ${shape}`), Command.withShortDescription("Show a namespace"))
