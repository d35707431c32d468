/** `kagzi schedule trigger`. */
import { Effect } from "effect"
import { Command } from "effect/cli"
import { KagziClient } from "../../KagziClient.ts"
import { print } from "../output.ts"
import { id } from "./settings.ts"

export const trigger = Command.make(
  "trigger",
  { id },
  Effect.fnUntraced(function* ({ id }) {
    const { namespace, protocol } = yield* KagziClient
    const runId = yield* protocol.triggerSchedule(namespace, id)
    yield* print({ json: () => ({ scheduleId: id, runId }), text: () => `Started run ${runId}` })
  })
).pipe(
  Command.withDescription("Start a run of a schedule now, beside its times. JSON: { scheduleId, runId }"),
  Command.withShortDescription("Start a run of a schedule now")
)
