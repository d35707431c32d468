/** `kagzi schedule pause`. */
import { Effect } from "effect"
import { Command } from "effect/cli"
import { KagziClient } from "../../KagziClient.ts"
import { print } from "../output.ts"
import { id } from "./settings.ts"

export const pause = Command.make(
  "pause",
  { id },
  Effect.fnUntraced(function* ({ id }) {
    const { namespace, protocol } = yield* KagziClient
    const { enabled, scheduleId } = yield* protocol.pauseSchedule(namespace, id)
    yield* print({ json: () => ({ scheduleId, enabled }), text: () => `Schedule ${scheduleId} is paused` })
  })
).pipe(
  Command.withDescription("Keep a schedule from firing. JSON: { scheduleId, enabled }"),
  Command.withShortDescription("Keep a schedule from firing")
)
