/** Workers and namespaces as rows. */
import type { Types } from "effect"
import type { NamespaceRecord, WorkerRecord } from "../Store.ts"
import { workerStatus, workerStatuses } from "./codes.ts"
import { bit, fromJson, orNull, toJson, type Value } from "./values.ts"

/** Columns that an update of a worker sets; the others are what it is known by. */
export const workerMutable = [
  "status",
  "version",
  "workflow_types",
  "labels",
  "queue_concurrency_limit",
  "workflow_type_concurrency",
  "registered_at",
  "last_heartbeat_at",
  "patience_millis",
  "stream"
]

export const workerColumns = [
  "worker_id",
  "namespace",
  "task_queue",
  "hostname",
  "pid",
  "instance_id",
  ...workerMutable
]

export type WorkerRow = readonly [
  workerId: string,
  namespace: string,
  taskQueue: string,
  hostname: string,
  pid: number,
  instanceId: string,
  status: number,
  version: string,
  workflowTypes: string,
  labels: string,
  queueConcurrencyLimit: number | null,
  workflowTypeConcurrency: string,
  registeredAt: number,
  lastHeartbeatAt: number,
  patienceMillis: number,
  stream: number
]

export const workerMutableValues = (worker: WorkerRecord): Array<Value> => [
  workerStatus[worker.status],
  worker.version,
  toJson(worker.workflowTypes),
  toJson(worker.labels),
  orNull(worker.queueConcurrencyLimit),
  toJson(worker.workflowTypeConcurrency),
  worker.registeredAt,
  worker.lastHeartbeatAt,
  worker.patienceMillis,
  worker.stream
]

export const workerValues = (worker: WorkerRecord): Array<Value> => [
  worker.workerId,
  worker.namespace,
  worker.taskQueue,
  worker.hostname,
  worker.pid,
  worker.instanceId,
  ...workerMutableValues(worker)
]

export const toWorkerRecord = (row: WorkerRow): WorkerRecord => {
  const worker: Types.Mutable<WorkerRecord> = {
    workerId: row[0],
    namespace: row[1],
    taskQueue: row[2],
    hostname: row[3],
    pid: row[4],
    instanceId: row[5],
    status: workerStatuses[row[6]]!,
    version: row[7],
    workflowTypes: fromJson(row[8]),
    labels: fromJson(row[9]),
    workflowTypeConcurrency: fromJson(row[11]),
    registeredAt: row[12],
    lastHeartbeatAt: row[13],
    patienceMillis: row[14],
    stream: row[15]
  }
  if (row[10] !== null) worker.queueConcurrencyLimit = row[10]
  return worker
}

export const namespaceMutable = ["display_name", "description", "enabled", "updated_at"]

export const namespaceColumns = ["namespace", "id", "created_at", ...namespaceMutable]

export type NamespaceRow = readonly [
  namespace: string,
  id: string,
  createdAt: number,
  displayName: string,
  description: string,
  enabled: number,
  updatedAt: number
]

export const namespaceMutableValues = (namespace: NamespaceRecord): Array<Value> => [
  namespace.displayName,
  namespace.description,
  bit(namespace.enabled),
  namespace.updatedAt
]

export const namespaceValues = (namespace: NamespaceRecord): Array<Value> => [
  namespace.namespace,
  namespace.id,
  namespace.createdAt,
  ...namespaceMutableValues(namespace)
]

export const toNamespaceRecord = (row: NamespaceRow): NamespaceRecord => ({
  namespace: row[0],
  id: row[1],
  createdAt: row[2],
  displayName: row[3],
  description: row[4],
  enabled: row[5] === 1,
  updatedAt: row[6]
})
