/** Namespaces and workers, between the domain's data and the messages of the contract. */
import { create } from "@bufbuild/protobuf"
import { Result } from "effect"
import { NamespaceSchema, type Namespace as ProtoNamespace } from "../../gen/kagzi/v1/namespace_pb.ts"
import { WorkerSchema, type Worker as ProtoWorker } from "../../gen/kagzi/v1/worker_pb.ts"
import * as codec from "./codec.ts"
import type { Read } from "./codec.ts"
import { missing } from "./codecRun.ts"
import * as enums from "./enums.ts"
import type { Namespace, Worker } from "./Protocol.ts"

export const namespace = (value: Namespace): ProtoNamespace =>
  create(NamespaceSchema, {
    id: value.id,
    namespace: value.namespace,
    displayName: value.displayName,
    description: value.description,
    enabled: value.enabled,
    createdAt: codec.timestamp(value.createdAt),
    updatedAt: codec.timestamp(value.updatedAt)
  })

const readTime = (message: Parameters<typeof codec.readTimestamp>[0] | undefined, field: string): Read<number> =>
  message === undefined ? missing(field) : codec.readTimestamp(message, field)

export const readNamespace = (message: ProtoNamespace | undefined): Read<Namespace> =>
  message === undefined
    ? missing("namespace")
    : Result.gen(function* () {
        return {
          id: message.id,
          namespace: message.namespace,
          displayName: message.displayName,
          description: message.description,
          enabled: message.enabled,
          createdAt: yield* readTime(message.createdAt, "created_at"),
          updatedAt: yield* readTime(message.updatedAt, "updated_at")
        }
      })

export const readWorkerStatus = (value: number): Read<Worker["status"]> => {
  const status = enums.workerStatus.fromProto(value)
  return status === undefined ? Result.fail(`status is unknown: ${value}`) : Result.succeed(status)
}

export const worker = (value: Worker): ProtoWorker =>
  create(WorkerSchema, {
    workerId: value.workerId,
    taskQueue: value.taskQueue,
    status: enums.workerStatus.toProto(value.status),
    version: value.version,
    workflowTypes: [...value.workflowTypes],
    hostname: value.hostname,
    pid: codec.int32(value.pid),
    ...(value.queueConcurrencyLimit === undefined
      ? {}
      : { queueConcurrencyLimit: codec.int32(value.queueConcurrencyLimit) }),
    workflowTypeConcurrency: Object.entries(value.workflowTypeConcurrency).map(([workflowType, maxConcurrent]) => ({
      workflowType,
      maxConcurrent: codec.int32(maxConcurrent)
    })),
    activeWorkflowCount: codec.int32(value.activeRuns),
    registeredAt: codec.timestamp(value.registeredAt),
    lastHeartbeatAt: codec.timestamp(value.lastHeartbeatAt),
    labels: value.labels
  })

export const readWorker = (message: ProtoWorker | undefined): Read<Worker> =>
  message === undefined
    ? missing("worker")
    : Result.gen(function* () {
        return {
          workerId: message.workerId,
          taskQueue: message.taskQueue,
          status: yield* readWorkerStatus(message.status),
          version: message.version,
          workflowTypes: message.workflowTypes,
          hostname: message.hostname,
          pid: message.pid,
          labels: message.labels,
          ...(message.queueConcurrencyLimit === undefined
            ? {}
            : { queueConcurrencyLimit: message.queueConcurrencyLimit }),
          workflowTypeConcurrency: Object.fromEntries(
            message.workflowTypeConcurrency.map(
              ({ maxConcurrent, workflowType }) => [workflowType, maxConcurrent] as const
            )
          ),
          activeRuns: message.activeWorkflowCount,
          registeredAt: yield* readTime(message.registeredAt, "registered_at"),
          lastHeartbeatAt: yield* readTime(message.lastHeartbeatAt, "last_heartbeat_at")
        }
      })
