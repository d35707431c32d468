/** `kagzi workflow terminate`. */
import { Effect } from "effect"
import { Command, Flag } from "effect/cli"
import { run } from "../flags.ts"
import { print } from "../output.ts"
import { find } from "../runs.ts"
import { KagziClient } from "../../KagziClient.ts"

export const terminate = Command.make(
  "terminate",
  {
    run,
    reason: Flag.String("reason").pipe(Flag.withDescription("Why; it becomes the error of the run"))
  },
  Effect.fnUntraced(function* (options) {
    const { namespace, protocol } = yield* KagziClient
    const { runId } = yield* find(options.run)
    const status = yield* protocol.terminateRun(namespace, runId, options.reason)
    yield* print({ json: () => ({ runId, status }), text: () => `Run ${runId} is ${status}` })
  })
).pipe(
  Command.withDescription("End a run as failed, at once and without compensation. JSON: { runId, status }"),
  Command.withShortDescription("End a run as failed, at once")
)
