/** `kagzi schedule update`. */
import { Effect, Option } from "effect"
import { Command, Flag } from "effect/cli"
import { KagziClient } from "../../KagziClient.ts"
import { UsageError } from "../failure.ts"
import { print } from "../output.ts"
import { readInput } from "../workflow/start.ts"
import { given, id, settings } from "./settings.ts"
import * as view from "./view.ts"

export const update = Command.make(
  "update",
  {
    id,
    cron: Flag.String("cron").pipe(
      Flag.withMetavar("expression"),
      Flag.withDescription("When it fires from now on"),
      Flag.optional
    ),
    type: Flag.String("type").pipe(Flag.withDescription("The workflow type"), Flag.optional),
    nextFireAt: Flag.Date("next-fire-at").pipe(
      Flag.withMetavar("time"),
      Flag.withDescription("When it fires next, whatever the expression says; a time that is past is made up for"),
      Flag.optional
    ),
    ...settings
  },
  Effect.fnUntraced(function* ({ cron, id, input, maxCatchup, nextFireAt, overlap, queue, timezone, type, version }) {
    const { namespace, protocol } = yield* KagziClient
    const changes = {
      ...given("cronExpr", cron),
      ...given("workflowType", type),
      ...given("taskQueue", queue),
      ...given("timezone", timezone),
      ...given("version", version),
      ...given("maxCatchup", maxCatchup),
      ...given("overlap", overlap),
      ...given(
        "nextFireAt",
        Option.map(nextFireAt, (date) => date.getTime())
      ),
      ...(Option.isSome(input) ? { input: yield* readInput(input) } : {})
    }
    if (Object.keys(changes).length === 0) return yield* new UsageError({ message: "There is nothing to change" })
    const changed = yield* protocol.updateSchedule(namespace, id, changes)
    yield* print({ json: () => view.json(changed), text: () => view.text(changed) })
  })
).pipe(
  Command.withDescription(`Change a schedule; what is not given stays. JSON: ${view.shape}`),
  Command.withShortDescription("Change a schedule")
)
