import { assert, describe, it } from "@effect/vitest"
import { Effect, type Tracer } from "effect"
import type { Task } from "../../src/protocol/Protocol.ts"
import { nothing, type Run } from "../../src/Run.ts"
import * as Tracing from "../../src/worker/Tracing.ts"

const run: Run = {
  namespace: "default",
  runId: "0190abc1-2345-7789-abcd-ef0123456789",
  externalId: "order-1",
  taskQueue: "orders",
  workflowType: "order",
  version: "1",
  priority: 0,
  status: "RUNNING",
  input: nothing,
  attempts: 1,
  createdAt: 0
}

describe("the span of an activation", () => {
  it.effect("links to the one before it, and keeps none of those before that in memory", () =>
    Effect.gen(function* () {
      const trace = Tracing.ofRun(run)
      let previous: Tracer.Span | undefined
      let earlier: Tracer.Span | undefined
      for (let lease = 1; lease <= 3; lease++) {
        const task: Task = { run, runId: run.runId, lease, history: [], claimedAt: 0 }
        earlier = previous
        previous = yield* Tracing.activation(trace, task, previous)
      }
      const links = previous?.links.map(({ span }) => span) ?? []
      assert.lengthOf(links, 1)
      assert.strictEqual(links[0]?.spanId, earlier?.spanId)
      assert.strictEqual(links[0]?.traceId, earlier?.traceId)
      assert.strictEqual(links[0]?._tag, "ExternalSpan")
    })
  )
})
