/** What several commands do with a run: find it, and tell how it ended. */
import { Effect } from "effect"
import { failed } from "./failure.ts"
import { Output } from "./flags.ts"
import { print } from "./output.ts"
import { KagziClient } from "../KagziClient.ts"
import type { Run } from "../Run.ts"
import * as views from "./views.ts"

const uuidForm = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

/** The run with that id, else the one that was started under it: own ids may be UUIDs as well. */
export const find = Effect.fnUntraced(function* (id: string) {
  const { namespace, protocol } = yield* KagziClient
  const byOwnId = protocol.getRunByExternalId(namespace, id)
  if (!uuidForm.test(id)) return yield* byOwnId
  return yield* Effect.catchTag(protocol.getRun(namespace, id), "NotFound", (notFound) =>
    Effect.catchTag(byOwnId, "NotFound", () => Effect.fail(notFound))
  )
})

/** Why a run has no output. */
export const why = (run: Omit<Run, "input">): string => {
  if (run.status === "CANCELLED") return `Run ${run.runId} was cancelled`
  return `Run ${run.runId} failed: ${run.error?.message ?? "it did not say why"}`
}

/** Waits for the end of a run and prints its output. Fails when the run did. */
export const finish = Effect.fnUntraced(function* (runId: string) {
  const { namespace, protocol } = yield* KagziClient
  const run = yield* protocol.awaitRun(namespace, runId)
  const completed = run.status === "COMPLETED"
  if (completed || (yield* Output) === "json") {
    yield* print({
      json: () => views.outcome(run),
      text: () => JSON.stringify(views.value(run.output), undefined, 2)
    })
  }
  if (!completed) return yield* failed(why(run))
})
