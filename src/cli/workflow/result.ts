/** `kagzi workflow result`. */
import { Effect } from "effect"
import { Command } from "effect/cli"
import { run } from "../flags.ts"
import { find, finish } from "../runs.ts"

export const result = Command.make(
  "result",
  { run },
  Effect.fnUntraced(function* (options) {
    const { runId } = yield* find(options.run)
    yield* finish(runId)
  })
).pipe(
  Command.withDescription(
    "Wait for the end of a run and print its output; exit code 1 when it failed or was cancelled. JSON: { runId, id, status, output, error }"
  ),
  Command.withShortDescription("Wait for the result of a run")
)
