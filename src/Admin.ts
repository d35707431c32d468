/** What operators see and do through a client: namespaces, workers, and how much there is of what. */
import { Effect, Stream } from "effect"
import type { KagziError } from "./KagziError.ts"
import type * as Protocol from "./protocol/Protocol.ts"
import { pages } from "./WorkflowHandle.ts"

/** A namespace. Namespaces isolate runs, workers and schedules from each other; they are disabled, never deleted. */
export interface Namespace extends Omit<Protocol.Namespace, "namespace" | "createdAt" | "updatedAt"> {
  readonly name: string
  readonly createdAt: Date
  readonly updatedAt: Date
}

/** A registered worker. */
export interface Worker extends Omit<Protocol.Worker, "queueConcurrencyLimit" | "registeredAt" | "lastHeartbeatAt"> {
  readonly queueConcurrencyLimit: number | undefined
  readonly registeredAt: Date
  readonly lastHeartbeatAt: Date
}

/** What of a namespace is for people. The name stands for a display name that is not given. */
export interface NamespaceFields {
  readonly displayName?: string | undefined
  readonly description?: string | undefined
}

/** Which workers to list. What is left out does not matter. */
export interface WorkerFilter {
  readonly namespace?: string | undefined
  readonly taskQueue?: string | undefined
  readonly status?: Protocol.WorkerStatus | undefined
}

/** The namespaces of a server, by name. One that does not exist is `NotFound`. */
export interface Namespaces {
  /** Fails with `Conflict` when there is a namespace of that name. */
  readonly create: (name: string, fields?: NamespaceFields) => Effect.Effect<Namespace, KagziError>
  readonly get: (name: string) => Effect.Effect<Namespace, KagziError>
  /** By name, loaded as they are wanted. */
  readonly list: Stream.Stream<Namespace, KagziError>
  /** What is left out stays. */
  readonly update: (name: string, fields: NamespaceFields) => Effect.Effect<Namespace, KagziError>
  readonly enable: (name: string) => Effect.Effect<Namespace, KagziError>
  /** A disabled namespace starts nothing, hands out no task and fires no schedule. */
  readonly disable: (name: string) => Effect.Effect<Namespace, KagziError>
}

/** The server and what goes on there. */
export interface Admin {
  readonly serverInfo: Effect.Effect<Protocol.ServerInfo, KagziError>
  readonly health: Effect.Effect<{ readonly serving: boolean; readonly message: string }, KagziError>
  /** The last registered first, those that are gone too; loaded as they are wanted. */
  readonly workers: (filter?: WorkerFilter) => Stream.Stream<Worker, KagziError>
  readonly worker: (workerId: string) => Effect.Effect<Worker, KagziError>
  /** Asks a worker to finish what it holds and to take nothing new. `PreconditionFailed` when it is gone. */
  readonly drain: (workerId: string) => Effect.Effect<void, KagziError>
  /** Of a namespace, the client's unless another is given, or of all of them. */
  readonly stats: (options?: {
    readonly namespace?: string | undefined
    readonly allNamespaces?: boolean | undefined
  }) => Effect.Effect<Protocol.Stats, KagziError>
  /** The runs that have not ended: on one task queue, or on all. */
  readonly queueDepth: (options?: {
    readonly namespace?: string | undefined
    readonly taskQueue?: string | undefined
  }) => Effect.Effect<Protocol.QueueDepth, KagziError>
  /** The types that there are runs of, by name; loaded as they are wanted. */
  readonly workflowTypes: (options?: {
    readonly namespace?: string | undefined
  }) => Stream.Stream<Protocol.WorkflowType, KagziError>
}

const describeNamespace = ({ namespace, ...rest }: Protocol.Namespace): Namespace => ({
  ...rest,
  name: namespace,
  createdAt: new Date(rest.createdAt),
  updatedAt: new Date(rest.updatedAt)
})

const describeWorker = (worker: Protocol.Worker): Worker => ({
  ...worker,
  queueConcurrencyLimit: worker.queueConcurrencyLimit,
  registeredAt: new Date(worker.registeredAt),
  lastHeartbeatAt: new Date(worker.lastHeartbeatAt)
})

const present = ({ description, displayName }: NamespaceFields): Protocol.NamespaceFields => ({
  ...(displayName === undefined ? {} : { displayName }),
  ...(description === undefined ? {} : { description })
})

export const makeNamespaces = (protocol: Protocol.AdminShape): Namespaces => ({
  create: (name, fields = {}) =>
    Effect.map(protocol.createNamespace({ namespace: name, ...present(fields) }), describeNamespace),
  get: (name) => Effect.map(protocol.getNamespace(name), describeNamespace),
  list: Stream.map(pages(protocol.listNamespaces), describeNamespace),
  update: (name, fields) => Effect.map(protocol.updateNamespace(name, present(fields)), describeNamespace),
  enable: (name) => Effect.map(protocol.enableNamespace(name), describeNamespace),
  disable: (name) => Effect.map(protocol.disableNamespace(name), describeNamespace)
})

/** `namespace` is that of everything that names no other. */
export const make = (protocol: Protocol.Shape, namespace: string): Admin => ({
  serverInfo: protocol.serverInfo,
  health: protocol.health,
  workers: ({ status, taskQueue, ...filter } = {}) =>
    pages((page) =>
      protocol.listWorkers(
        {
          namespace: filter.namespace ?? namespace,
          ...(status === undefined ? {} : { status }),
          ...(taskQueue === undefined ? {} : { taskQueue })
        },
        page
      )
    ).pipe(Stream.map(describeWorker)),
  worker: (workerId) => Effect.map(protocol.getWorker(workerId), describeWorker),
  drain: (workerId) => protocol.drainWorker(workerId),
  stats: (options = {}) =>
    options.allNamespaces === true ? protocol.stats() : protocol.stats(options.namespace ?? namespace),
  queueDepth: ({ taskQueue, ...options } = {}) =>
    protocol.queueDepth({
      namespace: options.namespace ?? namespace,
      ...(taskQueue === undefined ? {} : { taskQueue })
    }),
  workflowTypes: (options = {}) => pages((page) => protocol.listWorkflowTypes(options.namespace ?? namespace, page))
})
