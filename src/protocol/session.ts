/**
 * One stream to a server in place of many calls: commands go up in batches, answers and news come down.
 *
 * Here is what a session is to those who use it. What commands mean is known to those who send them.
 */
import type { MessageInitShape } from "@bufbuild/protobuf"
import { Data, Effect } from "effect"
import type { SessionCommandSchema, SessionEvent } from "../../gen/kagzi/v1/session_pb.ts"
import * as KagziError from "../KagziError.ts"
import type { Payload } from "../Run.ts"
import type { BeginStep, Held, StartRequest } from "./Protocol.ts"

/** Begins a step that is no sleep. */
export interface Begin {
  readonly case: "begin"
  readonly namespace: string
  readonly runId: string
  readonly step: Omit<BeginStep, "sleep">
  /** Of the step, if it is begun for the first time. */
  readonly stepId: string
  /** What it is completed with at once. */
  readonly output?: Payload
}

/** Completes a step. */
export interface Complete {
  readonly case: "complete"
  readonly namespace: string
  readonly runId: string
  readonly stepId: string
  readonly output: Payload
}

/** Ends a run with its output. */
export interface CompleteRun {
  readonly case: "completeRun"
  readonly namespace: string
  readonly runId: string
  readonly output: Payload
}

/** Starts a run. */
export interface Start {
  readonly case: "start"
  readonly request: StartRequest
}

/** Waits until a run has ended. */
export interface Await {
  readonly case: "await"
  readonly namespace: string
  readonly runId: string
}

/** What every run needs, in the domain's words. */
export type Frequent = Begin | Complete | CompleteRun | Start | Await

/** What can be sent. All that is less frequent is in the words of the wire. */
export type Command =
  | Frequent
  | Extract<NonNullable<MessageInitShape<typeof SessionCommandSchema>["command"]>, { readonly value: unknown }>

/** What the server says, in answer to a command or unasked. */
export type Event = SessionEvent["event"]

/** What it says of a worker unasked. */
export type News = Extract<Event, { readonly case: "task" | "lost" | "drain" | "forgotten" }>

/** The server has no sessions, or they don't come through to it: there are other ways to do the same. */
export class Unusable extends Data.TaggedError("Unusable")<{ readonly cause: KagziError.KagziError }> {}

/**
 * What becomes of a command when its stream breaks before it is answered.
 *
 * - `run`: it is sent again, and given up with `Unavailable` when it was not answered for long.
 * - `wait`: it is sent again, for as long as there is someone who waits.
 * - `once`: it fails with `Unavailable`.
 * - `presence`: it is dropped, because its sender says anew how things are.
 */
export type Kind = "run" | "wait" | "once" | "presence"

/** Who is told what became of a command: by one of the two, once, or by none when it was dropped. */
export interface Reply {
  readonly answered: (event: Event) => void
  readonly failed: (error: KagziError.KagziError | Unusable) => void
}

/** A command that was given to a session. */
export interface Sent {
  readonly id: number
}

/** A worker on the stream. */
export interface Member {
  readonly workerId: string
  /** A new stream is open: says what the worker holds and wants, before anything else is sent. */
  readonly resume: () => void
  /** The stream is gone. */
  readonly suspend: () => void
  readonly news: (news: News) => void
  /** The worker can't go on here. */
  readonly forget: () => void
}

export interface Session {
  /** Sends a command with the others of this turn of the event loop. The reply may come before this returns. */
  readonly send: (kind: Kind, command: Command, lease: number, reply: Reply) => Sent
  /** Nobody waits for the answer any more. What may have been carried out by now is seen through all the same. */
  readonly withdraw: (sent: Sent) => void
  /** Takes another command and reply in the place of one that was not sent yet; false if it was. */
  readonly replace: (sent: Sent, command: Command, reply: Reply) => boolean
  readonly join: (member: Member) => void
  readonly leave: (member: Member) => void
  /** How many streams there were, with the present one. */
  readonly streams: () => number
  /** Whether there is a stream, as far as is known. */
  readonly isOpen: () => boolean
  /** Whether a command would open a stream at once, if there is none; false between attempts to do so. */
  readonly isReady: () => boolean
}

/** Sends a command and waits for its answer. */
export const request = (
  session: Session,
  kind: Kind,
  command: Command,
  lease = 0
): Effect.Effect<Event, KagziError.KagziError | Unusable> =>
  Effect.callback((resume) => {
    const sent = session.send(kind, command, lease, {
      answered: (event) => resume(Effect.succeed(event)),
      failed: (error) => resume(Effect.fail(error))
    })
    return Effect.sync(() => session.withdraw(sent))
  })

/** As for those who have no other way. */
export const unavailable = (error: KagziError.KagziError | Unusable): KagziError.KagziError =>
  error._tag === "Unusable" ? new KagziError.Unavailable({ message: error.cause.message }) : error

/** Gives a run back, without waiting for it to be so. */
export const giveBack = (session: Session, namespace: string, { lease, runId }: Held): void => {
  session.send("run", { case: "releaseRun", value: { namespace, runId } }, lease, {
    answered: () => undefined,
    failed: () => undefined
  })
}

/** What is to be said of an answer that fits no command of its kind. */
export const unexpected = (event: Event): KagziError.KagziError =>
  new KagziError.Internal({
    message: `The server's answer can't be read: ${event.case ?? "nothing"} is no answer to this`,
    nonRetryable: true
  })
