import { randomUUID } from "node:crypto"
import { Code, ConnectError, createClient } from "@connectrpc/connect"
import { createConnectTransport } from "@connectrpc/connect-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { AdminService } from "../../gen/kagzi/v1/admin_pb.ts"
import { ErrorCode, ErrorDetailSchema } from "../../gen/kagzi/v1/common_pb.ts"
import { NamespaceService } from "../../gen/kagzi/v1/namespace_pb.ts"
import { ExecutionService } from "../../gen/kagzi/v1/execution_pb.ts"
import { StepKind, WorkerService } from "../../gen/kagzi/v1/worker_pb.ts"
import { type IfExists, WorkflowService, type WorkflowStatus } from "../../gen/kagzi/v1/workflow_pb.ts"
import { start } from "./support.ts"

const clients = (baseUrl: string) => {
  const transport = createConnectTransport({ baseUrl, httpVersion: "2" })
  return {
    workflows: createClient(WorkflowService, transport),
    workers: createClient(WorkerService, transport),
    execution: createClient(ExecutionService, transport),
    namespaces: createClient(NamespaceService, transport),
    admin: createClient(AdminService, transport)
  }
}

type Clients = ReturnType<typeof clients>

const run = { namespace: "default", externalId: "e", taskQueue: "q", workflowType: "t" }
const worker = { namespace: "default", taskQueue: "q", workflowTypes: ["t"], hostname: "h", pid: 1 }
const namespace = "default"
const runId = "0190a3f0-0000-7000-8000-000000000001"
const stepId = "0190a3f0-0000-7000-8000-000000000002"
const lease = (value: string) => ({ headers: { "kagzi-lease": value } })

const refusal = (call: () => Promise<unknown>) =>
  Effect.promise(() =>
    call().then(
      () => assert.fail("the call succeeded"),
      (reason: unknown) => ConnectError.from(reason)
    )
  )

const payload = (bytes: number) => ({ data: new TextEncoder().encode(JSON.stringify("x".repeat(bytes - 2))) })

const invalid: ReadonlyArray<readonly [string, RegExp, (to: Clients) => Promise<unknown>]> = [
  ["a start without a namespace", /namespace/, (to) => to.workflows.startWorkflow({ ...run, namespace: "" })],
  ["a start without an id", /external_id/, (to) => to.workflows.startWorkflow({ ...run, externalId: "" })],
  ["a start without a queue", /task_queue/, (to) => to.workflows.startWorkflow({ ...run, taskQueue: "" })],
  ["a start without a type", /workflow_type/, (to) => to.workflows.startWorkflow({ ...run, workflowType: "" })],
  ["an unknown if_exists", /if_exists/, (to) => to.workflows.startWorkflow({ ...run, ifExists: 99 as IfExists })],
  [
    "an input that is too large",
    /input has 2097153 bytes, more than the 2097152 allowed/,
    (to) => to.workflows.startWorkflow({ ...run, input: payload(2_097_153) })
  ],
  [
    "a policy that makes no sense",
    /backoffCoefficient/,
    (to) => to.workflows.startWorkflow({ ...run, retryPolicy: { backoffCoefficient: 0.5 } })
  ],
  ["a run id that is no UUID", /run_id must be a UUID/, (to) => to.workflows.getWorkflow({ namespace, runId: "1" })],
  ["a read without a namespace", /namespace/, (to) => to.workflows.getWorkflow({ namespace: "", runId })],
  [
    "a search without an id",
    /external_id/,
    (to) => to.workflows.getWorkflowByExternalId({ namespace, externalId: "" })
  ],
  ["a list without a namespace", /namespace/, (to) => to.workflows.listWorkflows({ namespace: "" })],
  [
    "an unknown status",
    /status/,
    (to) => to.workflows.listWorkflows({ namespace, statusFilter: 99 as WorkflowStatus })
  ],
  [
    "a page token that nobody gave",
    /page_token/,
    (to) => to.workflows.listWorkflows({ namespace, page: { pageToken: "bm9uc2Vuc2U" } })
  ],
  ["a cancellation without a namespace", /namespace/, (to) => to.workflows.cancelWorkflow({ namespace: "", runId })],
  ["a retry of no UUID", /run_id/, (to) => to.workflows.retryWorkflow({ namespace, runId: "" })],
  ["a termination of no UUID", /run_id/, (to) => to.workflows.terminateWorkflow({ namespace, runId: "x" })],
  ["a worker without a namespace", /namespace/, (to) => to.workers.register({ ...worker, namespace: "" })],
  ["a worker without a queue", /task_queue/, (to) => to.workers.register({ ...worker, taskQueue: "" })],
  ["a worker without types", /workflow_types/, (to) => to.workers.register({ ...worker, workflowTypes: [] })],
  ["a heartbeat of no UUID", /worker_id/, (to) => to.workers.heartbeat({ workerId: "me" })],
  ["a farewell of no UUID", /worker_id/, (to) => to.workers.deregister({ workerId: "me" })],
  ["a poll of no UUID", /worker_id/, (to) => to.workers.pollTask({ ...worker, workerId: "me" })],
  [
    "a step without a kind",
    /kind/,
    (to) => to.workers.beginStep({ namespace, runId, stepName: "s", kind: StepKind.UNSPECIFIED })
  ],
  [
    "a step without a name",
    /step_name/,
    (to) => to.workers.beginStep({ namespace, runId, stepName: "", kind: StepKind.FUNCTION })
  ],
  [
    "a lease that is no number",
    /kagzi-lease/,
    (to) => to.workers.beginStep({ namespace, runId, stepName: "s", kind: StepKind.FUNCTION }, lease("mine"))
  ],
  [
    "an output that is too large",
    /output has/,
    (to) => to.workers.completeStep({ namespace, runId, stepId, output: payload(2_097_153) })
  ],
  ["a failure without an error", /error/, (to) => to.workers.failStep({ namespace, runId, stepId })],
  ["a failed run without an error", /error/, (to) => to.workers.failWorkflow({ namespace, runId })],
  ["a sleep without a duration", /duration/, (to) => to.workers.sleep({ namespace, runId, stepId })],
  [
    "a sleep with a broken duration",
    /duration/,
    (to) => to.workers.sleep({ namespace, runId, stepId, duration: { seconds: 1n, nanos: -1 } })
  ],
  [
    "a sleep that is negative",
    /negative/,
    (to) => to.workers.sleep({ namespace, runId, stepId, duration: { seconds: -1n, nanos: 0 } })
  ],
  [
    "a sleep of eleven years",
    /10 years/,
    (to) => to.workers.sleep({ namespace, runId, stepId, duration: { seconds: 347_000_000n, nanos: 0 } })
  ],
  ["a step id that is no UUID", /step_id/, (to) => to.admin.getStep({ namespace, stepId: "s" })],
  [
    "a token of another list",
    /page_token/,
    (to) => to.admin.listSteps({ namespace, runId, page: { pageToken: Buffer.from("runs:1:a").toString("base64url") } })
  ],
  [
    "a history token that nobody gave",
    /page_token/,
    (to) => to.execution.getHistory({ namespace, runId, pageToken: "!" })
  ],
  ["a wait without a namespace", /namespace/, (to) => to.execution.awaitResult({ namespace: "", runId })],
  [
    "a wait of more milliseconds than a number holds",
    /timeout_ms/,
    (to) => to.execution.awaitResult({ namespace, runId, timeoutMs: 2n ** 62n })
  ],
  ...Object.entries(run).map(
    ([field, value]) =>
      [
        `a start whose ${field} has a character that can't be stored`,
        /(namespace|external_id|task_queue|workflow_type) must not contain U\+0000/,
        (to: Clients) => to.workflows.startWorkflow({ ...run, [field]: `${value}\u0000` })
      ] as const
  ),
  ["a version like that", /version/, (to) => to.workflows.startWorkflow({ ...run, version: "\u0000" })],
  ["a host like that", /hostname/, (to) => to.workers.register({ ...worker, hostname: "\u0000" })],
  ["a type like that", /workflow_types/, (to) => to.workers.register({ ...worker, workflowTypes: ["t", "\u0000"] })],
  [
    "a limit like that",
    /workflow_type_concurrency/,
    (to) => to.workers.register({ ...worker, workflowTypeConcurrency: [{ workflowType: "\u0000", maxConcurrent: 1 }] })
  ],
  [
    "a held run like that",
    /held_runs/,
    (to) =>
      to.workers.heartbeat({
        workerId: runId,
        reportsRuns: true,
        heldRuns: [{ runId: "\u0000", leaseEpoch: 1n }]
      })
  ],
  [
    "a poll like that",
    /workflow_types/,
    (to) => to.workers.pollTask({ ...worker, workerId: runId, workflowTypes: ["\u0000"] })
  ],
  [
    "a step like that",
    /step_name/,
    (to) => to.workers.beginStep({ namespace, runId, stepName: "\u0000", kind: StepKind.FUNCTION })
  ],
  ["a list like that", /task_queue/, (to) => to.workflows.listWorkflows({ namespace, taskQueue: "\u0000" })],
  ["a list of steps like that", /step_name/, (to) => to.admin.listSteps({ namespace, runId, stepName: "\u0000" })],
  [
    "a token like that",
    /page_token/,
    (to) =>
      to.workflows.listWorkflows({
        namespace,
        page: { pageToken: Buffer.from("runs:1:\u0000").toString("base64url") }
      })
  ],
  [
    "a description like that",
    /description/,
    (to) => to.namespaces.createNamespace({ namespace: "n", displayName: "n", description: "\u0000" })
  ]
]

const missing: ReadonlyArray<readonly [string, string, (to: Clients) => Promise<unknown>]> = [
  ["a read of an unknown run", "workflow", (to) => to.workflows.getWorkflow({ namespace, runId })],
  ["a cancellation", "workflow", (to) => to.workflows.cancelWorkflow({ namespace, runId })],
  ["a termination", "workflow", (to) => to.workflows.terminateWorkflow({ namespace, runId })],
  ["a retry", "workflow", (to) => to.workflows.retryWorkflow({ namespace, runId })],
  ["a search", "workflow", (to) => to.workflows.getWorkflowByExternalId({ namespace, externalId: "nobody" })],
  ["a wait", "workflow", (to) => to.execution.awaitResult({ namespace, runId, timeoutMs: 1n })],
  ["a history", "workflow", (to) => to.execution.getHistory({ namespace, runId })],
  ["a heartbeat", "worker", (to) => to.workers.heartbeat({ workerId: randomUUID() })],
  ["a step", "step", (to) => to.admin.getStep({ namespace, stepId })],
  ["a completed run", "workflow", (to) => to.workers.completeWorkflow({ namespace, runId })]
]

describe("bad input", () => {
  it.live("is refused as an invalid argument that names what is wrong", () =>
    Effect.gen(function* () {
      const to = clients(yield* start())
      for (const [name, message, call] of invalid) {
        const error = yield* refusal(() => call(to))
        assert.strictEqual(error.code, Code.InvalidArgument, `${name}: ${error.message}`)
        assert.match(error.rawMessage, message, name)
        assert.notInclude(error.rawMessage, "\n", name)
        assert.deepInclude(error.findDetails(ErrorDetailSchema)[0], {
          code: ErrorCode.INVALID_ARGUMENT,
          nonRetryable: true
        })
      }
    })
  )

  it.live("that names what does not exist is told so", () =>
    Effect.gen(function* () {
      const to = clients(yield* start())
      for (const [name, subject, call] of missing) {
        const error = yield* refusal(() => call(to))
        assert.strictEqual(error.code, Code.NotFound, `${name}: ${error.message}`)
        assert.strictEqual(error.findDetails(ErrorDetailSchema)[0]?.subject, subject, name)
      }
    })
  )

  it.live("loses nothing: the run it was about is as before", () =>
    Effect.gen(function* () {
      const to = clients(yield* start())
      const started = yield* Effect.promise(() => to.workflows.startWorkflow({ ...run, input: payload(2_097_152) }))
      yield* refusal(() => to.workers.completeWorkflow({ namespace, runId: started.runId }))
      yield* refusal(() => to.workflows.cancelWorkflow({ namespace: "other", runId: started.runId }))
      const { workflow } = yield* Effect.promise(() => to.workflows.getWorkflow({ namespace, runId: started.runId }))
      assert.strictEqual(workflow?.input?.data.byteLength, 2_097_152)
      assert.isUndefined(workflow?.finishedAt)
    })
  )

  it.live("is no text that people read, whatever characters it has", () =>
    Effect.gen(function* () {
      const to = clients(yield* start())
      const { runId } = yield* Effect.promise(() => to.workflows.startWorkflow(run))
      yield* Effect.promise(() => to.workflows.terminateWorkflow({ namespace, runId, reason: "a\u0000b" }))
      const { workflow } = yield* Effect.promise(() => to.workflows.getWorkflow({ namespace, runId }))
      assert.include(workflow?.error?.message, "a\u0000b")
    })
  )

  it.live("of upper case ids is no bad input", () =>
    Effect.gen(function* () {
      const to = clients(yield* start())
      const started = yield* Effect.promise(() => to.workflows.startWorkflow(run))
      const upper = { namespace, runId: started.runId.toUpperCase() }
      const { workflow } = yield* Effect.promise(() => to.workflows.getWorkflow(upper))
      assert.strictEqual(workflow?.runId, started.runId)
      assert.strictEqual(new TextDecoder().decode(workflow?.input?.data), "null")
    })
  )
})
