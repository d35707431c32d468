/** `kagzi schedule resume`. */
import { Effect } from "effect"
import { Command } from "effect/cli"
import { KagziClient } from "../../KagziClient.ts"
import { print } from "../output.ts"
import * as views from "../views.ts"
import { id } from "./settings.ts"

export const resume = Command.make(
  "resume",
  { id },
  Effect.fnUntraced(function* ({ id }) {
    const { namespace, protocol } = yield* KagziClient
    const { enabled, nextFireAt, scheduleId } = yield* protocol.resumeSchedule(namespace, id)
    yield* print({
      json: () => ({ scheduleId, enabled, nextFireAt: views.time(nextFireAt) }),
      text: () => `Schedule ${scheduleId} fires next at ${views.time(nextFireAt) ?? "no time any more"}`
    })
  })
).pipe(
  Command.withDescription(
    "Let a paused schedule fire again; what the pause missed is not made up for. JSON: { scheduleId, enabled, nextFireAt }"
  ),
  Command.withShortDescription("Let a paused schedule fire again")
)
