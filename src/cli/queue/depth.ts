/** `kagzi queue depth`. */
import { Effect, Option } from "effect"
import { Argument, Command } from "effect/cli"
import { KagziClient } from "../../KagziClient.ts"
import { print } from "../output.ts"
import { fields } from "../table.ts"

export const depth = Command.make(
  "depth",
  {
    queue: Argument.String("queue").pipe(Argument.withDescription("A task queue; all unless given"), Argument.optional)
  },
  Effect.fnUntraced(function* (options) {
    const { admin } = yield* KagziClient
    const taskQueue = Option.getOrUndefined(options.queue)
    const { byQueue: _, ...counts } = yield* admin.queueDepth({ taskQueue })
    yield* print({
      json: () => ({ taskQueue, ...counts }),
      text: () =>
        fields([
          ["Queue", taskQueue],
          ["Pending", `${counts.pending}`],
          ["Running", `${counts.running}`],
          ["Sleeping", `${counts.sleeping}`]
        ])
    })
  })
).pipe(
  Command.withDescription(
    "Count the runs that have not ended, of one task queue or of all. JSON: { taskQueue, pending, running, sleeping }"
  ),
  Command.withShortDescription("Count the runs that have not ended")
)
