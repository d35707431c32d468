import { assert, it } from "@effect/vitest"
import { Duration, Effect } from "effect"
import { Workflow } from "../../src/index.ts"
import { client, withWorker } from "../support/harness.ts"

const Waiting = Workflow.make("waiting", { taskQueue: "waiting" })

it.live("a wait of Effect's own that is already over is none, in a body as elsewhere", () =>
  Effect.gen(function* () {
    const implementation = Waiting.implement(() =>
      Effect.andThen(Effect.sleep(Duration.millis(-5)), Effect.sleep(Duration.zero))
    )
    const handle = yield* Waiting.start(undefined)
    yield* withWorker(implementation)(handle.result)
    assert.deepStrictEqual(yield* handle.steps, [])
  }).pipe(Effect.provide(client))
)
