/** What clients and workers say over a session, for tests that look at what comes of it. */
import { createClient } from "@connectrpc/connect"
import { createGrpcTransport } from "@connectrpc/connect-node"
import { Effect } from "effect"
import { AdminService } from "../../gen/kagzi/v1/admin_pb.ts"
import { ExecutionService } from "../../gen/kagzi/v1/execution_pb.ts"
import { type PollTaskResponse, WorkerService } from "../../gen/kagzi/v1/worker_pb.ts"
import { WorkflowService } from "../../gen/kagzi/v1/workflow_pb.ts"
import type { KagziError } from "../../src/KagziError.ts"
import { type Client, command } from "./sessionClient.ts"

export const place = { namespace: "default", taskQueue: "q" }
export const json = (value: unknown) => ({ data: new TextEncoder().encode(JSON.stringify(value)) })
export const stepId = (n: number) => `00000000-0000-4000-8000-${String(n).padStart(12, "0")}`

export interface Held {
  readonly runId: string
  readonly leaseEpoch: bigint
}

export const register = (client: Client, pid = 1) =>
  Effect.gen(function* () {
    client.send(command(1, "register", { ...place, workflowTypes: ["t"], hostname: "h", pid }))
    return (yield* client.next("registered", 1)).workerId
  })

export const serving = (workerId: string, capacity: number, heldRuns?: ReadonlyArray<Held>) => ({
  workerId,
  ...place,
  workflowTypes: ["t"],
  capacity,
  resumes: heldRuns !== undefined,
  heldRuns: [...(heldRuns ?? [])]
})

/** A worker of its own that is served. */
export const serve = (client: Client, capacity: number, pid = 1) =>
  Effect.gen(function* () {
    const workerId = yield* register(client, pid)
    client.send(command(2, "serve", serving(workerId, capacity, [])))
    yield* client.next("heard", 2)
    return workerId
  })

export const started = (client: Client, ids: ReadonlyArray<number>, input: unknown = "in") =>
  Effect.gen(function* () {
    client.send(
      ...ids.map((id) =>
        command(id, "startWorkflow", { ...place, workflowType: "t", externalId: `run-${id}`, input: json(input) })
      )
    )
    return yield* Effect.forEach(ids, (id) => Effect.map(client.next("started", id), ({ runId }) => runId))
  })

export const nextTask = (client: Client): Effect.Effect<PollTaskResponse, KagziError> =>
  Effect.map(client.next("task"), ({ task }) => task!)

export const tasks = (client: Client, count: number) =>
  Effect.all(Array.from({ length: count }, () => nextTask(client)))

export const heldOf = ({ leaseEpoch, runId }: PollTaskResponse): Held => ({ runId, leaseEpoch })

export const unary = (baseUrl: string) => {
  const transport = createGrpcTransport({ baseUrl })
  return {
    admin: createClient(AdminService, transport),
    execution: createClient(ExecutionService, transport),
    workers: createClient(WorkerService, transport),
    workflows: createClient(WorkflowService, transport)
  }
}

export const lease = 1
