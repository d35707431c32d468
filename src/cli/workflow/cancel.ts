/** `kagzi workflow cancel`. */
import { Effect } from "effect"
import { Command } from "effect/cli"
import { run } from "../flags.ts"
import { print } from "../output.ts"
import { find } from "../runs.ts"
import { KagziClient } from "../../KagziClient.ts"

export const cancel = Command.make(
  "cancel",
  { run },
  Effect.fnUntraced(function* (options) {
    const { namespace, protocol } = yield* KagziClient
    const { runId } = yield* find(options.run)
    const status = yield* protocol.cancelRun(namespace, runId)
    yield* print({ json: () => ({ runId, status }), text: () => `Run ${runId} is ${status}` })
  })
).pipe(Command.withDescription("Cancel a run. JSON: { runId, status }"), Command.withShortDescription("Cancel a run"))
