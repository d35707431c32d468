/** A server that takes sessions and answers as a test tells it to, command by command. */
import { create, type MessageInitShape } from "@bufbuild/protobuf"
import { Code, ConnectError, type ConnectRouter } from "@connectrpc/connect"
import { connectNodeAdapter } from "@connectrpc/connect-node"
import { Context, Deferred, Effect, Layer, Queue, type Scope } from "effect"
import { AdminService } from "../../gen/kagzi/v1/admin_pb.ts"
import { ExecutionService } from "../../gen/kagzi/v1/execution_pb.ts"
import {
  OpenSessionResponseSchema,
  type SessionCommand,
  type SessionEventSchema,
  SessionService
} from "../../gen/kagzi/v1/session_pb.ts"
import { WorkflowService } from "../../gen/kagzi/v1/workflow_pb.ts"
import { Protocol, type Shape } from "../../src/protocol/Protocol.ts"
import * as Node from "../../src/protocol/node.ts"
import * as Unary from "../../src/protocol/unary.ts"
import * as Peer from "./peer.ts"

export type Event = MessageInitShape<typeof SessionEventSchema>
type Case = NonNullable<SessionCommand["command"]["case"]>

/** One stream that a client has opened. */
export interface Stream {
  /** The next command; waits for it. */
  readonly next: Effect.Effect<SessionCommand>
  /** The next command, which must be of that kind. */
  readonly expect: <C extends Case>(
    name: C
  ) => Effect.Effect<{
    readonly id: number
    readonly lease: number
    readonly value: Extract<SessionCommand["command"], { case: C }>["value"]
  }>
  /** Commands that have come and were not taken. */
  readonly waiting: () => number
  readonly messages: () => number
  readonly answer: (...events: ReadonlyArray<Event>) => void
  /** Waits until the client has ended its side. */
  readonly closed: Effect.Effect<void>
  /** Ends the stream; with an error where one is given. */
  readonly end: (error?: ConnectError) => void
}

export interface Scripted {
  readonly address: string
  readonly peer: Peer.Peer
  /** The next stream that a client opens; waits for it. */
  readonly accept: Effect.Effect<Stream>
  /** What the server can do. */
  readonly features: Set<string>
  /** With `streams` in it, none is opened, whatever is announced; with `busy` none for the moment. */
  readonly refuses: Set<string>
  /** Unary calls by name. */
  readonly calls: Array<string>
}

const makeStream = (requests: AsyncIterable<{ commands: Array<SessionCommand> }>) => {
  const received = Effect.runSync(Queue.unbounded<SessionCommand>())
  const outbox: Array<Event[]> = []
  let wake = () => {}
  let ended: { readonly error: ConnectError | undefined } | undefined
  let messages = 0
  const closed = Deferred.makeUnsafe<void>()
  const events = async function* () {
    while (true) {
      const batch = outbox.shift()
      if (batch !== undefined) {
        yield create(OpenSessionResponseSchema, { events: batch })
        continue
      }
      if (ended !== undefined) {
        if (ended.error !== undefined) throw ended.error
        return
      }
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
  }
  const next = Queue.take(received)
  const stream: Stream = {
    next,
    expect: (name) =>
      Effect.flatMap(next, ({ command, id, leaseEpoch }) =>
        command.case === name
          ? Effect.succeed({ id, lease: Number(leaseEpoch), value: command.value as never })
          : Effect.die(new Error(`expected ${name}, got ${command.case}`))
      ),
    waiting: () => Effect.runSync(Queue.size(received)),
    messages: () => messages,
    closed: Deferred.await(closed),
    answer: (...batch) => {
      outbox.push([...batch])
      wake()
    },
    end: (error) => {
      ended = { error }
      wake()
    }
  }
  const reading = (async () => {
    for await (const request of requests) {
      messages++
      for (const command of request.commands) {
        // whoever leaves waits for this a while
        if (command.command.case === "deregister") {
          stream.answer({ id: command.id, event: { case: "deregistered", value: { drained: false } } })
        } else Queue.offerUnsafe(received, command)
      }
    }
  })()
  reading.catch(() => undefined).then(() => Effect.runSync(Deferred.succeed(closed, undefined)))
  return { stream, events: events() }
}

/** Serves. The unary calls that clients need beside the session answer as little as they can. */
export const serve = (options: Peer.PeerOptions = {}): Effect.Effect<Scripted, never, Scope.Scope> =>
  Effect.gen(function* () {
    const streams = yield* Queue.unbounded<Stream>()
    const features = new Set(["execution.v1", "session.v1"])
    const refuses = new Set<string>()
    const calls: Array<string> = []
    const routes = (router: ConnectRouter) => {
      router.service(SessionService, {
        openSession: (requests) => {
          calls.push("openSession")
          if (refuses.has("busy")) throw new ConnectError("not now", Code.Unavailable)
          if (!features.has("session.v1") || refuses.has("streams")) {
            throw new ConnectError("no sessions here", Code.Unimplemented)
          }
          const { events, stream } = makeStream(requests)
          Queue.offerUnsafe(streams, stream)
          return events
        }
      })
      router.service(AdminService, {
        getServerInfo: () => {
          calls.push("getServerInfo")
          return { version: "1", apiVersion: "1", minSdkVersion: "", supportedFeatures: [...features] }
        }
      })
      router.service(WorkflowService, {
        startWorkflow: ({ externalId }) => {
          calls.push("startWorkflow")
          return { runId: `unary ${externalId}`, alreadyExists: false }
        }
      })
      router.service(ExecutionService, {
        awaitResult: ({ runId }) => {
          calls.push("awaitResult")
          return {
            workflow: { runId, status: 4, createdAt: { seconds: 1n, nanos: 0 } }
          }
        }
      })
    }
    const peer = yield* Peer.serveRaw(connectNodeAdapter({ routes }), options)
    return { address: peer.address, peer, accept: Queue.take(streams), features, refuses, calls }
  })

/** A client of the server. */
export const client = (address: string, options: Unary.Options = {}): Effect.Effect<Shape, unknown, Scope.Scope> =>
  Effect.map(
    Layer.build(Layer.fresh(Unary.layerWith(options).pipe(Layer.provide(Node.layer({ address }))))),
    (context) => Context.get(context, Protocol)
  )
