/** `kagzi workflow retry`. */
import { Effect } from "effect"
import { Command } from "effect/cli"
import { run } from "../flags.ts"
import { print } from "../output.ts"
import { find } from "../runs.ts"
import { KagziClient } from "../../KagziClient.ts"

export const retry = Command.make(
  "retry",
  { run },
  Effect.fnUntraced(function* (options) {
    const { namespace, protocol } = yield* KagziClient
    const { runId } = yield* find(options.run)
    const newRunId = yield* protocol.retryRun(namespace, runId)
    yield* print({
      json: () => ({ runId, newRunId }),
      text: () => `Started run ${newRunId} with the input of ${runId}`
    })
  })
).pipe(
  Command.withDescription("Start a new run with the input of one that has ended. JSON: { runId, newRunId }"),
  Command.withShortDescription("Start a new run with the input of one that has ended")
)
