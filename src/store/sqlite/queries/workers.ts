/** Queries and statements of workers and namespaces. */
import type { NamespaceRecord, WorkerKey, WorkerRecord } from "../../Store.ts"
import type { Prepare } from "../database.ts"
import { assignments, placeholders } from "../rows.ts"
import {
  type NamespaceRow,
  namespaceColumns,
  namespaceMutable,
  namespaceMutableValues,
  namespaceValues,
  toNamespaceRecord,
  toWorkerRecord,
  type WorkerRow,
  workerColumns,
  workerMutable,
  workerMutableValues,
  workerValues
} from "../workerRow.ts"

const columns = workerColumns.join(", ")

export const sql = {
  byId: `SELECT ${columns} FROM workers WHERE worker_id = ?`,
  byKey: `SELECT ${columns} FROM workers
    WHERE namespace = ? AND task_queue = ? AND hostname = ? AND pid = ? AND instance_id = ? AND status <> 3`,
  quiet: `SELECT ${columns} FROM workers WHERE last_heartbeat_at <= ? AND status <> 3`,
  quietest: "SELECT min(last_heartbeat_at) FROM workers WHERE status <> 3",
  insert: `INSERT INTO workers (${columns}) VALUES (${placeholders(workerColumns)})`,
  update: `UPDATE workers SET ${assignments(workerMutable)} WHERE worker_id = ?`,
  namespace: `SELECT ${namespaceColumns.join(", ")} FROM namespaces WHERE namespace = ?`,
  insertNamespace: `INSERT INTO namespaces (${namespaceColumns.join(", ")}) VALUES (${placeholders(namespaceColumns)})`,
  updateNamespace: `UPDATE namespaces SET ${assignments(namespaceMutable)} WHERE namespace = ?`
}

export interface Workers {
  readonly byId: (workerId: string) => WorkerRecord | undefined
  /** The worker with that key that is not OFFLINE. */
  readonly byKey: (key: WorkerKey) => WorkerRecord | undefined
  /** Workers not OFFLINE and last heard of at that time or before. */
  readonly quiet: (since: number) => ReadonlyArray<WorkerRecord>
  readonly quietest: () => number | undefined
  readonly insert: (worker: WorkerRecord) => void
  /** Answers whether the worker exists. */
  readonly update: (worker: WorkerRecord) => boolean
}

export const make = (prepare: Prepare): Workers => {
  const byId = prepare<WorkerRow>(sql.byId)
  const byKey = prepare<WorkerRow>(sql.byKey)
  const quiet = prepare<WorkerRow>(sql.quiet)
  const quietest = prepare<readonly [at: number | null]>(sql.quietest)
  const insert = prepare(sql.insert)
  const update = prepare(sql.update)

  const record = (row: WorkerRow | undefined) => (row === undefined ? undefined : toWorkerRecord(row))
  return {
    byId: (workerId) => record(byId.get(workerId)),
    byKey: (key) => record(byKey.get(key.namespace, key.taskQueue, key.hostname, key.pid, key.instanceId)),
    quiet: (since) => quiet.all(since).map(toWorkerRecord),
    quietest: () => quietest.get()?.[0] ?? undefined,
    insert: (worker) => {
      insert.run(...workerValues(worker))
    },
    update: (worker) => update.run(...workerMutableValues(worker), worker.workerId).changes === 1
  }
}

export interface Namespaces {
  readonly byName: (namespace: string) => NamespaceRecord | undefined
  readonly insert: (namespace: NamespaceRecord) => void
  /** Answers whether the namespace exists. */
  readonly update: (namespace: NamespaceRecord) => boolean
}

export const makeNamespaces = (prepare: Prepare): Namespaces => {
  const byName = prepare<NamespaceRow>(sql.namespace)
  const insert = prepare(sql.insertNamespace)
  const update = prepare(sql.updateNamespace)
  return {
    byName: (namespace) => {
      const row = byName.get(namespace)
      return row === undefined ? undefined : toNamespaceRecord(row)
    },
    insert: (namespace) => {
      insert.run(...namespaceValues(namespace))
    },
    update: (namespace) => update.run(...namespaceMutableValues(namespace), namespace.namespace).changes === 1
  }
}
