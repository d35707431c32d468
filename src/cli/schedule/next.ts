/** `kagzi schedule next`. */
import { Clock, Effect, Result } from "effect"
import { Command } from "effect/cli"
import { KagziClient } from "../../KagziClient.ts"
import { upcoming } from "../../server/upcoming.ts"
import { failed } from "../failure.ts"
import { print } from "../output.ts"
import * as views from "../views.ts"
import { id, limit } from "./settings.ts"

export const next = Command.make(
  "next",
  { id, limit: limit("How many times", 5) },
  Effect.fnUntraced(function* ({ id, limit }) {
    const { namespace, protocol } = yield* KagziClient
    const schedule = yield* protocol.getSchedule(namespace, id)
    const { nextFireAt } = schedule
    // The server's next time may be one that was set; those after it are by the expression.
    const first = nextFireAt === undefined ? [] : [nextFireAt]
    const rest = upcoming(schedule, nextFireAt ?? (yield* Clock.currentTimeMillis), limit - first.length)
    if (Result.isFailure(rest)) return yield* failed(rest.failure)
    const times = schedule.enabled ? [...first, ...rest.success].map(views.time) : []
    yield* print({
      json: () => times,
      text: () => (schedule.enabled ? times.join("\n") || "It does not fire any more" : "It is paused")
    })
  })
).pipe(
  Command.withDescription("Tell when a schedule fires next, in UTC. JSON: an array of times"),
  Command.withShortDescription("Tell when a schedule fires next")
)
