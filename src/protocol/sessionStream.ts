/**
 * How the commands of a session travel.
 *
 * The stream is opened when it is needed, and opened again when it breaks. Commands that were not answered are sent
 * again then, in their order.
 */
import { create } from "@bufbuild/protobuf"
import { WireType } from "@bufbuild/protobuf/wire"
import { Clock, Deferred, Effect, Fiber, Random, Result, Scheduler, type Scope } from "effect"
import {
  OpenSessionRequestSchema,
  type OpenSessionResponseSchema,
  type SessionEvent,
  SessionService
} from "../../gen/kagzi/v1/session_pb.ts"
import * as KagziError from "../KagziError.ts"
import { Registry } from "../Registry.ts"
import { readErrorDetail } from "./codec.ts"
import { isLost } from "./retry.ts"
import type { Duplex, Shape as Rpc } from "./Rpc.ts"
import { type Command, type Kind, type Member, type Reply, type Session, Unusable } from "./session.ts"
import { makeEncoder } from "./sessionWire.ts"
import { persistence } from "./unaryCommands.ts"

export interface Options {
  readonly open: NonNullable<Rpc["open"]>
  /** The stream was lost. */
  readonly onLost: () => void
  /** Streams don't work here. */
  readonly onUnusable: () => void
}

/** How long a command that is not repeated waits for its answer, in milliseconds. */
const patience = 30_000

/** How long nothing may be heard while an answer is due, before the stream counts as dead. Milliseconds. */
const silence = 8_000

/** How often all of that is looked after, in milliseconds. */
const sweepInterval = 1_000

/** How long a stream is kept that nobody uses, in milliseconds. */
const idleTime = 60_000

/** The most that is put into one message, unless a single command is larger, in bytes. */
const messageBytes = 256 * 1024

/** Servers take messages of this size, in bytes. A larger one would cost everyone the stream. */
const maxCommandBytes = 4 * 1024 * 1024

/** Waits between attempts to open a stream, in milliseconds. */
const firstPause = 20
const longestPause = 1_000

/** How many events are dealt with before what came of them is sent: the server works on that while the rest is dealt with. */
const eventsAtOnce = 16

const maxId = 0xffff_ffff

/** A command that has not been answered. */
interface Pending {
  readonly id: number
  readonly kind: Kind
  readonly lease: number
  /** Made into bytes when it is first sent. */
  body: Command | Uint8Array
  reply: Reply
  /** When it is given up. Milliseconds since the epoch, here and below. */
  readonly deadline: number
  /** When it went into the present stream. */
  sentAt: number | undefined
  /** It went into some stream, so that the server may have carried it out. */
  left: boolean
  /** It is not to be sent any more. */
  dropped: boolean
}

interface Stream {
  readonly duplex: Duplex<typeof OpenSessionRequestSchema, typeof OpenSessionResponseSchema>
  readonly openedAt: number
  /** Fails with the reason to leave the stream. */
  readonly cut: Deferred.Deferred<never, KagziError.KagziError>
  heardAt: number | undefined
  /** Whether something came of it. */
  progress: boolean
}

const lost = (message: string) => new KagziError.Unavailable({ message })

/** The session of one client. It ends with the scope. */
export const make = (options: Options): Effect.Effect<Session, never, Scope.Scope> =>
  Effect.gen(function* () {
    const context = yield* Effect.context<never>()
    const clock = yield* Clock.Clock
    const dispatcher = (yield* Scheduler.Scheduler).makeDispatcher()
    const now = () => clock.currentTimeMillisUnsafe()

    const encode = makeEncoder()

    /** In the order in which they are to be carried out. */
    const unanswered = new Registry<number, Pending>()
    const members = new Map<string, Member>()
    let outbox: Array<Pending> = []
    let flushing = false
    let stream: Stream | undefined
    let streams = 0
    let runner: Fiber.Fiber<void> | undefined
    let closed = false
    let lastId = 0
    let usedAt = 0

    // ---------------------------------------------------------------------------------------------------------------
    // Up
    // ---------------------------------------------------------------------------------------------------------------

    const pending = (kind: Kind, command: Command, lease: number, reply: Reply): Pending => {
      do lastId = lastId === maxId ? 1 : lastId + 1
      while (unanswered.has(lastId))
      return {
        id: lastId,
        kind,
        lease,
        body: command,
        reply,
        deadline: kind === "wait" ? Number.POSITIVE_INFINITY : now() + (kind === "run" ? persistence : patience),
        sentAt: undefined,
        left: false,
        dropped: false
      }
    }

    /** The bytes of a command; of one that can't be sent its sender is told. */
    const bytesOf = (command: Pending): Uint8Array | undefined => {
      const { body, id, lease } = command
      if (body instanceof Uint8Array) return body
      const encoded = Result.try({
        try: () => encode(id, lease, body),
        catch: (defect) =>
          new KagziError.Internal({ message: `The request can't be written: ${defect}`, nonRetryable: true })
      })
      if (Result.isSuccess(encoded) && encoded.success.byteLength <= maxCommandBytes) {
        command.body = encoded.success
        return encoded.success
      }
      const message = `The request is larger than ${maxCommandBytes} bytes`
      drop(command)
      command.reply.failed(Result.isFailure(encoded) ? encoded.failure : new KagziError.InvalidArgument({ message }))
      return undefined
    }

    const put = (command: Pending) => {
      outbox.push(command)
      if (flushing) return
      flushing = true
      dispatcher.scheduleTask(flush, 0)
    }

    const flush = () => {
      flushing = false
      if (stream === undefined) return
      const { duplex } = stream
      const at = now()
      const batch = outbox
      outbox = []
      let message = create(OpenSessionRequestSchema)
      let bytes = 0
      for (const command of batch) {
        if (command.dropped || command.sentAt !== undefined) continue
        const data = bytesOf(command)
        if (data === undefined) continue
        command.sentAt = at
        command.left = true
        if (bytes > 0 && bytes + data.byteLength > messageBytes) {
          duplex.send(message)
          message = create(OpenSessionRequestSchema)
          bytes = 0
        }
        bytes += data.byteLength
        // commands are bytes by now, which go into their field as they are
        message.$unknown ??= []
        message.$unknown.push({ no: 1, wireType: WireType.LengthDelimited, data })
      }
      if (bytes > 0) duplex.send(message)
    }

    const send: Session["send"] = (kind, command, lease, reply) => {
      const made = pending(kind, command, lease, reply)
      if (closed) {
        reply.failed(lost("The client is closed"))
      } else {
        unanswered.set(made.id, made)
        if (stream !== undefined) put(made)
        else runner ??= Effect.runForkWith(context)(run)
      }
      return made
    }

    const replace: Session["replace"] = ({ id }, command, reply) => {
      const made = unanswered.get(id)
      if (made === undefined || made.left) return false
      made.body = command
      made.reply = reply
      return true
    }

    const drop = (command: Pending) => {
      command.dropped = true
      unanswered.delete(command.id)
    }

    const withdraw: Session["withdraw"] = ({ id }) => {
      const command = unanswered.get(id)
      if (command === undefined || (command.kind !== "wait" && command.left)) return
      drop(command)
      if (command.sentAt === undefined || stream === undefined) return
      put(pending("presence", { case: "abandon", value: { id } }, 0, command.reply))
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Down
    // ---------------------------------------------------------------------------------------------------------------

    const answered = (at: Stream, { event, id }: SessionEvent) => {
      const command = unanswered.get(id)
      if (command === undefined || command.sentAt === undefined) return
      if (event.case !== "error") {
        at.progress ||= command.kind !== "presence"
        drop(command)
        command.reply.answered(event)
        return
      }
      const error = KagziError.fromDetail(readErrorDetail(event.value))
      if (isLost(error) && command.kind === "run") {
        // What follows it must not be carried out without it, so all of them are sent again.
        Deferred.doneUnsafe(at.cut, Effect.fail(error))
      } else if (isLost(error) && command.kind === "wait") {
        command.sentAt = undefined
      } else {
        drop(command)
        command.reply.failed(error)
      }
    }

    const heard = (at: Stream, events: ReadonlyArray<SessionEvent>) => {
      for (const event of events) {
        // after a cut nothing counts but what the next stream says
        if (stream !== at || Deferred.isDoneUnsafe(at.cut)) return
        if (event.id !== 0) {
          answered(at, event)
          continue
        }
        const news = event.event
        switch (news.case) {
          case "task":
          case "lost":
          case "drain":
          case "forgotten":
            at.progress = true
            members.get(news.value.workerId)?.news(news)
        }
      }
    }

    /** Deals with some of the events of a message at a time, so that what comes of them leaves meanwhile. */
    const hear = (at: Stream, events: ReadonlyArray<SessionEvent>, from: number): Effect.Effect<void> => {
      at.heardAt = now()
      const to = from + eventsAtOnce
      heard(at, events.slice(from, to))
      return to < events.length ? Effect.flatMap(Effect.yieldNow, () => hear(at, events, to)) : Effect.void
    }

    // ---------------------------------------------------------------------------------------------------------------
    // The stream
    // ---------------------------------------------------------------------------------------------------------------

    const opened = (at: Stream) => {
      stream = at
      streams++
      outbox = []
      for (const member of members.values()) member.resume()
      for (const command of unanswered.values()) if (command.kind !== "presence") put(command)
    }

    const broken = (reason: KagziError.KagziError) => {
      stream?.duplex.giveUp?.()
      stream = undefined
      options.onLost()
      for (const command of unanswered.values()) {
        command.sentAt = undefined
        if (command.kind === "presence" || command.kind === "once") drop(command)
        if (command.kind === "once") command.reply.failed(lost(reason.message))
      }
      for (const member of members.values()) member.suspend()
    }

    const giveUp = (error: KagziError.KagziError | Unusable) => {
      const commands = unanswered.values()
      for (const command of commands) drop(command)
      for (const command of commands) command.reply.failed(error)
      for (const member of [...members.values()]) member.forget()
    }

    /** Gives up what has waited for too long, and a dead stream. Answers whether the stream is of use no more. */
    const sweep = (at: Stream | undefined) => {
      const time = now()
      const isSilent = at !== undefined && time - Math.max(at.openedAt, at.heardAt ?? 0) > silence
      for (const command of unanswered.values()) {
        const { kind, sentAt } = command
        if (kind === "wait" && sentAt === undefined && at !== undefined) put(command)
        if (isSilent && kind !== "wait" && sentAt !== undefined && time - sentAt > silence) {
          Deferred.doneUnsafe(at.cut, Effect.fail(lost("The server has not answered for too long")))
        }
        if (time <= command.deadline) continue
        drop(command)
        const message = "The server did not answer in time"
        command.reply.failed(kind === "once" ? new KagziError.Timeout({ message }) : lost(message))
      }
      if (unanswered.size > 0 || members.size > 0) usedAt = time
      if (time - usedAt <= idleTime) return false
      stream = undefined
      return true
    }

    const sweeping = Effect.gen(function* () {
      let before = now()
      while (true) {
        yield* Effect.sleep(sweepInterval)
        const late = now() - before > 2 * sweepInterval
        before = now()
        // This process was busy with something else: what came meanwhile is still to be read.
        if (late) continue
        if (sweep(stream)) return
      }
    })

    /** Opens a stream and fails when it has ended. */
    const converse: Effect.Effect<never, KagziError.KagziError> = Effect.scoped(
      Effect.gen(function* () {
        const at: Stream = {
          duplex: yield* options.open(SessionService.method.openSession),
          openedAt: now(),
          cut: Deferred.makeUnsafe(),
          heardAt: undefined,
          progress: false
        }
        opened(at)
        const receiving = Effect.forever(
          Effect.flatMap(at.duplex.receive, ({ events }) => hear(at, events, 0)),
          { disableYield: true }
        )
        return yield* Effect.raceFirst(receiving, Deferred.await(at.cut))
      })
    ).pipe(
      Effect.catchDefect((defect) =>
        Effect.andThen(
          Effect.logError("The stream to the server is left after an unforeseen error", defect),
          Effect.fail(lost("An unforeseen error"))
        )
      )
    )

    /** Succeeds when streams turn out not to work here. */
    const conversing: Effect.Effect<void> = Effect.gen(function* () {
      let failures = 0
      while (true) {
        const reason = yield* Effect.flip(converse)
        const at = stream
        if (at?.heardAt === undefined && !isLost(reason)) {
          yield* Effect.logWarning("No stream comes through to the server: single calls take its place", reason.message)
          stream = undefined
          options.onUnusable()
          giveUp(new Unusable({ cause: reason }))
          return
        }
        broken(reason)
        yield* Effect.logDebug("The stream to the server has ended", reason.message)
        // At once only after a stream that lasted: others may end streams as fast as they are opened.
        if (at?.heardAt !== undefined && now() - at.openedAt >= longestPause) {
          failures = 0
          continue
        }
        failures = at?.progress === true ? 1 : failures + 1
        const pause = Math.min(firstPause * 2 ** (failures - 1), longestPause)
        yield* Effect.sleep(pause * (yield* Random.nextBetween(0.8, 1.2)))
      }
    })

    const run: Effect.Effect<void> = Effect.suspend(() => {
      usedAt = now()
      return Effect.raceFirst(conversing, sweeping)
    }).pipe(
      Effect.ensuring(
        Effect.sync(() => {
          stream = undefined
          runner = undefined
          if (unanswered.size > 0 && !closed) runner = Effect.runForkWith(context)(run)
        })
      )
    )

    yield* Effect.addFinalizer(() =>
      Effect.suspend(() => {
        closed = true
        const ended = runner === undefined ? Effect.void : Fiber.interrupt(runner)
        return Effect.map(ended, () => giveUp(lost("The client is closed")))
      })
    )

    return {
      send,
      withdraw,
      replace,
      join: (member) => {
        members.set(member.workerId, member)
      },
      leave: (member) => {
        if (members.get(member.workerId) === member) members.delete(member.workerId)
      },
      streams: () => streams,
      isOpen: () => stream !== undefined,
      isReady: () => !closed && (stream !== undefined || runner === undefined)
    }
  })
