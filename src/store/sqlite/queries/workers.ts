/** Queries and statements of workers and namespaces. */
import type { SQLInputValue } from "node:sqlite"
import type {
  DescribedWorker,
  NamespaceRecord,
  Page,
  Paging,
  Wants,
  WorkerFilter,
  WorkerKey,
  WorkerRecord
} from "../../Store.ts"
import { workerStatus } from "../../rows/codes.ts"
import type { Prepare } from "../database.ts"
import { RowCache } from "../RowCache.ts"
import { assignments, limitParameter, placeholders } from "../rows.ts"
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
} from "../../rows/workerRow.ts"

const columns = workerColumns.join(", ")

export const sql = {
  byId: `SELECT ${columns} FROM workers WHERE worker_id = ?`,
  byKey: `SELECT ${columns} FROM workers
    WHERE namespace = ? AND task_queue = ? AND hostname = ? AND pid = ? AND instance_id = ? AND status <> 3`,
  quiet: `SELECT ${columns} FROM workers WHERE last_heartbeat_at <= ? AND last_heartbeat_at + patience_millis <= ? AND status <> 3`,
  quietest: "SELECT min(last_heartbeat_at) FROM workers WHERE status <> 3",
  insert: `INSERT INTO workers (${columns}) VALUES (${placeholders(workerColumns)})`,
  active: "SELECT count(*) FROM runs WHERE worker_id = ? AND status = 2",
  countAll: "SELECT count(*), count(*) FILTER (WHERE status = 1) FROM workers",
  count:
    "SELECT count(*), count(*) FILTER (WHERE status = 1) FROM workers INDEXED BY workers_by_status WHERE namespace = ?",
  update: `UPDATE workers SET ${assignments(workerMutable)} WHERE worker_id = ?`,
  namespace: `SELECT ${namespaceColumns.join(", ")} FROM namespaces WHERE namespace = ?`,
  // no name is empty
  namespaces: `SELECT ${namespaceColumns.join(", ")} FROM namespaces WHERE namespace > ? ORDER BY namespace ${limitParameter}`,
  countNamespaces: "SELECT count(*) FROM namespaces",
  insertNamespace: `INSERT INTO namespaces (${namespaceColumns.join(", ")}) VALUES (${placeholders(namespaceColumns)})`,
  updateNamespace: `UPDATE namespaces SET ${assignments(namespaceMutable)} WHERE namespace = ?`
}

export interface Workers {
  readonly byId: (workerId: string) => WorkerRecord | undefined
  /** The worker with that key that is not OFFLINE. */
  readonly byKey: (key: WorkerKey) => WorkerRecord | undefined
  readonly quiet: (wanted: NonNullable<Wants["quiet"]>) => ReadonlyArray<WorkerRecord>
  readonly quietest: () => number | undefined
  readonly described: (workerId: string) => DescribedWorker | undefined
  readonly page: (filter: WorkerFilter, paging: Paging) => Page<DescribedWorker>
  readonly count: (namespace: string | undefined) => { readonly total: number; readonly online: number }
  readonly insert: (worker: WorkerRecord) => void
  /** Answers whether the worker exists. */
  readonly update: (worker: WorkerRecord) => boolean
  readonly rolledBack: () => void
}

export const make = (prepare: Prepare): Workers => {
  const byId = prepare<WorkerRow>(sql.byId)
  const byKey = prepare<WorkerRow>(sql.byKey)
  const quiet = prepare<WorkerRow>(sql.quiet)
  const quietest = prepare<readonly [at: number | null]>(sql.quietest)
  const insert = prepare(sql.insert)
  const update = prepare(sql.update)
  const active = prepare<readonly [runs: number]>(sql.active)
  const countAll = prepare<WorkerCountRow>(sql.countAll)
  const count = prepare<WorkerCountRow>(sql.count)

  const cache = new RowCache<WorkerRecord>()
  const record = (row: WorkerRow | undefined) => (row === undefined ? undefined : toWorkerRecord(row))
  const read = (workerId: string) => record(byId.get(workerId))
  const describe = (worker: WorkerRecord): DescribedWorker => ({
    ...worker,
    activeRuns: active.get(worker.workerId)![0]
  })
  return {
    described: (workerId) => {
      const worker = cache.get(workerId, read)
      return worker === undefined ? undefined : describe(worker)
    },
    page: (filter, paging) => {
      const { params, sql } = workerPage(filter, paging)
      const rows = prepare<WorkerRow>(sql).all(...params)
      return {
        items: rows.slice(0, paging.limit).map((row) => describe(toWorkerRecord(row))),
        hasMore: rows.length > paging.limit,
        ...(paging.count ? { total: countOf(prepare, workerCount(filter)) } : {})
      }
    },
    count: (namespace) => {
      const [total, online] = (namespace === undefined ? countAll.get() : count.get(namespace))!
      return { total, online }
    },
    byId: (workerId) => cache.get(workerId, read),
    byKey: (key) => record(byKey.get(key.namespace, key.taskQueue, key.hostname, key.pid, key.instanceId)),
    quiet: ({ now, since }) => quiet.all(since, now).map(toWorkerRecord),
    quietest: () => quietest.get()?.[0] ?? undefined,
    insert: (worker) => {
      insert.run(...workerValues(worker))
    },
    update: (worker) => {
      cache.forget(worker.workerId)
      return update.run(...workerMutableValues(worker), worker.workerId).changes === 1
    },
    rolledBack: () => cache.rolledBack()
  }
}

type WorkerCountRow = readonly [total: number, online: number]

interface Query {
  readonly sql: string
  readonly params: ReadonlyArray<SQLInputValue>
}

const countOf = (prepare: Prepare, { params, sql }: Query): number =>
  prepare<readonly [total: number]>(sql).get(...params)![0]

const workerConditions = ({ namespace, status, taskQueue }: WorkerFilter): Query => ({
  // without statistics SQLite may prefer the wrong one
  sql: `FROM workers INDEXED BY ${status !== undefined ? "workers_by_status" : taskQueue !== undefined ? "workers_by_queue" : "workers_by_id"}
    WHERE namespace = ?${status === undefined ? "" : " AND status = ?"}${taskQueue === undefined ? "" : " AND task_queue = ?"}`,
  params: [
    namespace,
    ...(status === undefined ? [] : [workerStatus[status]]),
    ...(taskQueue === undefined ? [] : [taskQueue])
  ]
})

/** The text and parameters of one page of workers, with one row more than wanted. */
export const workerPage = (filter: WorkerFilter, { after, limit }: Paging): Query => {
  const { params, sql } = workerConditions(filter)
  return {
    sql: `SELECT ${columns} ${sql}${after === undefined ? "" : " AND worker_id < ?"} ORDER BY worker_id DESC ${limitParameter}`,
    params: [...params, ...(after === undefined ? [] : [after.id]), limit + 1]
  }
}

const workerCount = (filter: WorkerFilter): Query => {
  const { params, sql } = workerConditions(filter)
  return { sql: `SELECT count(*) ${sql}`, params }
}

export interface Namespaces {
  readonly page: (paging: Paging) => Page<NamespaceRecord>
  readonly byName: (namespace: string) => NamespaceRecord | undefined
  readonly insert: (namespace: NamespaceRecord) => void
  /** Answers whether the namespace exists. */
  readonly update: (namespace: NamespaceRecord) => boolean
  readonly rolledBack: () => void
}

export const makeNamespaces = (prepare: Prepare): Namespaces => {
  const byName = prepare<NamespaceRow>(sql.namespace)
  const all = prepare<NamespaceRow>(sql.namespaces)
  const count = prepare<readonly [total: number]>(sql.countNamespaces)
  const insert = prepare(sql.insertNamespace)
  const update = prepare(sql.updateNamespace)

  const cache = new RowCache<NamespaceRecord>()
  const read = (namespace: string) => {
    const row = byName.get(namespace)
    return row === undefined ? undefined : toNamespaceRecord(row)
  }
  return {
    page: (paging) => {
      const rows = all.all(paging.after?.id ?? "", paging.limit + 1)
      return {
        items: rows.slice(0, paging.limit).map(toNamespaceRecord),
        hasMore: rows.length > paging.limit,
        ...(paging.count ? { total: count.get()![0] } : {})
      }
    },
    byName: (namespace) => cache.get(namespace, read),
    insert: (namespace) => {
      insert.run(...namespaceValues(namespace))
    },
    update: (namespace) => {
      cache.forget(namespace.namespace)
      return update.run(...namespaceMutableValues(namespace), namespace.namespace).changes === 1
    },
    rolledBack: () => cache.rolledBack()
  }
}
