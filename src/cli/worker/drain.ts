/** `kagzi worker drain`. */
import { Effect } from "effect"
import { Command } from "effect/cli"
import { KagziClient } from "../../KagziClient.ts"
import { worker } from "../flags.ts"
import { print } from "../output.ts"

export const drain = Command.make(
  "drain",
  { worker },
  Effect.fnUntraced(function* (options) {
    const { admin } = yield* KagziClient
    const workerId = options.worker
    yield* admin.drain(workerId)
    const { activeRuns, status } = yield* admin.worker(workerId)
    yield* print({
      json: () => ({ workerId, status, activeRuns }),
      text: () => `Worker ${workerId} takes no more runs; it has ${activeRuns} to finish`
    })
  })
).pipe(
  Command.withDescription(
    "Have a worker finish what it holds and take nothing new; it then stops. JSON: { workerId, status, activeRuns }"
  ),
  Command.withShortDescription("Have a worker finish what it holds, and stop")
)
