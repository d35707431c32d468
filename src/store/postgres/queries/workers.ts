/** Statements on workers and namespaces in transactions. */
import {
  type NamespaceRow,
  namespaceColumns,
  namespaceMutable,
  namespaceValues,
  toNamespaceRecord,
  toWorkerRecord,
  type WorkerRow,
  workerColumns,
  workerMutable,
  workerValues
} from "../../rows/workerRow.ts"
import type { Changes, Wants } from "../../Store.ts"
import type { Loaded } from "../Loaded.ts"
import type { Question } from "../pipeline.ts"
import { array, arraysOf, given, int8, listed, type Parameter, type Statement, type Type, texts } from "../values.ts"
import * as limits from "./limits.ts"

/** Whether a worker `k` is quiet. */
export const isQuiet = ({ now, since }: NonNullable<Wants["quiet"]>, param: (value: Parameter) => string): string =>
  `k.status <> 3 AND k.last_heartbeat_at <= ${param(int8(since))} AND k.last_heartbeat_at + k.patience_millis <= ${param(int8(now))}`

/** Locks the workers that are wanted, in the order of their ids. */
export const lockWorkers = (wants: Wants, loaded: Loaded): ReadonlyArray<Question> => {
  const params: Array<Parameter> = []
  const param = (value: Parameter) => `$${params.push(value)}`
  const sources: Array<string> = []
  if (wants.workers.size > 0) sources.push(`SELECT unnest(${param(texts(wants.workers))}::text[])`)
  if (wants.workerKeys.length > 0) {
    const keys = wants.workerKeys
    const arrays = [
      `${param(texts(keys.map(({ namespace }) => namespace)))}::text[]`,
      `${param(texts(keys.map(({ taskQueue }) => taskQueue)))}::text[]`,
      `${param(texts(keys.map(({ hostname }) => hostname)))}::text[]`,
      `${param(
        array(
          "int4",
          keys.map(({ pid }) => pid)
        )
      )}::integer[]`,
      `${param(texts(keys.map(({ instanceId }) => instanceId)))}::text[]`
    ]
    sources.push(`SELECT k.worker_id
      FROM unnest(${arrays.join(", ")}) AS w (namespace, task_queue, hostname, pid, instance_id)
      CROSS JOIN LATERAL (SELECT worker_id FROM workers
        WHERE namespace = w.namespace AND task_queue = w.task_queue AND hostname = w.hostname AND pid = w.pid
          AND instance_id = w.instance_id AND status <> 3 OFFSET 0) AS k`)
  }
  if (wants.quiet !== undefined) {
    sources.push(`SELECT worker_id FROM workers AS k WHERE ${isQuiet(wants.quiet, param)}`)
  }
  return sources.length === 0
    ? []
    : [
        {
          sql: `SELECT ${workerColumns.join(", ")}, revision FROM workers
            WHERE worker_id = ANY(ARRAY(${sources.join(" UNION ALL ")})) ORDER BY worker_id FOR UPDATE`,
          params,
          answered: (rows) => {
            for (const row of rows) {
              const worker = toWorkerRecord(row as unknown as WorkerRow)
              loaded.workers.set(worker.workerId, worker)
              loaded.revisions.workers.set(worker.workerId, row[workerColumns.length] as number)
            }
          }
        }
      ]
}

const namespaceSql = `SELECT ${namespaceColumns.join(", ")}, revision FROM namespaces
  WHERE namespace = ANY($1::text[]) ORDER BY namespace`

/** Loads namespaces. They are locked only to be changed: everything that happens in one reads it. */
export const loadNamespaces = (wants: Wants, loaded: Loaded, lock: boolean): ReadonlyArray<Question> =>
  wants.namespaces.size === 0
    ? []
    : [
        {
          sql: lock ? `${namespaceSql} FOR UPDATE` : namespaceSql,
          params: [texts(wants.namespaces)],
          answered: (rows) => {
            for (const row of rows) {
              const namespace = toNamespaceRecord(row as unknown as NamespaceRow)
              loaded.namespaces.set(namespace.namespace, namespace)
              loaded.revisions.namespaces.set(namespace.namespace, row[namespaceColumns.length] as number)
            }
          }
        }
      ]

const types: Readonly<Record<string, Type>> = {
  status: "int2",
  pid: "int4",
  queue_concurrency_limit: "int4",
  registered_at: "int8",
  last_heartbeat_at: "int8",
  patience_millis: "int8",
  stream: "int8",
  enabled: "int2",
  created_at: "int8",
  updated_at: "int8"
}

const workers = listed(workerColumns, types)
const namespaces = listed(namespaceColumns, types)

const assigned = (names: ReadonlyArray<string>) => names.map((name) => `${name} = w.${name}`).join(", ")

const sql = {
  updateWorkers: `UPDATE workers AS k SET revision = k.revision + 1, ${assigned(workerMutable)} FROM ${given(workers)}
    WHERE k.worker_id = w.worker_id`,
  // in one order, so that of two transactions that make the same ones one waits for the other, and not both
  insertWorkers: `INSERT INTO workers (${workerColumns.join(", ")}) SELECT * FROM ${given(workers)}
    ORDER BY namespace, task_queue, hostname, pid, instance_id`,
  updateNamespaces: `UPDATE namespaces AS n SET revision = n.revision + 1, ${assigned(namespaceMutable)} FROM ${given(namespaces)}
    WHERE n.namespace = w.namespace`,
  insertNamespaces: `INSERT INTO namespaces (${namespaceColumns.join(", ")}) SELECT * FROM ${given(namespaces)}
    ORDER BY namespace`
}

const write = <A>(
  sql: string,
  columns: ReturnType<typeof listed>,
  records: ReadonlyArray<A>,
  values: (record: A) => ReturnType<typeof workerValues>
): ReadonlyArray<Statement> => (records.length === 0 ? [] : [{ sql, params: arraysOf(columns, records.map(values)) }])

export const save = (changes: Changes, loaded: Loaded): ReadonlyArray<Statement> => [
  ...write(sql.updateNamespaces, namespaces, changes.updateNamespaces, namespaceValues),
  ...write(sql.insertNamespaces, namespaces, changes.insertNamespaces, namespaceValues),
  ...write(sql.updateWorkers, workers, changes.updateWorkers, workerValues),
  ...write(sql.insertWorkers, workers, changes.insertWorkers, workerValues),
  ...limits.declare([...changes.updateWorkers, ...changes.insertWorkers], loaded.workers)
]
