/** Workers as operators see them. */
import { Effect } from "effect"
import { AdminService } from "../../../gen/kagzi/v1/admin_pb.ts"
import { Engine } from "../../engine/Engine.ts"
import { readWorkerStatus, worker as workerMessage } from "../../protocol/codecAdmin.ts"
import { requested } from "../../protocol/codec.ts"
import type { DescribedWorker } from "../../store/Store.ts"
import { nonEmpty, storable, uuid } from "../checks.ts"
import { entry } from "../Handler.ts"
import * as Pages from "../pages.ts"

const methods = AdminService.method

const sizes: Pages.Sizes = { standard: 20, max: 100 }

const textBytes = (texts: ReadonlyArray<string>) => texts.reduce((sum, text) => sum + 4 * text.length + 16, 0)

const bytesOf = (worker: DescribedWorker): number =>
  textBytes([
    worker.taskQueue,
    worker.hostname,
    worker.version,
    ...worker.workflowTypes,
    ...Object.keys(worker.workflowTypeConcurrency),
    ...Object.entries(worker.labels).flat()
  ]) + 256

const listWorkers = entry(
  methods.listWorkers,
  Effect.fnUntraced(function* (request) {
    const engine = yield* Engine
    const { statusFilter = 0 } = request
    const taskQueue = yield* storable(request.taskQueue, "task_queue")
    const filter = {
      namespace: yield* nonEmpty(request.namespace, "namespace"),
      ...(statusFilter === 0 ? {} : { status: yield* requested(readWorkerStatus(statusFilter)) }),
      ...(taskQueue === undefined ? {} : { taskQueue })
    }
    const page = yield* Pages.asked("workers", request.page, sizes)
    const { info, items } = yield* Pages.readSized(
      "workers",
      page,
      (part) => engine.listWorkers(filter, part),
      ({ workerId }) => Pages.named(workerId),
      bytesOf
    )
    return { workers: items.map(workerMessage), page: info }
  })
)

const getWorker = entry(
  methods.getWorker,
  Effect.fnUntraced(function* (request) {
    const workerId = yield* uuid(request.workerId, "worker_id")
    return { worker: workerMessage(yield* (yield* Engine).getWorker(workerId)) }
  })
)

const drainWorker = entry(
  methods.drainWorker,
  Effect.fnUntraced(function* (request) {
    const workerId = yield* uuid(request.workerId, "worker_id")
    yield* (yield* Engine).execute({ _tag: "DrainWorker", workerId })
    return { success: true, message: `Worker ${workerId} is draining` }
  })
)

export const workerEntries = [listWorkers, getWorker, drainWorker]
