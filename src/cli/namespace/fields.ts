/** `kagzi namespace create` and `update`. */
import { Effect, Option } from "effect"
import { Command, Flag } from "effect/cli"
import { KagziClient } from "../../KagziClient.ts"
import { UsageError } from "../failure.ts"
import { name, shape, show } from "./show.ts"

const fields = {
  displayName: Flag.String("display-name").pipe(Flag.withDescription("What people call it"), Flag.optional),
  description: Flag.String("description").pipe(Flag.withDescription("What it is for"), Flag.optional)
}

export const create = Command.make(
  "create",
  { name, ...fields },
  Effect.fnUntraced(function* ({ description, displayName, name }) {
    const { namespaces } = yield* KagziClient
    const made = yield* namespaces.create(name, {
      displayName: Option.getOrUndefined(displayName),
      description: Option.getOrUndefined(description)
    })
    yield* show(made)
  })
).pipe(Command.withDescription(`Make a namespace. JSON: ${shape}`), Command.withShortDescription("Make a namespace"))

export const update = Command.make(
  "update",
  { name, ...fields },
  Effect.fnUntraced(function* ({ description, displayName, name }) {
    if (Option.isNone(displayName) && Option.isNone(description)) {
      return yield* new UsageError({ message: "Nothing to update: give --display-name or --description" })
    }
    const { namespaces } = yield* KagziClient
    const updated = yield* namespaces.update(name, {
      displayName: Option.getOrUndefined(displayName),
      description: Option.getOrUndefined(description)
    })
    yield* show(updated)
  })
).pipe(
  Command.withDescription(`Change what is told of a namespace. JSON: ${shape}`),
  Command.withShortDescription("Change what is told of a namespace")
)
