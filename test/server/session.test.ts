import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { StepKind, StepStatus } from "../../gen/kagzi/v1/worker_pb.ts"
import { WorkflowStatus } from "../../gen/kagzi/v1/workflow_pb.ts"
import { type Client, command, openSession } from "./sessionClient.ts"
import { start } from "./support.ts"

const place = { namespace: "default", taskQueue: "q" }
const json = (value: unknown) => ({ data: new TextEncoder().encode(JSON.stringify(value)) })
const stepId = (n: number) => `00000000-0000-4000-8000-${String(n).padStart(12, "0")}`

const register = (client: Client) =>
  Effect.gen(function* () {
    client.send(command(1, "register", { ...place, workflowTypes: ["t"], hostname: "h", pid: 1 }))
    return (yield* client.next("registered", 1)).workerId
  })

const serve = (workerId: string, capacity: number, resumes = true, heldRuns: Array<never> = []) => ({
  workerId,
  ...place,
  workflowTypes: ["t"],
  capacity,
  resumes,
  heldRuns
})

const startRun = (id: number, externalId: string) =>
  command(id, "startWorkflow", { ...place, workflowType: "t", externalId, input: json("in") })

describe("a session", () => {
  it.live("carries a run from its start to its result", () =>
    Effect.gen(function* () {
      const client = yield* openSession(yield* start())
      const workerId = yield* register(client)
      client.send(command(2, "serve", serve(workerId, 1)))
      assert.isTrue((yield* client.next("heard", 2)).accepted)
      client.send(startRun(3, "e"))
      const { runId } = yield* client.next("started", 3)
      client.send(command(4, "awaitResult", { namespace: "default", runId }))
      const { task } = yield* client.next("task")
      assert.strictEqual(task?.runId, runId)
      const of = { namespace: "default", runId }
      client.send(
        command(5, "beginStep", { ...of, stepName: "s", kind: StepKind.FUNCTION, stepId: stepId(1) }, 1),
        command(6, "completeStep", { ...of, stepId: stepId(1), output: json(1) }, 1)
      )
      // begun as it was asked for, of which there is nothing to tell
      yield* client.next("done", 5)
      const ended = yield* client.next("step", 6)
      assert.strictEqual(ended.record?.status, StepStatus.COMPLETED)
      assert.strictEqual(ended.record?.sequence, 1n)
      client.send(command(7, "completeWorkflow", { ...of, output: json("out") }, 1))
      const { workflow } = yield* client.next("result", 4)
      assert.strictEqual(workflow?.status, WorkflowStatus.COMPLETED)
      assert.strictEqual(new TextDecoder().decode(workflow?.output?.data), '"out"')
      assert.isUndefined(workflow?.input)
    })
  )
})
