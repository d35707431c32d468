/**
 * Workers that die at a chosen moment. Every command that a worker sends about a run is a durable boundary: the worker
 * can be gone just before the server applies it, or just after, with the reply lost.
 */
import { Deferred, Effect, Layer } from "effect"
import * as KagziError from "../../src/KagziError.ts"
import { Protocol, type WorkerLink } from "../../src/protocol/Protocol.ts"

/** Where the worker dies: at its nth command (from 1), before or after the server has applied it. */
export interface CrashPoint {
  readonly command: number
  readonly when: "before" | "after"
}

/** What has been seen of an execution, over all its workers. */
export class Witness {
  /** Commands sent so far. */
  commands = 0
  readonly crash = Deferred.makeUnsafe<void>()
  /** Steps that the server has recorded as completed, whether or not the worker was told. */
  readonly completed = new Set<string>()
  /** Steps that a worker was told to execute after they had been recorded as completed: there must be none. */
  readonly repeated: Array<string> = []

  get crashed(): boolean {
    return Deferred.isDoneUnsafe(this.crash)
  }
}

const dead = new KagziError.Unavailable({ message: "the worker has crashed" })

/**
 * A protocol whose workers crash at that point, once: from then on nothing that they send arrives, and no reply to what
 * they sent comes back. Without a point it only watches.
 */
export const crashing = (witness: Witness, point?: CrashPoint): Layer.Layer<Protocol, never, Protocol> => {
  let crashed = false
  const die = Effect.suspend(() => {
    crashed = true
    Deferred.doneUnsafe(witness.crash, Effect.void)
    return Effect.fail(dead)
  })
  const boundary = <A>(
    effect: Effect.Effect<A, KagziError.KagziError>,
    applied: (reply: A) => void = () => {}
  ): Effect.Effect<A, KagziError.KagziError> =>
    Effect.suspend(() => {
      if (crashed) return Effect.fail(dead)
      witness.commands++
      const last = witness.commands === point?.command
      if (last && point.when === "before") return die
      return Effect.flatMap(effect, (reply) => {
        applied(reply)
        return last ? die : crashed ? Effect.fail(dead) : Effect.succeed(reply)
      })
    })
  return Layer.effect(
    Protocol,
    Effect.gen(function* () {
      const protocol = yield* Protocol
      return {
        ...protocol,
        connect: (options) =>
          Effect.map(
            protocol.connect(options),
            (link): WorkerLink => ({
              ...link,
              poll: Effect.suspend(() => (crashed ? Effect.never : link.poll)),
              beginStep: (...args) =>
                boundary(link.beginStep(...args), ({ execute, step }) => {
                  if (execute && witness.completed.has(step.stepId)) witness.repeated.push(step.name)
                }),
              completeStep: (...args) =>
                boundary(link.completeStep(...args), ({ step }) => witness.completed.add(step.stepId)),
              failStep: (...args) => boundary(link.failStep(...args)),
              cancelStep: (...args) => boundary(link.cancelStep(...args)),
              suspend: (...args) => boundary(link.suspend(...args)),
              completeRun: (...args) => boundary(link.completeRun(...args)),
              failRun: (...args) => boundary(link.failRun(...args)),
              release: () => Effect.fail(dead),
              drain: Effect.void
            })
          )
      }
    })
  )
}
