/** `kagzi schedule delete`. */
import { Effect } from "effect"
import { Command } from "effect/cli"
import { KagziClient } from "../../KagziClient.ts"
import { print } from "../output.ts"
import { id } from "./settings.ts"

export const remove = Command.make(
  "delete",
  { id },
  Effect.fnUntraced(function* ({ id }) {
    const { namespace, protocol } = yield* KagziClient
    yield* protocol.deleteSchedule(namespace, id)
    yield* print({ json: () => ({ scheduleId: id, deleted: true }), text: () => `Schedule ${id} is deleted` })
  })
).pipe(
  Command.withDescription("Delete a schedule; its runs stay. JSON: { scheduleId, deleted }"),
  Command.withShortDescription("Delete a schedule")
)
