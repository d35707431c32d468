/** `kagzi schedule get`. */
import { Effect } from "effect"
import { Command } from "effect/cli"
import { KagziClient } from "../../KagziClient.ts"
import { print } from "../output.ts"
import { id } from "./settings.ts"
import * as view from "./view.ts"

export const get = Command.make(
  "get",
  { id },
  Effect.fnUntraced(function* ({ id }) {
    const { namespace, protocol } = yield* KagziClient
    const found = yield* protocol.getSchedule(namespace, id)
    yield* print({ json: () => view.json(found), text: () => view.text(found) })
  })
).pipe(Command.withDescription(`Show a schedule. JSON: ${view.shape}`), Command.withShortDescription("Show a schedule"))
