/**
 * Workers that die at a chosen moment. Every command that a worker sends about a run is a durable boundary: the worker
 * can be gone just before the server applies it, or just after, with the reply lost.
 */
import { Effect, Layer } from "effect"
import * as KagziError from "../../src/KagziError.ts"
import { Protocol, type WorkerLink } from "../../src/protocol/Protocol.ts"

/** Where the worker dies: at its nth command (from 1), before or after the server has applied it. */
export interface CrashPoint {
  readonly command: number
  readonly when: "before" | "after"
}

export interface Witness {
  /** Commands sent so far. */
  readonly commands: () => number
  readonly crashed: () => boolean
}

const dead = new KagziError.Unavailable({ message: "the worker has crashed" })

/**
 * A protocol whose workers crash at that point, once: from then on nothing that they send arrives, and no reply to what
 * they sent comes back. Without a point it only counts.
 */
export const crashing = (point: CrashPoint | undefined, onCrash: Effect.Effect<void> = Effect.void) => {
  let commands = 0
  let crashed = false
  const witness: Witness = { commands: () => commands, crashed: () => crashed }
  const die = Effect.suspend(() => {
    crashed = true
    return Effect.andThen(onCrash, Effect.fail(dead))
  })
  const boundary = <A>(effect: Effect.Effect<A, KagziError.KagziError>): Effect.Effect<A, KagziError.KagziError> =>
    Effect.suspend(() => {
      if (crashed) return Effect.fail(dead)
      commands++
      if (commands !== point?.command) {
        return Effect.flatMap(effect, (reply) => (crashed ? Effect.fail(dead) : Effect.succeed(reply)))
      }
      return point.when === "before" ? die : Effect.andThen(effect, die)
    })
  const layer = Layer.effect(
    Protocol,
    Effect.gen(function* () {
      const protocol = yield* Protocol
      return {
        ...protocol,
        connect: (options) =>
          Effect.map(protocol.connect(options), (link): WorkerLink => ({
            ...link,
            poll: Effect.suspend(() => (crashed ? Effect.never : link.poll)),
            beginStep: (...args) => boundary(link.beginStep(...args)),
            completeStep: (...args) => boundary(link.completeStep(...args)),
            failStep: (...args) => boundary(link.failStep(...args)),
            cancelStep: (...args) => boundary(link.cancelStep(...args)),
            suspend: (...args) => boundary(link.suspend(...args)),
            completeRun: (...args) => boundary(link.completeRun(...args)),
            failRun: (...args) => boundary(link.failRun(...args)),
            release: () => Effect.fail(dead),
            drain: Effect.void
          }))
      }
    })
  )
  return { layer, witness }
}
