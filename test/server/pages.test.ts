import { createClient } from "@connectrpc/connect"
import { createGrpcTransport } from "@connectrpc/connect-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { ExecutionService } from "../../gen/kagzi/v1/execution_pb.ts"
import { StepKind, WorkerService } from "../../gen/kagzi/v1/worker_pb.ts"
import { WorkflowService } from "../../gen/kagzi/v1/workflow_pb.ts"
import { start } from "./support.ts"

const namespace = "default"

const startRuns = (server: string, count: number, bytes: number) =>
  Effect.gen(function* () {
    const workflows = createClient(WorkflowService, createGrpcTransport({ baseUrl: server }))
    const input = { data: new TextEncoder().encode(JSON.stringify("x".repeat(bytes))) }
    const started = yield* Effect.forEach(
      Array.from({ length: count }, (_, index) => `run ${index}`),
      (externalId) =>
        Effect.promise(() =>
          workflows.startWorkflow({ namespace, externalId, taskQueue: "q", workflowType: "t", input })
        ),
      { concurrency: 10 }
    )
    return { workflows, ids: started.map(({ runId }) => runId) }
  })

/** All pages of a list of runs, as sizes and ids. */
const allPages = (workflows: Effect.Success<ReturnType<typeof startRuns>>["workflows"], pageSize: number) =>
  Effect.promise(async () => {
    const pages: Array<ReadonlyArray<string>> = []
    let pageToken = ""
    do {
      const { page, workflows: found } = await workflows.listWorkflows({ namespace, page: { pageSize, pageToken } })
      pages.push(found.map(({ runId }) => runId))
      pageToken = page?.nextPageToken ?? ""
      assert.strictEqual(page?.hasMore, pageToken !== "")
    } while (pageToken !== "")
    return pages
  })

describe("pages", () => {
  it.live("neither skip nor repeat a run, and end exactly", () =>
    Effect.gen(function* () {
      const { ids, workflows } = yield* startRuns(yield* start(), 45, 1)
      for (const size of [7, 15, 45, 100]) {
        const pages = yield* allPages(workflows, size)
        assert.strictEqual(pages.length, Math.ceil(45 / size))
        assert.deepStrictEqual(pages.flat().sort(), [...ids].sort())
      }
      const standard = yield* allPages(workflows, 0)
      assert.deepStrictEqual(
        standard.map((page) => page.length),
        [20, 20, 5]
      )
    })
  )

  it.live("hold at most 100 runs, and count all when asked", () =>
    Effect.gen(function* () {
      const { workflows } = yield* startRuns(yield* start(), 101, 1)
      const { page, workflows: found } = yield* Effect.promise(() =>
        workflows.listWorkflows({ namespace, page: { pageSize: 1000, includeTotalCount: true } })
      )
      assert.deepStrictEqual([found.length, page?.hasMore, page?.totalCount], [100, true, 101n])
    })
  )

  it.live("end before they pass what a peer takes", () =>
    Effect.gen(function* () {
      const { ids, workflows } = yield* startRuns(yield* start(), 7, 1_000_000)
      const pages = yield* allPages(workflows, 100)
      assert.deepStrictEqual(
        pages.map((page) => page.length),
        [3, 3, 1]
      )
      assert.deepStrictEqual(pages.flat().sort(), [...ids].sort())
    })
  )

  it.live("of a history go on where the task left off", () =>
    Effect.gen(function* () {
      const server = yield* start()
      yield* startRuns(server, 1, 1)
      const transport = createGrpcTransport({ baseUrl: server })
      const workers = createClient(WorkerService, transport)
      const execution = createClient(ExecutionService, transport)
      const worker = { namespace, taskQueue: "q", workflowTypes: ["t"], hostname: "h", pid: 1 }
      const { workerId } = yield* Effect.promise(() => workers.register(worker))
      const poll = Effect.promise(() => workers.pollTask({ ...worker, workerId }))
      const first = yield* poll
      const of = { namespace, runId: first.runId }
      const names = Array.from({ length: 6 }, (_, index) => `step ${index}`)
      const output = { data: new TextEncoder().encode(JSON.stringify("x".repeat(500_000))) }
      for (const stepName of names) {
        yield* Effect.promise(() =>
          workers
            .beginStep({ ...of, stepName, kind: StepKind.FUNCTION })
            .then(({ stepId }) => workers.completeStep({ ...of, stepId, output }))
        )
      }
      yield* Effect.promise(() => execution.releaseRun(of))
      const task = yield* poll
      assert.notStrictEqual(task.historyPageToken, "")
      const seen = task.history.map((step) => step.name)
      let pageToken = task.historyPageToken
      while (pageToken !== "") {
        const page = yield* Effect.promise(() => execution.getHistory({ ...of, pageToken }))
        seen.push(...page.steps.map((step) => step.name))
        pageToken = page.nextPageToken
      }
      assert.deepStrictEqual(seen, names)
    })
  )
})
