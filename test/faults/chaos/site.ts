/** The processes of a trial, the ways between them, and what a fault does to them. */
import { Effect, Schedule, Scope } from "effect"
import type { Chance } from "../../../src/testing/simulator/Chance.ts"
import * as CuttingProxy from "../../support/cuttingProxy.ts"
import * as Process from "../../support/process.ts"
import type { Database } from "./databases.ts"
import { moment } from "./ledger.ts"
import { type Fault, settings } from "./plan.ts"
import { retentionSeconds } from "./removals.ts"

/** A process that is started again whenever it ends. */
interface Member {
  readonly name: string
  readonly process: () => Process.Child
  /** Ends it in that way, and starts another one so many milliseconds later. Waits until that one is ready. */
  readonly renew: (signal: "SIGKILL" | "SIGTERM", after: number) => Effect.Effect<void>
  /** Ends it for good. */
  readonly end: Effect.Effect<void>
}

/** A fault that took place. */
export interface Incident extends Fault {
  /** The moment in nanoseconds. */
  readonly moment: number
  /** The workers that it hit, or that were with the server that it hit. */
  readonly workers: ReadonlyArray<string>
}

export interface Site {
  /** Where clients find the servers. */
  readonly address: string
  /**
   * Does what the fault says, for as long as it lasts. Where who is to suffer from it suffers from another one, one of
   * the same role does in its place, if there is any.
   */
  readonly suffer: (fault: Fault) => Effect.Effect<void>
  readonly incidents: ReadonlyArray<Incident>
  /** What processes did that nothing explains. */
  readonly complaints: ReadonlyArray<string>
  /** Ends all processes. */
  readonly end: Effect.Effect<void>
}

export interface Options {
  readonly folder: string
  readonly database: Database
  readonly servers: ReadonlyArray<string>
  readonly workers: ReadonlyArray<string>
  readonly chance: Chance
  /** The name of what is wrong on purpose. */
  readonly sabotage?: string
}

const environmentOf = ({ isShared }: Database) => ({
  KAGZI_WORKER_LEASE_SECS: String(settings.lease),
  KAGZI_WORKER_HEARTBEAT_INTERVAL_SECS: String(settings.heartbeat),
  KAGZI_WORKER_STALE_SECS: String(settings.stale),
  // what is removed has to be read before
  ...(isShared ? { KAGZI_RETENTION_SECS: String(retentionSeconds) } : {}),
  KAGZI_LOG_LEVEL: "error"
})

/** How long a process may take to end when it is asked to. */
const longestEnd = "20 seconds"

const lastLines = (text: string) => text.trim().split("\n").slice(-5).join("\n")

/** `spawn` waits until the process is ready, and fails where it ends before that. */
const recruit = Effect.fnUntraced(function* (
  name: string,
  spawn: Effect.Effect<Process.Child, Error, Scope.Scope>,
  complain: (what: string) => void
) {
  const scope = yield* Effect.scope
  // what it needs may be away
  const ready = spawn.pipe(
    Effect.retry(Schedule.spaced("300 millis")),
    Effect.provideService(Scope.Scope, scope),
    Effect.orDie
  )
  let current = yield* ready
  let isWatched = true
  const watch = (child: Process.Child): Effect.Effect<void> =>
    Effect.gen(function* () {
      const end = yield* child.ended
      if (!isWatched || child !== current) return
      complain(`${name} ended by itself with ${end}: ${lastLines(child.complaints())}`)
      yield* start
    })
  const start: Effect.Effect<void> = Effect.gen(function* () {
    current = yield* ready
    isWatched = true
    yield* Effect.forkIn(watch(current), scope)
  })
  yield* Effect.forkIn(watch(current), scope)
  const stop = (signal: "SIGKILL" | "SIGTERM") =>
    Effect.gen(function* () {
      isWatched = false
      yield* current.signal(signal)
      const end = yield* Effect.timeoutOption(current.ended, longestEnd)
      if (signal === "SIGKILL" || (end._tag === "Some" && end.value === 0)) return
      const how = end._tag === "Some" ? `with ${end.value}` : "not in time"
      complain(`${name} was asked to end and ended ${how}: ${lastLines(current.complaints())}`)
      yield* current.kill
    })
  return {
    name,
    process: () => current,
    renew: (signal, after) =>
      stop(signal).pipe(Effect.andThen(Effect.sleep(after)), Effect.andThen(start), Effect.uninterruptible),
    end: stop("SIGTERM")
  } satisfies Member
})

/** The servers, three or one, then the ways to them, then the workers. */
export const make = Effect.fnUntraced(function* (options: Options) {
  const { chance, database, folder, sabotage } = options
  const environment = environmentOf(database)
  const complaints: Array<string> = []
  const complain = (what: string) => void complaints.push(what)
  const addresses = new Map<string, string>()

  const server = (name: string) =>
    recruit(
      name,
      Effect.gen(function* () {
        const known = addresses.get(name)
        const args = ["server", "--port", known === undefined ? "0" : new URL(known).port, "--db-url", database.url]
        const child = yield* sabotage === undefined
          ? Process.start("src/cli/main.ts", { args, environment })
          : Process.start("test/faults/chaos/brokenServer.ts", { args: [sabotage, ...args], environment })
        addresses.set(name, yield* child.line(/^kagzi server listening on (.+)$/))
        return child
      }),
      complain
    )
  const servers = yield* Effect.forEach(options.servers, server, { concurrency: "unbounded" })

  /** One way from each to each server, so that each can be cut alone. */
  const ways = new Map<string, ReadonlyMap<string, CuttingProxy.CuttingProxy>>()
  for (const who of [...options.workers, "clients"]) {
    const own = new Map<string, CuttingProxy.CuttingProxy>()
    for (const [name, target] of addresses) {
      own.set(name, yield* CuttingProxy.make({ target, seed: chance.fork(`${who} ${name}`).name, meanMillis: 300 }))
    }
    ways.set(who, own)
  }
  const waysOf = (who: string) => [...(ways.get(who)?.values() ?? [])]
  const addressFor = (who: string) =>
    waysOf(who)
      .map(({ address }) => address)
      .join(",")

  const worker = (name: string) =>
    recruit(
      name,
      Effect.gen(function* () {
        const child = yield* Process.start("test/faults/chaos/worker.ts", {
          args: [name, folder],
          environment: { KAGZI_SERVER_ADDRESS: addressFor(name) }
        })
        yield* child.line(/^working$/)
        return child
      }),
      complain
    )
  const workers = yield* Effect.forEach(options.workers, worker, { concurrency: "unbounded" })

  const members = new Map([...servers, ...workers].map((member) => [member.name, member]))
  /** Those whose newest bytes went that way: one that has gone elsewhere may be connected for a while. */
  const connectedTo = (name: string) =>
    options.workers.filter((who) => {
      const own = [...(ways.get(who)?.entries() ?? [])]
      return own.toSorted(([, a], [, b]) => b.usedAt() - a.usedAt())[0]?.[0] === name
    })
  const touched = ({ who }: Fault): ReadonlyArray<string> =>
    who === "database" ? options.workers : options.servers.includes(who) ? connectedTo(who) : [who]

  /** Sets something going, and back when the time has passed. */
  const during = (lasts: number, begin: () => void, end: () => void) =>
    Effect.sync(begin).pipe(Effect.andThen(Effect.sleep(lasts)), Effect.ensuring(Effect.sync(end)))
  const eachWay = (who: string, act: (way: CuttingProxy.CuttingProxy) => void) => () => waysOf(who).forEach(act)

  const act = (fault: Fault): Effect.Effect<void> => {
    const { kind, lasts, who } = fault
    const member = members.get(who)
    switch (kind) {
      case "killServer":
      case "killWorker":
        return member?.renew("SIGKILL", lasts) ?? Effect.void
      case "endServer":
      case "endWorker":
        return member?.renew("SIGTERM", lasts) ?? Effect.void
      case "stopServer":
      case "stopWorker": {
        const child = member?.process()
        if (child === undefined) return Effect.void
        return child
          .signal("SIGSTOP")
          .pipe(Effect.andThen(Effect.sleep(lasts)), Effect.ensuring(child.signal("SIGCONT")))
      }
      case "cut":
        return Effect.sync(eachWay(who, (way) => way.cutAll()))
      case "isolate":
        return during(
          lasts,
          eachWay(who, (way) => way.pause()),
          eachWay(who, (way) => way.resume())
        )
      case "unreliable":
        return during(
          lasts,
          eachWay(who, (way) => way.startCutting()),
          eachWay(who, (way) => way.stopCutting())
        )
      default:
        return database.suffer(fault, () => servers[0]!.process())
    }
  }

  const busy = new Set<string>()
  const incidents: Array<Incident> = []
  const site: Site = {
    address: addressFor("clients"),
    incidents,
    complaints,
    suffer: (planned) =>
      Effect.suspend(() => {
        const role = [options.servers, options.workers].find((names) => names.includes(planned.who)) ?? []
        const who = [planned.who, ...role].find((name) => !busy.has(name))
        if (who === undefined) return Effect.void
        const fault = { ...planned, who }
        busy.add(who)
        incidents.push({ ...fault, moment: moment(), workers: touched(fault) })
        return Effect.ensuring(
          act(fault),
          Effect.sync(() => busy.delete(fault.who))
        )
      }),
    // workers give back what they have
    end: Effect.forEach(
      [workers, servers],
      (members) => Effect.forEach(members, ({ end }) => end, { concurrency: "unbounded" }),
      { discard: true }
    )
  }
  return site
})
