/** What goes wrong, and when: drawn from the seed before anything begins. */
import type { Chance } from "../../../src/testing/simulator/Chance.ts"

export type StoreKind = "postgres" | "sqlite"

type Target = "server" | "worker" | "any" | "database"

interface Kind {
  readonly says: string
  readonly target: Target
  /** How often it is drawn. */
  readonly weight: number
  /** How long it lasts, in milliseconds, at least and at most; a process that was killed is away for so long. */
  readonly lasts: readonly [number, number]
  /** The store that it takes; either unless given. */
  readonly store?: StoreKind
  /**
   * Where it takes a server, a worker or the database away: how long it has to last for that, in milliseconds. What is
   * left out is like weather, in which work goes on.
   */
  readonly awayAfter?: number
}

/** What servers of these trials are told, in seconds. Faults that outlast leases last longer than those. */
export const settings = { lease: 2, heartbeat: 1, stale: 3 }

const leaseMillis = 1_000 * settings.lease

const pastLease = [leaseMillis + 500, 2 * leaseMillis + 1_000] as const

export const kinds = {
  killServer: { says: "servers killed", target: "server", weight: 2, lasts: [0, 2_000], awayAfter: 0 },
  killWorker: { says: "workers killed", target: "worker", weight: 3, lasts: [0, 2_000], awayAfter: 0 },
  endServer: { says: "servers replaced", target: "server", weight: 1, lasts: [0, 500] },
  endWorker: { says: "workers replaced", target: "worker", weight: 1, lasts: [0, 500] },
  stopServer: { says: "servers stopped", target: "server", weight: 1, lasts: [500, 12_000], awayAfter: leaseMillis },
  stopWorker: {
    says: "workers stopped past their leases",
    target: "worker",
    weight: 4,
    lasts: pastLease,
    awayAfter: leaseMillis
  },
  cut: { says: "processes cut off once", target: "any", weight: 2, lasts: [0, 0] },
  isolate: {
    says: "workers cut off past their leases",
    target: "worker",
    weight: 2,
    lasts: pastLease,
    awayAfter: leaseMillis
  },
  unreliable: { says: "times of unreliable connections", target: "any", weight: 2, lasts: [1_000, 5_000] },
  restartDatabase: {
    says: "databases restarted",
    target: "database",
    weight: 1,
    lasts: [0, 2_000],
    store: "postgres",
    awayAfter: 0
  },
  killDatabase: {
    says: "databases killed",
    target: "database",
    weight: 1,
    lasts: [0, 2_000],
    store: "postgres",
    awayAfter: 0
  },
  killBackends: { says: "times of killed backends", target: "database", weight: 2, lasts: [0, 0], store: "postgres" },
  cutCommits: {
    says: "times of connections cut at commits",
    target: "database",
    weight: 2,
    lasts: [1_000, 3_000],
    store: "postgres"
  },
  fillDisk: { says: "disks filled", target: "database", weight: 3, lasts: [500, 3_000], store: "sqlite" }
} as const satisfies Readonly<Record<string, Kind>>

export type FaultKind = keyof typeof kinds

/** Times are milliseconds from the beginning, and of how long something lasts. */
export interface Fault {
  readonly kind: FaultKind
  /** A process, or the database. */
  readonly who: string
  readonly at: number
  readonly lasts: number
}

/** Whether it takes a server, a worker or the database away. */
export const takesAway = ({ kind, lasts }: Fault): boolean => {
  const { awayAfter }: Kind = kinds[kind]
  return awayAfter !== undefined && lasts >= awayAfter
}

export interface Machines {
  readonly servers: ReadonlyArray<string>
  readonly workers: ReadonlyArray<string>
}

export const names = Object.keys(kinds) as ReadonlyArray<FaultKind>

const shuffled = <A>(chance: Chance, items: ReadonlyArray<A>): ReadonlyArray<A> =>
  items
    .map((item) => ({ item, place: chance.fraction() }))
    .sort((a, b) => a.place - b.place)
    .map(({ item }) => item)

/** Faults within so many milliseconds, one each `every` in the mean; all kinds before any comes too often. */
export const draw = (
  chance: Chance,
  machines: Machines,
  options: { readonly store: StoreKind; readonly millis: number; readonly every: number }
): ReadonlyArray<Fault> => {
  const fitting = names.filter((name) => {
    const kind: Kind = kinds[name]
    return kind.store === undefined || kind.store === options.store
  })
  // each once in the first round
  let deck: ReadonlyArray<FaultKind> = shuffled(chance, fitting)
  const all = fitting.flatMap((name) => Array.from({ length: kinds[name].weight }, () => name))
  const faults: Array<Fault> = []
  for (let at = options.every; at < options.millis; at += chance.between(options.every / 2, options.every * 1.5)) {
    const [name, ...rest] = deck
    if (name === undefined) break
    deck = rest.length === 0 ? shuffled(chance, all) : rest
    const { lasts, target }: Kind = kinds[name]
    const who: Readonly<Record<Target, ReadonlyArray<string>>> = {
      server: machines.servers,
      worker: machines.workers,
      any: [...machines.workers, "clients"],
      database: ["database"]
    }
    faults.push({
      kind: name,
      who: chance.pick(who[target]) ?? "",
      at: Math.round(at),
      lasts: chance.between(...lasts)
    })
  }
  return faults
}
