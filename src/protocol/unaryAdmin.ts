/** Namespaces and what operators look at, over plain unary RPCs. */
import { Effect, Result } from "effect"
import * as KagziError from "../KagziError.ts"
import * as codec from "./codec.ts"
import * as admin from "./codecAdmin.ts"
import * as enums from "./enums.ts"
import type { AdminShape } from "./Protocol.ts"
import { pageRequest, readPage } from "./pages.ts"
import type { Services } from "./services.ts"

const readNamespace = (reply: { readonly namespace?: Parameters<typeof admin.readNamespace>[0] }) =>
  codec.answered(admin.readNamespace(reply.namespace))

const count = (value: bigint, field: string) => codec.answered(codec.safeNumber(value, field))

const counts = (values: Readonly<Record<string, bigint>>, field: string) =>
  Effect.map(
    Effect.forEach(Object.entries(values), ([name, value]) =>
      Effect.map(count(value, field), (number) => [name, number] as const)
    ),
    Object.fromEntries<number>
  )

/** The part of the protocol that operators use. */
export const make = ({ admin: calls, namespaces }: Services): AdminShape => ({
  createNamespace: Effect.fn("Protocol.createNamespace")(function* (request) {
    return yield* readNamespace(yield* namespaces.createNamespace(request))
  }),
  getNamespace: Effect.fn("Protocol.getNamespace")(function* (namespace) {
    return yield* readNamespace(yield* namespaces.getNamespace({ namespace }))
  }),
  listNamespaces: Effect.fn("Protocol.listNamespaces")(function* (page) {
    const reply = yield* namespaces.listNamespaces({ page: pageRequest(page) })
    return yield* readPage(reply.namespaces, admin.readNamespace, page, reply.page)
  }),
  updateNamespace: Effect.fn("Protocol.updateNamespace")(function* (namespace, fields) {
    return yield* readNamespace(yield* namespaces.updateNamespace({ namespace, ...fields }))
  }),
  enableNamespace: Effect.fn("Protocol.enableNamespace")(function* (namespace) {
    return yield* readNamespace(yield* namespaces.enableNamespace({ namespace }))
  }),
  disableNamespace: Effect.fn("Protocol.disableNamespace")(function* (namespace) {
    return yield* readNamespace(yield* namespaces.disableNamespace({ namespace }))
  }),
  listWorkers: Effect.fn("Protocol.listWorkers")(function* ({ status, ...filter }, page) {
    const reply = yield* calls.listWorkers({
      ...filter,
      page: pageRequest(page),
      ...(status === undefined ? {} : { statusFilter: enums.workerStatus.toProto(status) })
    })
    return yield* readPage(reply.workers, admin.readWorker, page, reply.page)
  }),
  getWorker: Effect.fn("Protocol.getWorker")(function* (workerId) {
    const { worker } = yield* calls.getWorker({ workerId })
    return yield* codec.answered(admin.readWorker(worker))
  }),
  drainWorker: Effect.fn("Protocol.drainWorker")(function* (workerId) {
    const reply = yield* calls.drainWorker({ workerId })
    // Servers may answer a refusal in the message instead of as an error.
    if (!reply.success) {
      return yield* Effect.fail(
        reply.error === undefined
          ? new KagziError.PreconditionFailed({ message: reply.message })
          : KagziError.fromDetail(codec.readErrorDetail(reply.error))
      )
    }
  }),
  stats: Effect.fn("Protocol.stats")(function* (namespace) {
    const reply = yield* calls.getStats(namespace === undefined ? {} : { namespace })
    return {
      runs: yield* count(reply.totalWorkflows, "total_workflows"),
      byStatus: yield* counts(reply.workflowsByStatus, "workflows_by_status"),
      byType: yield* counts(reply.workflowsByType, "workflows_by_type"),
      workers: yield* count(reply.totalWorkers, "total_workers"),
      onlineWorkers: yield* count(reply.onlineWorkers, "online_workers"),
      schedules: yield* count(reply.totalSchedules, "total_schedules"),
      enabledSchedules: yield* count(reply.enabledSchedules, "enabled_schedules")
    }
  }),
  queueDepth: Effect.fn("Protocol.queueDepth")(function* (filter) {
    const reply = yield* calls.getQueueDepth(filter)
    return {
      pending: yield* count(reply.pendingCount, "pending_count"),
      running: yield* count(reply.runningCount, "running_count"),
      sleeping: yield* count(reply.sleepingCount, "sleeping_count"),
      byQueue: yield* counts(reply.depthByQueue, "depth_by_queue")
    }
  }),
  listWorkflowTypes: Effect.fn("Protocol.listWorkflowTypes")(function* (namespace, page) {
    const reply = yield* calls.listWorkflowTypes({ namespace, page: pageRequest(page) })
    return yield* readPage(
      reply.workflowTypes,
      (type) =>
        Result.gen(function* () {
          return {
            workflowType: type.workflowType,
            runs: yield* codec.safeNumber(type.totalRuns, "total_runs"),
            activeRuns: yield* codec.safeNumber(type.activeRuns, "active_runs"),
            taskQueues: type.taskQueues
          }
        }),
      page,
      reply.page
    )
  })
})
