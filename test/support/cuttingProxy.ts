/**
 * A TCP proxy whose connections break: at random, each on its own, in ways in which networks break them. It looks into
 * nothing but the frames of HTTP/2, of which it counts the calls.
 */
import * as net from "node:net"
import { Effect, type Scope } from "effect"

export interface Options {
  /** Where connections go: `http://HOST:PORT`. It need not be there all the time. */
  readonly target: string
  /** Of the moments and manners of the cuts. */
  readonly seed: string
  /** How long a connection lasts in the mean, in milliseconds; 200 unless given. */
  readonly meanMillis?: number
  /** Whether it cuts from the start. */
  readonly cutting?: boolean
}

/** What has happened so far. */
export interface Counts {
  readonly connections: number
  /** Connections that were cut, in any manner. */
  readonly cuts: number
  /** Cuts by which the peers saw a reset; at the others they saw the end of the stream. */
  readonly resets: number
  /** Cuts in the middle of bytes of which the first were passed on. */
  readonly splits: number
  /** Cuts before which nothing was passed on in one direction for a while, and everything in the other. */
  readonly stalls: number
  /** Calls that were begun over HTTP/2. */
  readonly calls: number
}

export interface CuttingProxy {
  readonly address: string
  readonly counts: () => Counts
  /** How many connections there are. */
  readonly open: () => number
  /** When it passed something on last, in milliseconds of this process; 0 where it never has. */
  readonly usedAt: () => number
  /** The most bytes that ever waited in one connection for a peer to read. */
  readonly mostWaiting: () => number
  /** Connections, the ones that are there too, last as long as chance has it. */
  readonly startCutting: () => void
  /** From now on connections last for as long as the peers want. */
  readonly stopCutting: () => void
  /** Cuts every connection that is there. */
  readonly cutAll: () => void
  /** Passes nothing on, in either direction, and keeps the connections. */
  readonly pause: () => void
  readonly resume: () => void
}

/** Numbers from 0 to 1, the same ones for a seed. */
const randomOf = (seed: string) => {
  let state = [...seed].reduce((hash, letter) => Math.imul(hash ^ letter.charCodeAt(0), 0x01000193), 0x811c9dc5)
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

const prefaceLength = 24
const frameHeaderLength = 9
const headersFrame = 1

/** Finds the begin of each call in what an HTTP/2 client sends. */
const callFinder = (found: () => void) => {
  let skip = prefaceLength
  let header = Buffer.alloc(0)
  let newest = 0
  return (bytes: Buffer) => {
    let at = 0
    while (at < bytes.length) {
      if (skip > 0) {
        const skipped = Math.min(skip, bytes.length - at)
        skip -= skipped
        at += skipped
        continue
      }
      const part = bytes.subarray(at, at + frameHeaderLength - header.length)
      header = Buffer.concat([header, part])
      at += part.length
      if (header.length < frameHeaderLength) return
      const stream = header.readUInt32BE(5) & 0x7fffffff
      if (header[3] === headersFrame && stream > newest) {
        newest = stream
        found()
      }
      skip = header.readUIntBE(0, 3)
      header = Buffer.alloc(0)
    }
  }
}

type Mutable<A> = { -readonly [K in keyof A]: A[K] }

class State {
  readonly counts: Mutable<Counts> = { connections: 0, cuts: 0, resets: 0, splits: 0, stalls: 0, calls: 0 }
  readonly connections = new Set<Connection>()
  readonly sockets = new Set<net.Socket>()
  readonly random: () => number
  readonly meanMillis: number
  readonly target: URL
  mostWaiting = 0
  usedAt = 0
  cutting: boolean
  paused = false

  constructor({ cutting = false, meanMillis = 200, seed, target }: Options) {
    this.random = randomOf(seed)
    this.meanMillis = meanMillis
    this.target = new URL(target)
    this.cutting = cutting
  }

  /** How long something lasts that may end at any moment alike. */
  duration(): number {
    return -Math.log(1 - this.random()) * this.meanMillis
  }
}

/** One connection of a client, and the one to the server that it goes on as. */
class Connection {
  readonly #proxy: State
  readonly #client: net.Socket
  readonly #server: net.Socket
  readonly #held = new Set<net.Socket>()
  #timer: NodeJS.Timeout | undefined
  #breaking = false
  #splits = false

  constructor(proxy: State, client: net.Socket) {
    this.#proxy = proxy
    this.#client = client
    this.#server = net.connect({
      host: proxy.target.hostname,
      port: Number(proxy.target.port),
      allowHalfOpen: true,
      noDelay: true
    })
    proxy.counts.connections++
    proxy.connections.add(this)
    this.#pass(
      client,
      this.#server,
      callFinder(() => proxy.counts.calls++)
    )
    this.#pass(this.#server, client, () => {})
    this.expect()
  }

  #pass(from: net.Socket, to: net.Socket, see: (bytes: Buffer) => void) {
    this.#proxy.sockets.add(from)
    from.on("data", (bytes: Buffer) => {
      if (this.#splits) return this.#split(to, bytes)
      see(bytes)
      const goesOn = to.write(bytes)
      this.#proxy.usedAt = performance.now()
      this.#proxy.mostWaiting = Math.max(this.#proxy.mostWaiting, to.writableLength)
      if (!goesOn) from.pause()
    })
    to.on("drain", () => this.#flow(from, to))
    from.on("end", () => to.end())
    // One that can't be reached looks like one that is gone at once.
    from.on("error", () => to.resetAndDestroy())
    from.on("close", () => {
      this.#forget()
      this.#proxy.sockets.delete(from)
      to.destroySoon()
    })
    this.#flow(from, to)
  }

  #flow(from: net.Socket, to: net.Socket) {
    if (this.#proxy.paused || this.#held.has(from)) from.pause()
    else if (!to.writableNeedDrain) from.resume()
  }

  flow() {
    this.#flow(this.#client, this.#server)
    this.#flow(this.#server, this.#client)
  }

  /** Sets the moment of the next cut, or none. */
  expect() {
    if (this.#breaking) return
    clearTimeout(this.#timer)
    if (this.#proxy.cutting) this.#timer = setTimeout(() => this.#break(), this.#proxy.duration())
  }

  #break() {
    const proxy = this.#proxy
    const manner = proxy.random()
    this.#breaking = true
    if (manner < 1 / 3) {
      this.cut()
    } else if (manner < 2 / 3) {
      this.#splits = true
      // There may be no more bytes.
      this.#timer = setTimeout(() => this.cut(), proxy.duration() / 4)
    } else {
      proxy.counts.stalls++
      this.#held.add(proxy.random() < 0.5 ? this.#client : this.#server)
      this.flow()
      this.#timer = setTimeout(() => this.cut(), proxy.duration() / 2)
    }
  }

  #split(to: net.Socket, bytes: Buffer) {
    this.#splits = false
    clearTimeout(this.#timer)
    for (const socket of [this.#client, this.#server]) this.#held.add(socket.pause())
    this.#proxy.counts.splits++
    to.write(bytes.subarray(0, Math.floor(this.#proxy.random() * bytes.length)), () => this.cut())
  }

  cut() {
    if (!this.#proxy.connections.has(this)) return
    this.#forget()
    const { counts, random } = this.#proxy
    counts.cuts++
    if (random() < 0.5) {
      counts.resets++
      this.#client.resetAndDestroy()
      this.#server.resetAndDestroy()
    } else {
      this.#client.destroy()
      this.#server.destroy()
    }
  }

  #forget() {
    clearTimeout(this.#timer)
    this.#proxy.connections.delete(this)
  }
}

/** Listens at a port of its own on this machine until the scope closes. */
export const make = (options: Options): Effect.Effect<CuttingProxy, never, Scope.Scope> =>
  Effect.gen(function* () {
    const proxy = new State(options)
    const server = net.createServer({ allowHalfOpen: true, noDelay: true }, (client) => new Connection(proxy, client))
    yield* Effect.acquireRelease(
      Effect.callback<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void))),
      () =>
        Effect.callback<void>((resume) => {
          server.close(() => resume(Effect.void))
          for (const socket of proxy.sockets) socket.destroy()
        })
    )
    const each = (act: (connection: Connection) => void) => {
      for (const connection of [...proxy.connections]) act(connection)
    }
    const setCutting = (cutting: boolean) => {
      proxy.cutting = cutting
      each((connection) => connection.expect())
    }
    const setPaused = (paused: boolean) => {
      proxy.paused = paused
      each((connection) => connection.flow())
    }
    return {
      address: `http://127.0.0.1:${(server.address() as net.AddressInfo).port}`,
      counts: () => ({ ...proxy.counts }),
      open: () => proxy.connections.size,
      usedAt: () => proxy.usedAt,
      mostWaiting: () => proxy.mostWaiting,
      startCutting: () => setCutting(true),
      stopCutting: () => setCutting(false),
      cutAll: () => each((connection) => connection.cut()),
      pause: () => setPaused(true),
      resume: () => setPaused(false)
    }
  })
