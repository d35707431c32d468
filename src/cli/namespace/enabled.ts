/** `kagzi namespace enable` and `disable`. */
import { Effect } from "effect"
import { Command } from "effect/cli"
import { KagziClient } from "../../KagziClient.ts"
import { name, shape, show } from "./show.ts"

export const enable = Command.make(
  "enable",
  { name },
  Effect.fnUntraced(function* ({ name }) {
    const { namespaces } = yield* KagziClient
    yield* show(yield* namespaces.enable(name))
  })
).pipe(
  Command.withDescription(`Let a namespace go on. JSON: ${shape}`),
  Command.withShortDescription("Let a namespace go on")
)

export const disable = Command.make(
  "disable",
  { name },
  Effect.fnUntraced(function* ({ name }) {
    const { namespaces } = yield* KagziClient
    yield* show(yield* namespaces.disable(name))
  })
).pipe(
  Command.withDescription(
    `Stop a namespace: it starts nothing, hands out no run and fires no schedule; runs that are executing may finish. JSON: ${shape}`
  ),
  Command.withShortDescription("Stop a namespace")
)
