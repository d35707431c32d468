/** `kagzi schedule create`. */
import { Effect, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { KagziClient } from "../../KagziClient.ts"
import { print } from "../output.ts"
import { readInput } from "../workflow/start.ts"
import { given, settings } from "./settings.ts"
import * as view from "./view.ts"

export const create = Command.make(
  "create",
  {
    type: Argument.String("type").pipe(Argument.withDescription("The workflow type")),
    cron: Flag.String("cron").pipe(
      Flag.withMetavar("expression"),
      Flag.withDescription("Five fields as crontab(5) has them, or six that begin with the second")
    ),
    paused: Flag.Boolean("paused").pipe(
      Flag.withDescription("Not to fire until it is resumed"),
      Flag.withDefault(false)
    ),
    ...settings
  },
  Effect.fnUntraced(function* ({ cron, input, maxCatchup, overlap, paused, queue, timezone, type, version }) {
    const { namespace, protocol } = yield* KagziClient
    const made = yield* protocol.createSchedule({
      namespace,
      taskQueue: Option.getOrElse(queue, () => type),
      workflowType: type,
      cronExpr: cron,
      enabled: !paused,
      input: yield* readInput(input),
      ...given("timezone", timezone),
      ...given("version", version),
      ...given("maxCatchup", maxCatchup),
      ...given("overlap", overlap)
    })
    yield* print({ json: () => view.json(made), text: () => view.text(made) })
  })
).pipe(Command.withDescription(`Make a schedule. JSON: ${view.shape}`), Command.withShortDescription("Make a schedule"))
