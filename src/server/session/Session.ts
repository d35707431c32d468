/**
 * One client at the other end of a stream: carries out its commands in order, and sends its workers their runs.
 *
 * Everything happens in callbacks of the stream and of the engine. No fiber, timer or promise is made for a command.
 */
import { Effect, Latch, Result } from "effect"
import type { AbandonRequest, ServeRequest, SessionCommand } from "../../../gen/kagzi/v1/session_pb.ts"
import type { AwaitResultRequest } from "../../../gen/kagzi/v1/execution_pb.ts"
import type { Command, Held, Reply } from "../../engine/Command.ts"
import type { Engine } from "../../engine/Engine.ts"
import type { Listener, Serving, ServeRequest as Served } from "../../engine/Serving.ts"
import * as KagziError from "../../KagziError.ts"
import { type Read, safeNumber } from "../../protocol/codec.ts"
import { isLost } from "../../protocol/retry.ts"
import { nameProblem, readRun, readUuid, textsProblem } from "../checks.ts"
import * as Commands from "../commands.ts"
import { makeEncoder } from "./encode.ts"
import * as Events from "./events.ts"
import { Outbox, type Sink } from "./Outbox.ts"
import { Registry } from "../../Registry.ts"

/** Nothing more is read while so many commands, or commands of so many bytes, are unanswered. */
const maximumUnanswered = 1_000
const maximumUnansweredBytes = 16 * 1_048_576

/** Nothing more is read, claimed and told of results while so many bytes have not been taken. */
const maximumBytes = 8 * 1_048_576

/** The most results that one client waits for at once. */
const maximumWaits = 100_000

export interface Needs {
  readonly engine: Engine["Service"]
  readonly maxPayloadBytes: number
  readonly fork: (effect: Effect.Effect<unknown>) => unknown
  /** Ends a session so that its client opens another. */
  readonly interrupt: (session: Session, reason: string) => void
}

const invalid = (message: string): KagziError.KagziError => new KagziError.InvalidArgument({ message })

/** About how much memory a command takes that has not been answered, in bytes. */
const bytesOf = (command: Command): number => {
  const input = "input" in command ? command.input : undefined
  const output = "output" in command ? command.output : undefined
  const error = "error" in command ? command.error : undefined
  return (input?.data.byteLength ?? 0) + (output?.data.byteLength ?? 0) + (error?.message.length ?? 0)
}

/** With these a worker lets go of a run. */
const letsGo: ReadonlySet<Command["_tag"]> = new Set(["SuspendRun", "ReleaseRun", "CompleteRun", "FailRun"])

const leaseKey = ({ lease, runId }: { readonly runId: string; readonly lease?: number }): string => `${lease} ${runId}`

/** A worker whose first word on this stream is being carried out. */
interface Resuming {
  latest: Served
}

export class Session {
  readonly outbox: Outbox
  readonly #needs: Needs
  readonly #making: Commands.Making
  readonly #encode = makeEncoder()
  readonly #serving = new Map<string, Serving>()
  readonly #resuming = new Map<string, Resuming>()
  /** Leases that their workers let go of by commands that are not answered yet. */
  readonly #leaving = new Set<string>()
  /** Commands that wait for a result, by their ids, and how to take them back. */
  readonly #waits = new Registry<number, () => void>()
  readonly #hasRoom = Latch.makeUnsafe(true)
  /** Results that were there when there was no room for them, to be read again. */
  #late: Array<{ readonly id: number; readonly request: AwaitResultRequest }> = []
  #unanswered = 0
  #unansweredBytes = 0
  #state: "open" | "ending" | "closed" = "open"
  #error: KagziError.KagziError | undefined
  #onRoom: (() => void) | undefined

  constructor(needs: Needs, sink: Sink) {
    this.#needs = needs
    this.#making = {
      newId: needs.engine.newIdUnsafe,
      maxPayloadBytes: needs.maxPayloadBytes,
      warn: (message) => needs.fork(Effect.logWarning(message))
    }
    this.outbox = new Outbox(sink, { onTaken: () => this.#relieved() })
  }

  /** Whether more may be read. */
  get isOpen(): boolean {
    return this.#state === "open"
  }

  /** Whether there is room for more commands. When there is not, calls back when there is. */
  hasRoom(callback: () => void): boolean {
    if (!this.#isFull) return true
    this.#onRoom = callback
    return false
  }

  /** Carries out a command. One that makes no sense ends the session. */
  receive(command: SessionCommand): void {
    if (command.command.case === undefined) {
      this.end(invalid("A command says nothing that this server knows"))
    } else if (command.id === 0) {
      this.end(invalid("A command has no id"))
    } else {
      const answer = this.#accept(command)
      if (answer !== undefined) this.#push(answer)
    }
  }

  /** Takes nothing new, and ends the stream when all commands are answered. Waits for results are not seen through. */
  end(error?: KagziError.KagziError): void {
    if (this.#state !== "open") return
    this.#state = "ending"
    this.#error = error
    this.#release()
    this.#relieved()
  }

  /** The stream is gone: what is on its way to the client is for others. */
  close(): void {
    if (this.#state === "closed") return
    this.#state = "closed"
    this.#release()
    this.outbox.end()
    this.outbox.clear()
  }

  get #isFull(): boolean {
    return (
      this.#unanswered > maximumUnanswered ||
      this.#unansweredBytes > maximumUnansweredBytes ||
      this.outbox.bytes > maximumBytes
    )
  }

  #release(): void {
    for (const serving of [...this.#serving.values()]) serving.close()
    this.#serving.clear()
    this.#resuming.clear()
    for (const abandon of this.#waits.values()) abandon()
    this.#waits.clear()
    this.#late = []
    this.#hasRoom.openUnsafe()
  }

  #relieved(): void {
    if (this.#state === "ending" && this.#unanswered === 0) this.outbox.end(this.#error)
    if (this.#isFull) return
    if (this.#hasRoom.openUnsafe()) {
      for (const serving of this.#serving.values()) serving.woke()
      const late = this.#late
      this.#late = []
      for (const { id, request } of late) this.#await(id, request)
    }
    const callback = this.#onRoom
    this.#onRoom = undefined
    callback?.()
  }

  #push(bytes: Uint8Array, undo?: () => void): void {
    this.outbox.push(bytes, undo)
    if (this.outbox.bytes > maximumBytes) this.#hasRoom.closeUnsafe()
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Commands
  // -------------------------------------------------------------------------------------------------------------------

  /** What can be answered at once; nothing where the answer comes later. */
  #accept({ command, id, leaseEpoch }: SessionCommand): Uint8Array | undefined {
    const encode = this.#encode
    const making = this.#making
    switch (command.case) {
      case "beginStep":
        return this.#underLease(
          id,
          leaseEpoch,
          (lease) => Commands.beginStep(command.value, lease, making),
          (reply, now, { output, stepId }) =>
            isBegunAs(stepId, reply)
              ? encode.done(id)
              : output !== undefined && reply.step.stepId === stepId
                ? encode.completed(id, reply.step)
                : encode.any(id, Events.step(reply, now))
        )
      case "completeStep":
        return this.#underLease(
          id,
          leaseEpoch,
          (lease) => Commands.completeStep(command.value, lease, making),
          ({ step }) => encode.completed(id, step)
        )
      case "failStep":
        return this.#underLease(
          id,
          leaseEpoch,
          (lease) => Commands.failStep(command.value, lease, making),
          (reply, now) => encode.any(id, Events.step(reply, now))
        )
      case "cancelStep":
        return this.#underLease(
          id,
          leaseEpoch,
          (lease) => Commands.cancelStep(command.value, lease),
          (reply, now) => encode.any(id, Events.step(reply, now))
        )
      case "suspendRun":
        return this.#underLease(
          id,
          leaseEpoch,
          (lease) => Commands.suspendRun(command.value, lease),
          (reply, _, run) => {
            if (reply.suspended) this.#gaveUp(run)
            return encode.any(id, Events.suspended(reply))
          }
        )
      case "releaseRun":
        return this.#underLease(
          id,
          leaseEpoch,
          (lease) => Commands.releaseRun(command.value, lease),
          (_, __, run) => this.#ended(id, run)
        )
      case "completeWorkflow":
        return this.#underLease(
          id,
          leaseEpoch,
          (lease) => Commands.completeRun(command.value, lease, making),
          (_, __, run) => this.#ended(id, run)
        )
      case "failWorkflow":
        return this.#underLease(
          id,
          leaseEpoch,
          (lease) => Commands.failRun(command.value, lease),
          (_, __, run) => this.#ended(id, run)
        )
      case "startWorkflow":
        return this.#carryOut(id, Commands.startRun(command.value, making), (reply) => encode.started(id, reply))
      case "awaitResult":
        return this.#await(id, command.value)
      case "abandon":
        this.#abandon(command.value)
        return undefined
      case "register":
        return this.#carryOut(id, Commands.registerWorker(command.value, making), (reply) =>
          encode.any(id, Events.registered(reply, this.#needs.maxPayloadBytes))
        )
      case "serve":
        return this.#serve(id, command.value)
      case "heartbeat":
        return this.#carryOut(
          id,
          Commands.heartbeat(command.value),
          (reply, now, { workerId }) => {
            for (const held of [...reply.lost, ...reply.cancelled]) this.#gaveUp(held)
            this.#heard(workerId, now, reply)
            if (reply.shouldDrain) this.#serving.get(workerId)?.drain()
            // of those that the worker is letting go of it is told by the answers to that
            const lost = reply.lost.filter((held) => !this.#leaving.has(leaseKey(held)))
            return encode.any(id, Events.heard({ ...reply, lost }, now))
          },
          // it was heard of, though that could not be written down
          (error, now) => {
            if (isLost(error)) this.#heard(command.value.workerId, now)
          }
        )
      case "deregister":
        return this.#carryOut(id, Commands.deregisterWorker(command.value), (reply, _, { drain, workerId }) => {
          const serving = this.#serving.get(workerId)
          if (drain) serving?.drain()
          else {
            serving?.close()
            this.#serving.delete(workerId)
          }
          return encode.any(id, Events.deregistered(reply))
        })
      case undefined:
        return undefined
    }
  }

  /** Has a command carried out, and sends what its answer makes. `refused` is told of a refusal before it is sent. */
  #carryOut<C extends Command>(
    id: number,
    read: Read<C>,
    reply: (reply: Reply[C["_tag"]], now: number, command: C) => Uint8Array,
    refused: (error: KagziError.KagziError, now: number) => void = () => undefined
  ): Uint8Array | undefined {
    if (Result.isFailure(read)) {
      refused(invalid(read.failure), 0)
      return this.#refusal(id, read.failure)
    }
    const command = read.success
    const leaving = letsGo.has(command._tag) && "runId" in command ? leaseKey(command) : undefined
    if (leaving !== undefined) this.#leaving.add(leaving)
    const bytes = bytesOf(command)
    this.#unanswered++
    this.#unansweredBytes += bytes
    this.#needs.engine.submit<C>(command, (decision, now) => {
      this.#unanswered--
      this.#unansweredBytes -= bytes
      if (leaving !== undefined) this.#leaving.delete(leaving)
      if (Result.isFailure(decision)) refused(decision.failure, now)
      this.#push(
        Result.isSuccess(decision) ? reply(decision.success, now, command) : this.#failure(id, decision.failure)
      )
      if (this.#onRoom !== undefined || this.#state === "ending") this.#relieved()
    })
    return undefined
  }

  /** The same for a command on a run that a worker holds. */
  #underLease<C extends Command>(
    id: number,
    leaseEpoch: bigint,
    read: (lease: number) => Read<C>,
    reply: (reply: Reply[C["_tag"]], now: number, command: C) => Uint8Array
  ): Uint8Array | undefined {
    const lease = safeNumber(leaseEpoch, "lease_epoch")
    if (Result.isFailure(lease)) return this.#refusal(id, lease.failure)
    return lease.success > 0
      ? this.#carryOut(id, read(lease.success), reply)
      : this.#refusal(id, "lease_epoch is missing")
  }

  #heard(workerId: string, now: number, reply?: Pick<Reply["Heartbeat"], "patienceMillis">): void {
    const serving = this.#serving.get(workerId)
    if (serving === undefined) return
    if (reply !== undefined) serving.patienceMillis = reply.patienceMillis
    serving.heardAt = now
  }

  #gaveUp({ lease, runId }: { readonly runId: string; readonly lease?: number }): void {
    if (lease !== undefined) this.#needs.engine.servings.gaveUp(runId, lease)
  }

  #ended(id: number, run: { readonly runId: string; readonly lease?: number }): Uint8Array {
    this.#gaveUp(run)
    return this.#encode.done(id)
  }

  #failure(id: number, error: KagziError.KagziError): Uint8Array {
    return this.#encode.any(id, Events.error(error))
  }

  #refusal(id: number, message: string): Uint8Array {
    return this.#failure(id, new KagziError.InvalidArgument({ message }))
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Results
  // -------------------------------------------------------------------------------------------------------------------

  #await(id: number, request: AwaitResultRequest): Uint8Array | undefined {
    const run = readRun(request)
    if (Result.isFailure(run)) return this.#refusal(id, run.failure)
    this.#abandon({ id })
    if (this.#waits.size >= maximumWaits) {
      const message = `No client may wait for more than ${maximumWaits} results`
      return this.#failure(id, new KagziError.Unavailable({ message }))
    }
    let answered = false
    const abandon = this.#needs.engine.watchEnd(run.success.namespace, run.success.runId, (reply) => {
      answered = true
      if (Result.isSuccess(reply) && !this.#hasRoom.isOpen()) {
        this.#late.push({ id, request })
        this.#waits.set(id, () => {
          this.#late = this.#late.filter((late) => late.id !== id)
        })
        return
      }
      this.#waits.delete(id)
      this.#push(Result.isSuccess(reply) ? this.#encode.result(id, reply.success) : this.#failure(id, reply.failure))
    })
    if (!answered) this.#waits.set(id, abandon)
    return undefined
  }

  #abandon({ id }: Pick<AbandonRequest, "id">): void {
    this.#waits.get(id)?.()
    this.#waits.delete(id)
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Workers
  // -------------------------------------------------------------------------------------------------------------------

  #serve(id: number, value: ServeRequest): Uint8Array | undefined {
    const read = readServe(value)
    if (Result.isFailure(read)) return this.#refusal(id, read.failure)
    const request = read.success
    const { workerId } = request
    const serving = this.#serving.get(workerId)
    const resuming = this.#resuming.get(workerId)
    if (!value.resumes && resuming !== undefined) {
      resuming.latest = request
      return this.#encode.any(id, Events.heard(nothingLost))
    }
    if (!value.resumes && serving !== undefined && isSamePlace(serving.request, request)) {
      serving.capacity = request.capacity
      return this.#encode.any(id, Events.heard({ ...nothingLost, shouldDrain: serving.isDraining }))
    }
    return this.#resume(id, request, value)
  }

  #resume(id: number, request: Served, value: ServeRequest): Uint8Array | undefined {
    const { workerId } = request
    const { servings } = this.#needs.engine
    const before = this.#serving.get(workerId)
    // from here on nobody claims runs for it, on an earlier stream for instance, that it can't name
    before?.close()
    servings.replace(workerId)
    this.#serving.delete(workerId)
    const resuming: Resuming = { latest: request }
    this.#resuming.set(workerId, resuming)
    const read = Commands.heartbeat({ ...value, reportsRuns: value.resumes })
    const beat = Result.map(read, (beat) => (value.resumes ? { ...beat, resumes: true } : beat))
    const isLatest = (): boolean => this.#resuming.get(workerId) === resuming && this.#resuming.delete(workerId)
    return this.#carryOut(
      id,
      beat,
      (reply, now, { held = before?.held() ?? [] }) => {
        if (isLatest()) {
          const gone = new Set([...reply.lost, ...reply.cancelled].map(leaseKey))
          const kept = held.filter((held) => !gone.has(leaseKey(held)))
          const serving = servings.serve(resuming.latest, kept, this.#listener(resuming.latest), now)
          serving.patienceMillis = reply.patienceMillis
          this.#serving.set(workerId, serving)
          if (reply.shouldDrain) serving.drain()
        }
        return this.#encode.any(id, Events.heard(reply, now))
      },
      (error) => {
        // what the worker holds is not known here: its client is to say it anew, on another stream
        if (isLatest() && isLost(error)) this.#needs.interrupt(this, "A worker could not be served")
      }
    )
  }

  #listener({ namespace, workerId }: Served): Listener {
    const { engine } = this.#needs
    const news = (event: ReturnType<typeof Events.lost>): void => this.#push(this.#encode.any(0, event))
    return {
      hasRoom: this.#hasRoom,
      onTask: (task) => {
        const { lease, run } = task
        this.#push(this.#encode.task(workerId, task), () =>
          engine.submit({ _tag: "ReleaseRun", namespace, runId: run.runId, lease }, () => undefined)
        )
      },
      onLost: (held: Held, ended: boolean) => {
        // another connection may see that the worker let go of it before this one has the answer to that
        if (!this.#leaving.has(leaseKey(held))) news(Events.lost(workerId, held, ended))
      },
      onDrain: () => news(Events.drain(workerId)),
      onForgotten: () => {
        this.#serving.delete(workerId)
        news(Events.forgotten(workerId))
      },
      // if its client is still there, what was read later may have been sent earlier: it is to say anew how things are
      onReplaced: () => this.#needs.interrupt(this, "The worker is served over another stream")
    }
  }
}

/** Whether the step was begun as its worker asked for, so that there is nothing more to say. */
const isBegunAs = (stepId: string, { execute, step }: Reply["BeginStep"]): boolean =>
  execute && step.stepId === stepId && step.kind === "FUNCTION" && step.attempt === 1

const nothingLost = { shouldDrain: false, lost: [], cancelled: [] }

const readServe = (request: ServeRequest): Read<Served> => {
  const { capacity, namespace, taskQueue, workflowTypes } = request
  const workerId = readUuid(request.workerId, "worker_id")
  if (Result.isFailure(workerId)) return Result.fail(workerId.failure)
  const problem =
    nameProblem(namespace, "namespace") ??
    nameProblem(taskQueue, "task_queue") ??
    textsProblem(workflowTypes, "workflow_types")
  if (problem !== undefined) return Result.fail(problem)
  if (workflowTypes.length === 0) return Result.fail("workflow_types must not be empty")
  if (capacity < 0) return Result.fail("capacity must not be negative")
  return Result.succeed({ workerId: workerId.success, namespace, taskQueue, workflowTypes, capacity })
}

const isSamePlace = (a: Served, b: Served): boolean =>
  a.namespace === b.namespace &&
  a.taskQueue === b.taskQueue &&
  a.workflowTypes.length === b.workflowTypes.length &&
  a.workflowTypes.every((type, index) => b.workflowTypes[index] === type)
