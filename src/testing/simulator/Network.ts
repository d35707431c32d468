/**
 * The network between machines. Messages take their time; connections are lost with what is on its way; calls may be
 * lost or come twice, as with proxies that repeat them.
 */
import { Effect, Exit } from "effect"
import * as KagziError from "../../KagziError.ts"
import type { Shape as Rpc } from "../../protocol/Rpc.ts"
import { type Carrier, type Incoming, makeClient, type ServerEnd } from "../../server/wire.ts"
import type { Chance } from "./Chance.ts"
import type { Loop } from "./Loop.ts"
import type { Machine } from "./Machine.ts"
import type { Tally } from "./Tally.ts"
import type { Trace } from "./Trace.ts"

/** A server that listens. */
export interface Listening {
  readonly machine: Machine
  readonly end: ServerEnd
}

/** How bad the network is. */
export interface Weather {
  /** How long a message takes at most, in milliseconds. */
  delay: number
  /** How likely a call, or its answer, is lost, or the call comes twice. */
  loss: number
  repetition: number
}

export const fairWeather: Weather = { delay: 2, loss: 0, repetition: 0 }

/** A call or a stream that is open between two machines. */
interface Link {
  readonly client: Machine
  readonly server: Machine
  /** Each end learns of it by and by. */
  readonly cut: () => void
}

const lost = (message: string) => new KagziError.Unavailable({ message })

export class Network {
  weather = fairWeather
  readonly #loop: Loop
  readonly #chance: Chance
  readonly #trace: Trace
  readonly #tally: Tally
  readonly #servers = new Map<string, Listening>()
  readonly #links = new Set<Link>()
  /** Until when nothing comes from or goes to a machine, by its name. */
  readonly #apart = new Map<string, number>()

  constructor(loop: Loop, chance: Chance, trace: Trace, tally: Tally) {
    this.#loop = loop
    this.#chance = chance
    this.#trace = trace
    this.#tally = tally
  }

  listen(listening: Listening): void {
    this.#servers.set(listening.machine.name, listening)
  }

  /** Nobody comes to the machine any more; those who are connected with it stay so. */
  leave(machine: Machine): void {
    const listening = this.#servers.get(machine.name)
    if (listening?.machine !== machine) return
    this.#servers.delete(machine.name)
    machine.post(() => listening.end.drain())
  }

  /** The machine is gone: those who are connected with it find out. */
  gone(machine: Machine): void {
    if (this.#servers.get(machine.name)?.machine === machine) this.#servers.delete(machine.name)
    this.cut(machine.name)
  }

  /** Cuts all connections of a machine, and tells how many there were. */
  cut(name: string): number {
    let cut = 0
    for (const link of [...this.#links]) {
      if (link.client.name !== name && link.server.name !== name) continue
      cut++
      link.cut()
    }
    return cut
  }

  /** Nothing gets through from and to a machine for so many milliseconds; it is late then, and not lost. */
  isolate(name: string, millis: number): void {
    this.#apart.set(name, Math.max(this.#loop.now + millis, this.#apart.get(name) ?? 0))
  }

  /** From here on everything gets through. */
  heal(): void {
    this.weather = fairWeather
    this.#apart.clear()
  }

  /** How a machine calls the servers: each time one of those that listen. */
  rpc(client: Machine): Rpc {
    const carrier: Carrier = {
      call: (name, request, { headers = {}, timeoutMillis }) =>
        Effect.callback((resume) => this.#call(client, { name, request, headers, timeoutMillis }, resume)),
      open: Effect.acquireRelease(
        Effect.callback<Stream, KagziError.KagziError>((resume) => this.#open(client, resume)),
        (stream) => Effect.sync(() => stream.close())
      )
    }
    return makeClient(carrier)
  }

  #pick(): Listening | undefined {
    return this.#chance.pick([...this.#servers.values()])
  }

  /** When a message that is sent now gets there; after `earliest` in any case. */
  #arrival(from: Machine, to: Machine, earliest = 0): number {
    const apart = Math.max(this.#apart.get(from.name) ?? 0, this.#apart.get(to.name) ?? 0, this.#loop.now)
    if (apart > this.#loop.now) this.#tally.add("message held up")
    return Math.max(earliest, apart + this.#chance.between(0, this.weather.delay))
  }

  #deliver(at: number, to: Machine, run: () => void): void {
    this.#loop.after(at - this.#loop.now, () => to.post(run))
  }

  #call(
    client: Machine,
    call: {
      readonly name: string
      readonly request: Uint8Array
      readonly headers: Readonly<Record<string, string>>
      readonly timeoutMillis: number | undefined
    },
    resume: (effect: Effect.Effect<Uint8Array, KagziError.KagziError>) => void
  ): Effect.Effect<void> {
    const { name, request, timeoutMillis } = call
    const server = this.#pick()
    let isSettled = false
    const fibers: Array<{ readonly interruptUnsafe: () => void }> = []
    const settle = (effect: Effect.Effect<Uint8Array, KagziError.KagziError>): void => {
      if (isSettled) return
      isSettled = true
      this.#links.delete(link)
      cancelTimeout()
      resume(effect)
    }
    const abort = (): void => {
      this.#links.delete(link)
      if (server === undefined) return
      this.#deliver(this.#arrival(client, server.machine), server.machine, () => {
        for (const fiber of fibers) fiber.interruptUnsafe()
      })
    }
    const link: Link = {
      client,
      server: server?.machine ?? client,
      cut: () => {
        abort()
        this.#deliver(this.#loop.now + this.#chance.between(0, 5), client, () =>
          settle(Effect.fail(lost("The connection is lost")))
        )
      }
    }
    const cancelTimeout =
      timeoutMillis === undefined
        ? () => undefined
        : client.after(timeoutMillis, () => {
            abort()
            settle(Effect.fail(new KagziError.Timeout({ message: "No answer came in time" })))
          })
    if (server === undefined) {
      this.#deliver(this.#arrival(client, client), client, () => settle(Effect.fail(lost("No server listens"))))
      return Effect.sync(() => {
        isSettled = true
      })
    }
    this.#links.add(link)
    const copies = this.#chance.happens(this.weather.repetition) ? 2 : 1
    for (let copy = 0; copy < copies; copy++) {
      if (copy > 0) this.#tally.add("repeated call")
      if (this.#chance.happens(this.weather.loss)) {
        this.#tally.add("lost call")
        continue
      }
      this.#deliver(this.#arrival(client, server.machine), server.machine, () => {
        this.#trace.add(server.machine.name, `${client.name} calls ${name} (${request.byteLength} B)`)
        const fiber = Effect.runForkWith(server.machine.context)(server.end.call(name, request, call.headers))
        fibers.push(fiber)
        fiber.addObserver((exit) => {
          // of a call that was given up nothing is said
          if (Exit.hasInterrupts(exit)) return
          if (this.#chance.happens(this.weather.loss)) return this.#tally.add("lost answer")
          this.#deliver(this.#arrival(server.machine, client), client, () => settle(exit))
        })
      })
    }
    return Effect.sync(() => {
      isSettled = true
      cancelTimeout()
      abort()
    })
  }

  #open(client: Machine, resume: (effect: Effect.Effect<Stream, KagziError.KagziError>) => void): void {
    const server = this.#pick()
    if (server === undefined) {
      this.#deliver(this.#arrival(client, client), client, () => resume(Effect.fail(lost("No server listens"))))
      return
    }
    const { machine } = server
    const stream = new Stream({
      arrival: (towards, earliest) =>
        towards === "server" ? this.#arrival(client, machine, earliest) : this.#arrival(machine, client, earliest),
      deliver: (at, to, run) => this.#deliver(at, to, run),
      over: (link) => this.#links.delete(link),
      sees: () => this.#loop.now + this.#chance.between(0, 5),
      trace: this.#trace,
      client,
      server
    })
    this.#links.add(stream)
    this.#deliver(this.#loop.now, client, () => resume(Effect.succeed(stream)))
  }
}

interface StreamOptions {
  readonly arrival: (towards: "server" | "client", earliest: number) => number
  readonly deliver: (at: number, to: Machine, run: () => void) => void
  readonly over: (link: Link) => void
  /** When an end learns that the connection is lost. */
  readonly sees: () => number
  readonly trace: Trace
  readonly client: Machine
  readonly server: Listening
}

/** A stream, whose messages come in order until it is cut. */
class Stream implements Link {
  readonly client: Machine
  readonly server: Machine
  readonly #options: StreamOptions
  #incoming: Incoming | undefined
  #lastUp = 0
  #lastDown = 0
  #isCut = false
  #isLostAtServer = false
  readonly #received: Array<Uint8Array> = []
  #error: KagziError.KagziError | undefined
  #waiting: ((effect: Effect.Effect<Uint8Array, KagziError.KagziError>) => void) | undefined

  constructor(options: StreamOptions) {
    this.#options = options
    this.client = options.client
    this.server = options.server.machine
    this.#up(() => {
      this.#incoming = options.server.end.accept({
        message: (bytes) => {
          this.#down(() => {
            options.trace.add(this.client.name, `hears ${bytes.byteLength} B from ${this.server.name}`)
            this.#received.push(bytes)
            this.#wake()
          })
        },
        end: (error) => this.#down(() => this.#fail(error ?? lost("The server has ended the stream")))
      })
    })
  }

  send(bytes: Uint8Array): void {
    this.#up(() => {
      this.#options.trace.add(this.server.name, `hears ${bytes.byteLength} B from ${this.client.name}`)
      this.#incoming?.message(bytes)
    })
  }

  readonly receive: Effect.Effect<Uint8Array, KagziError.KagziError> = Effect.callback((resume) => {
    this.#waiting = resume
    this.#wake()
    return Effect.sync(() => {
      this.#waiting = undefined
    })
  })

  /** The client wants no more: the server hears of it after all else. */
  close(): void {
    this.#options.over(this)
    this.#up(() => this.#lostAtServer())
  }

  cut(): void {
    if (this.#isCut) return
    this.#isCut = true
    const { deliver, over, sees } = this.#options
    over(this)
    deliver(sees(), this.client, () => this.#fail(lost("The stream is lost")))
    deliver(sees(), this.server, () => this.#lostAtServer())
  }

  #lostAtServer(): void {
    if (this.#isLostAtServer) return
    this.#isLostAtServer = true
    this.#incoming?.lost()
  }

  #up(run: () => void): void {
    if (this.#isCut) return
    this.#lastUp = this.#options.arrival("server", this.#lastUp)
    this.#options.deliver(this.#lastUp, this.server, () => {
      if (!this.#isCut) run()
    })
  }

  #down(run: () => void): void {
    if (this.#isCut) return
    this.#lastDown = this.#options.arrival("client", this.#lastDown)
    this.#options.deliver(this.#lastDown, this.client, () => {
      if (!this.#isCut) run()
    })
  }

  #fail(error: KagziError.KagziError): void {
    this.#error ??= error
    this.#wake()
  }

  #wake(): void {
    const resume = this.#waiting
    if (resume === undefined) return
    const bytes = this.#received.shift()
    if (bytes === undefined && this.#error === undefined) return
    this.#waiting = undefined
    resume(bytes === undefined ? Effect.fail(this.#error ?? lost("")) : Effect.succeed(bytes))
  }
}
