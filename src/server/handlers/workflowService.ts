/** Starting, reading and ending runs. */
import { Effect } from "effect"
import { WorkflowService } from "../../../gen/kagzi/v1/workflow_pb.ts"
import { Engine } from "../../engine/Engine.ts"
import { readTimestamp, requested } from "../../protocol/codec.ts"
import { readStatus, workflow } from "../../protocol/codecRun.ts"
import * as enums from "../../protocol/enums.ts"
import { nonEmpty, ofRun, storable } from "../checks.ts"
import { requestedCommand, startRun } from "../commands.ts"
import { entry } from "../Handler.ts"
import { linkedTo } from "../trace.ts"
import * as Pages from "../pages.ts"

const methods = WorkflowService.method

const start = entry(
  methods.startWorkflow,
  Effect.fnUntraced(function* (request) {
    const command = yield* requestedCommand((making) => startRun(request, making))
    const started = yield* (yield* Engine).execute(command)
    yield* linkedTo({ runId: started.runId, input: command.input })
    return started
  })
)

const get = entry(
  methods.getWorkflow,
  Effect.fnUntraced(function* (request) {
    const { namespace, runId } = yield* ofRun(request)
    return { workflow: workflow(yield* (yield* Engine).getRun(namespace, runId)) }
  })
)

const getByExternalId = entry(
  methods.getWorkflowByExternalId,
  Effect.fnUntraced(function* (request) {
    const namespace = yield* nonEmpty(request.namespace, "namespace")
    const externalId = yield* nonEmpty(request.externalId, "external_id")
    return { workflow: workflow(yield* (yield* Engine).getRunByExternalId(namespace, externalId)) }
  })
)

const sizes: Pages.Sizes = { standard: 20, max: 100 }

const list = entry(
  methods.listWorkflows,
  Effect.fnUntraced(function* (request) {
    const engine = yield* Engine
    const { createdAfter, createdBefore, statusFilter = 0 } = request
    const workflowType = yield* storable(request.workflowType, "workflow_type")
    const taskQueue = yield* storable(request.taskQueue, "task_queue")
    const filter = {
      namespace: yield* nonEmpty(request.namespace, "namespace"),
      ...(statusFilter === 0 ? {} : { status: yield* requested(readStatus(statusFilter)) }),
      ...(workflowType === undefined ? {} : { workflowType }),
      ...(taskQueue === undefined ? {} : { taskQueue }),
      ...(createdAfter === undefined
        ? {}
        : { createdAfter: yield* requested(readTimestamp(createdAfter, "created_after")) }),
      ...(createdBefore === undefined
        ? {}
        : { createdBefore: yield* requested(readTimestamp(createdBefore, "created_before")) })
    }
    const page = yield* Pages.asked("runs", request.page, sizes)
    const { info, items } = yield* Pages.read(
      "runs",
      page,
      (part) => engine.listRuns(filter, part),
      (run) => ({ at: run.createdAt, id: run.runId })
    )
    return { workflows: items.map(workflow), page: info }
  })
)

const cancel = entry(
  methods.cancelWorkflow,
  Effect.fnUntraced(function* (request) {
    const run = yield* ofRun(request)
    const { status } = yield* (yield* Engine).execute({ _tag: "CancelRun", ...run })
    return { cancelled: true, status: enums.status.toProto(status) }
  })
)

const retry = entry(
  methods.retryWorkflow,
  Effect.fnUntraced(function* (request) {
    const engine = yield* Engine
    const run = yield* ofRun(request)
    const { newRunId } = yield* engine.execute({ _tag: "RetryRun", newRunId: yield* engine.newId, ...run })
    return { newRunId, alreadyRunning: false }
  })
)

const terminate = entry(
  methods.terminateWorkflow,
  Effect.fnUntraced(function* (request) {
    const run = yield* ofRun(request)
    const { status } = yield* (yield* Engine).execute({ _tag: "TerminateRun", reason: request.reason, ...run })
    return { terminated: true, status: enums.status.toProto(status) }
  })
)

export const workflowService = [start, get, getByExternalId, list, cancel, retry, terminate]
