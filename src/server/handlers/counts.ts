/** How much there is of what. */
import { Effect } from "effect"
import { AdminService } from "../../../gen/kagzi/v1/admin_pb.ts"
import { Engine } from "../../engine/Engine.ts"
import { int64 } from "../../protocol/codec.ts"
import { nonEmpty } from "../checks.ts"
import { entry } from "../Handler.ts"
import * as Pages from "../pages.ts"

const methods = AdminService.method

const int64s = (counts: Iterable<readonly [name: string, count: number]>) =>
  Object.fromEntries(Array.from(counts, ([name, count]) => [name, int64(count)] as const))

const getStats = entry(
  methods.getStats,
  Effect.fnUntraced(function* (request) {
    const engine = yield* Engine
    const stats = yield* request.namespace === undefined
      ? engine.stats()
      : Effect.flatMap(nonEmpty(request.namespace, "namespace"), engine.stats)
    return {
      totalWorkflows: int64(stats.runs),
      pendingWorkflows: int64(stats.byStatus.get("PENDING") ?? 0),
      runningWorkflows: int64(stats.byStatus.get("RUNNING") ?? 0),
      completedWorkflows: int64(stats.byStatus.get("COMPLETED") ?? 0),
      failedWorkflows: int64(stats.byStatus.get("FAILED") ?? 0),
      totalWorkers: int64(stats.workers),
      onlineWorkers: int64(stats.onlineWorkers),
      totalSchedules: int64(stats.schedules),
      enabledSchedules: int64(stats.enabledSchedules),
      workflowsByStatus: int64s(stats.byStatus),
      workflowsByType: int64s(stats.byType)
    }
  })
)

const getQueueDepth = entry(
  methods.getQueueDepth,
  Effect.fnUntraced(function* (request) {
    const namespace = yield* nonEmpty(request.namespace, "namespace")
    const { taskQueue } = request
    const depths = yield* (yield* Engine).queueDepths(namespace)
    const found = taskQueue === undefined ? depths : depths.filter((depth) => depth.taskQueue === taskQueue)
    const sum = (count: (depth: (typeof found)[number]) => number) =>
      int64(found.reduce((total, depth) => total + count(depth), 0))
    return {
      pendingCount: sum(({ pending }) => pending),
      runningCount: sum(({ running }) => running),
      sleepingCount: sum(({ sleeping }) => sleeping),
      depthByQueue: int64s(found.map((depth) => [depth.taskQueue, depth.pending] as const))
    }
  })
)

const sizes: Pages.Sizes = { standard: 20, max: 100 }

const listWorkflowTypes = entry(
  methods.listWorkflowTypes,
  Effect.fnUntraced(function* (request) {
    const engine = yield* Engine
    const namespace = yield* nonEmpty(request.namespace, "namespace")
    const page = yield* Pages.asked("types", request.page, sizes)
    const { info, items } = yield* Pages.readSized(
      "types",
      page,
      (part) => engine.listWorkflowTypes(namespace, part),
      ({ workflowType }) => Pages.named(workflowType),
      ({ taskQueues, workflowType }) =>
        taskQueues.reduce((sum, queue) => sum + 4 * queue.length + 8, 4 * workflowType.length + 64)
    )
    return {
      workflowTypes: items.map(({ activeRuns, runs, taskQueues, workflowType }) => ({
        workflowType,
        totalRuns: int64(runs),
        activeRuns: int64(activeRuns),
        taskQueues: [...taskQueues]
      })),
      // counted without being asked for
      page: page.count ? info : { ...info, totalCount: 0n }
    }
  })
)

export const countEntries = [getStats, getQueueDepth, listWorkflowTypes]
