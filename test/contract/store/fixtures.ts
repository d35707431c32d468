/** Records and shorthands for the cases of a store. */
import type { Effect } from "effect"
import type { Payload } from "../../../src/Run.ts"
import {
  type Changes,
  type NamespaceRecord,
  type Rows,
  type RunRecord,
  type StepRecord,
  Store,
  type StoreError,
  type Wants,
  type WorkerRecord
} from "../../../src/store/Store.ts"

export const noWants: Wants = {
  namespaces: new Set(),
  runs: new Set(),
  externalIds: [],
  steps: [],
  stepIds: new Set(),
  waits: new Set(),
  workers: new Set(),
  workerKeys: [],
  workerRuns: new Set(),
  schedules: new Set(),
  scheduleRuns: new Set(),
  slots: [],
  claims: []
}

export const noChanges: Changes = {
  insertNamespaces: [],
  updateNamespaces: [],
  insertRuns: [],
  updateRuns: [],
  inputs: [],
  copyInputs: [],
  outputs: [],
  insertSteps: [],
  updateSteps: [],
  insertWorkers: [],
  updateWorkers: [],
  insertSchedules: [],
  updateSchedules: [],
  scheduleInputs: [],
  copyScheduleInputs: [],
  countScheduleRuns: [],
  deleteSchedules: []
}

/** A UUID that sorts by its number. */
export const id = (n: number): string => `01980000-0000-7000-8000-${String(n).padStart(12, "0")}`

export const at = 1_790_000_000_000

export const payload = (text: string, metadata: Record<string, string> = {}): Payload => ({
  data: new TextEncoder().encode(text),
  metadata
})

export const namespaceOf = (over: Partial<NamespaceRecord> = {}): NamespaceRecord => ({
  id: id(900),
  namespace: "default",
  displayName: "Default",
  description: "",
  enabled: true,
  createdAt: at,
  updatedAt: at,
  ...over
})

/** A pending run with nothing optional but its due time. */
export const runOf = (n: number, over: Partial<RunRecord> = {}): RunRecord => ({
  namespace: "default",
  runId: id(n),
  externalId: `order-${n}`,
  taskQueue: "orders",
  workflowType: "Order",
  version: "1",
  status: "PENDING",
  attempts: 0,
  priority: 0,
  createdAt: at,
  dueAt: at,
  leaseEpoch: 0,
  expiries: 0,
  stepCount: 0,
  sequence: 0,
  stepFailed: false,
  ...over
})

/** A run that has ended, without the optional fields. */
export const endedRun = (n: number, over: Partial<RunRecord> = {}): RunRecord => {
  const { dueAt, ...run } = runOf(n, { status: "COMPLETED", ...over })
  return run
}

export const detail = {
  code: "Conflict",
  message: 'quotes " and a newline\n and 日本語 😀',
  nonRetryable: true,
  retryAfterMillis: 1500,
  subject: "workflow",
  subjectId: "x",
  metadata: { b: "2", a: "1" }
} as const

/** A run with every optional field. */
export const fullRun = (n: number, over: Partial<RunRecord> = {}): RunRecord =>
  runOf(n, {
    status: "SLEEPING",
    externalId: "naïve 😀 'id'",
    attempts: 3,
    priority: -7,
    error: detail,
    startedAt: at + 1,
    finishedAt: at + 2,
    workerId: id(800),
    parentRunId: id(700),
    parentStepId: id(701),
    scheduleId: id(702),
    cronExpr: "0 6 * * *",
    retryPolicy: {
      maximumAttempts: 0,
      initialIntervalMillis: 0,
      backoffCoefficient: 1.25,
      maximumIntervalMillis: 60_000,
      nonRetryableErrors: ["Conflict", "card: "]
    },
    dueAt: at + 3,
    leaseEpoch: 9_007_199_254_740_991,
    claimedAt: at + 4,
    expiries: 2,
    stepCount: 12,
    sequence: 11,
    stepFailed: true,
    ...over
  })

const policy = {
  maximumAttempts: 5,
  initialIntervalMillis: 1000,
  backoffCoefficient: 2,
  maximumIntervalMillis: 60_000,
  nonRetryableErrors: []
}

/** A running first attempt with nothing optional. */
export const stepOf = (n: number, over: Partial<StepRecord> = {}): StepRecord => ({
  namespace: "default",
  runId: id(1),
  stepId: id(n),
  name: `step-${n}`,
  kind: "FUNCTION",
  status: "RUNNING",
  attempt: 1,
  position: n,
  input: payload("null"),
  createdAt: at,
  cancelled: false,
  retryPolicy: policy,
  ...over
})

/** A step with every optional field. */
export const fullStep = (n: number, over: Partial<StepRecord> = {}): StepRecord =>
  stepOf(n, {
    kind: "CHILD_WORKFLOW",
    status: "FAILED",
    attempt: 4,
    input: payload('{"a":1}', { "content-type": "application/json", "": "empty key" }),
    output: payload('"out"', { z: "1" }),
    error: detail,
    startedAt: at + 1,
    finishedAt: at + 2,
    dueAt: at + 3,
    sequence: 4,
    cancelled: true,
    childRunId: id(600),
    retryPolicy: { ...policy, maximumAttempts: 0, nonRetryableErrors: ["a", "b"] },
    ...over
  })

export const workerOf = (n: number, over: Partial<WorkerRecord> = {}): WorkerRecord => ({
  workerId: id(n),
  namespace: "default",
  taskQueue: "orders",
  hostname: "host",
  pid: n,
  instanceId: "",
  status: "ONLINE",
  version: "1",
  workflowTypes: ["Order"],
  labels: {},
  workflowTypeConcurrency: {},
  registeredAt: at,
  lastHeartbeatAt: at,
  patienceMillis: 20_000,
  stream: 3,
  ...over
})

/** Writes these changes. */
export const write = (changes: Partial<Changes>) =>
  Store.use((store) => store.transact(noWants, () => ({ changes: { ...noChanges, ...changes }, value: undefined })))

/** What is loaded for these wants. */
export const see = (wants: Partial<Wants>): Effect.Effect<Rows, StoreError, Store> =>
  Store.use((store) => store.transact({ ...noWants, ...wants }, (rows) => ({ changes: noChanges, value: rows })))

export const runIds = (rows: { readonly runs: ReadonlyArray<RunRecord> }) => rows.runs.map((run) => run.runId).sort()

export const stepIds = (rows: { readonly steps: ReadonlyArray<StepRecord> }) =>
  rows.steps.map((step) => step.stepId).sort()
