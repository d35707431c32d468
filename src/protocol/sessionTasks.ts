/** What a worker holds of the runs that come to it over a session, and how many more may come. */
import { Effect } from "effect"
import type { PollTaskResponse } from "../../gen/kagzi/v1/worker_pb.ts"
import type { KagziError } from "../KagziError.ts"
import { Registry } from "../Registry.ts"
import type { Step } from "../Run.ts"
import type { Held } from "./Protocol.ts"
import type { Begin, Sent } from "./session.ts"

/** A step whose code runs here. */
export interface Begun {
  readonly step: Step
  /** The command that begins it, where nobody waits for its answer. */
  ahead?: { readonly sent: Sent; readonly command: Begin }
  /** Why the server did not begin it, when it was taken for begun before the server had answered. */
  refused: KagziError | undefined
}

/** A run that the server has handed over, until one of the two has let go of it. */
export interface Taken extends Held {
  /** By step id. */
  readonly steps: Map<string, Begun>
  /** When it came, and then when it was polled. Milliseconds since the epoch. */
  since: number
  polled: boolean
  /** Until then the lease is good for certain, as `LeaseTrust` has it. */
  goodUntil: number
  /** The latest sign of life that did not name it, by its number. */
  leftOut: number
}

interface Waiting {
  readonly run: Taken
  readonly task: PollTaskResponse
}

/** How long a run may wait to be polled before it is given back, in milliseconds. */
const patience = 200

/** How long a run counts as held although the worker does not report it, in milliseconds: it may not have begun yet. */
const grace = 2_000

/** How long a run is remembered that the worker does not report: about as long as its lease can last. Milliseconds. */
const memory = 120_000

export interface Options {
  /** What the worker says that it holds. */
  readonly held: () => ReadonlyArray<Held>
  readonly now: () => number
  /** The server is to know of another capacity. */
  readonly changed: () => void
  readonly giveBack: (held: Held) => void
}

export interface Tasks {
  /** A run has come. */
  readonly add: (held: Held, task: PollTaskResponse, goodUntil: number) => void
  /** Waits for the next run. */
  readonly poll: Effect.Effect<PollTaskResponse>
  readonly offer: (room: number, held: number) => void
  /** The most runs that the worker wants to hold at once. */
  readonly capacity: () => number
  /** What the worker reports, and runs that it can't report yet. */
  readonly held: () => ReadonlyArray<Held>
  /** All of that, and runs that it may still be at work on although it does not report them. */
  readonly all: () => ReadonlyArray<Held>
  readonly get: (held: Held) => Taken | undefined
  /** A sign of life names these runs. The server may take back others: their leases are not certain from then on. */
  readonly doubtOthers: (held: ReadonlyArray<Held>, sign: number) => void
  /** That sign of life was answered: until then the leases are certain that it named, unless a later one did not. */
  readonly renew: (held: ReadonlyArray<Held>, sign: number, goodUntil: number) => void
  /** The run is no longer held. Whether it still waited to be polled, so that nobody knows of it. */
  readonly remove: (held: Held) => boolean
  /** Whether a run waits to be polled. */
  readonly isWaiting: () => boolean
  /** Gives back what waits to be polled. */
  readonly clear: () => void
  /** Gives back what has waited to be polled for too long. Succeeds when nothing waits any more. */
  readonly watch: Effect.Effect<void>
}

const keyOf = ({ lease, runId }: Held): string => `${lease} ${runId}`

export const make = (options: Options): Tasks => {
  const taken = new Registry<string, Taken>()
  const queue: Array<Waiting> = []
  const polls = new Set<(task: PollTaskResponse) => void>()
  let offered: number | undefined
  /** Something had to be given back: nothing is wanted until there is a poll or an offer again. */
  let isFull = false

  const get: Tasks["get"] = ({ lease, runId }) => {
    const found = taken.get(runId)
    return found?.lease === lease ? found : undefined
  }

  const remove: Tasks["remove"] = (held) => {
    if (get(held) === undefined) return false
    taken.delete(held.runId)
    const index = queue.findIndex(({ run }) => run.runId === held.runId && run.lease === held.lease)
    if (index >= 0) queue.splice(index, 1)
    return index >= 0
  }

  const wanted = () => {
    isFull = false
    options.changed()
  }

  const giveBack = ({ run }: Waiting) => {
    remove(run)
    options.giveBack(run)
  }

  /** What the worker reports, and of other runs those that are wanted. */
  const reported = (isWanted: (run: Taken) => boolean): ReadonlyArray<Held> => {
    const now = options.now()
    const held = options.held()
    for (const of of held) {
      const run = get(of)
      if (run !== undefined) run.since = now
    }
    // the worker may still be at work on a run under an earlier lease
    const runs = new Map<string, Held>()
    for (const run of taken.values()) {
      if (run.polled && now - run.since > memory) remove(run)
      else if (isWanted(run)) runs.set(keyOf(run), run)
    }
    for (const of of held) runs.set(keyOf(of), of)
    return [...runs.values()]
  }

  const poll: Tasks["poll"] = Effect.callback((resume) => {
    const first = queue.shift()
    if (first !== undefined) {
      first.run.polled = true
      first.run.since = options.now()
      wanted()
      resume(Effect.succeed(first.task))
      return
    }
    const take = (task: PollTaskResponse) => resume(Effect.succeed(task))
    polls.add(take)
    wanted()
    return Effect.sync(() => polls.delete(take))
  })

  return {
    add: (held, task, goodUntil) => {
      const known = taken.get(held.runId)
      if (known !== undefined) remove(known)
      const [take] = polls
      const steps = new Map<string, Begun>()
      const run = { ...held, steps, since: options.now(), polled: take !== undefined, goodUntil, leftOut: 0 }
      taken.set(held.runId, run)
      if (take === undefined) {
        queue.push({ run, task })
        return
      }
      polls.delete(take)
      take(task)
    },
    poll,
    offer: (room, held) => {
      offered = held + room
      wanted()
    },
    capacity: () => (isFull ? taken.size : Math.max(offered ?? 0, taken.size + polls.size)),
    held: () => {
      const now = options.now()
      return reported((run) => !run.polled || now - run.since < grace)
    },
    all: () => reported(() => true),
    get,
    doubtOthers: (held, sign) => {
      const named = new Set(held.map(keyOf))
      for (const run of taken.values()) {
        if (named.has(keyOf(run))) continue
        run.leftOut = sign
        run.goodUntil = Number.NEGATIVE_INFINITY
      }
    },
    renew: (held, sign, goodUntil) => {
      for (const of of held) {
        const run = get(of)
        if (run !== undefined && run.leftOut < sign) run.goodUntil = goodUntil
      }
    },
    remove,
    isWaiting: () => queue.length > 0,
    clear: () => {
      for (const waiting of [...queue]) giveBack(waiting)
    },
    watch: Effect.gen(function* () {
      while (queue.length > 0) {
        yield* Effect.sleep(patience)
        const since = options.now() - patience
        const late = queue.filter(({ run }) => run.since <= since)
        if (late.length === 0) continue
        isFull = true
        for (const waiting of late) giveBack(waiting)
        options.changed()
      }
    })
  }
}
