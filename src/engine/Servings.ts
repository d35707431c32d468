/** The workers that are served over open connections, and which of them holds what. */
import type { Changes, RunRecord } from "../store/Store.ts"
import type { Command, Held } from "./Command.ts"
import { type Listener, type Needs, type ServeRequest, Serving } from "./Serving.ts"

export class Servings {
  readonly #needs: Needs
  readonly #byWorker = new Map<string, Serving>()
  readonly #holders = new Map<string, Serving>()
  readonly #woken = new Set<Serving>()
  #answered: Array<Serving> = []
  #committing = false

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /** Serves a worker from now on, over this connection only, which it was heard over at that time. */
  serve(request: ServeRequest, held: Iterable<Held>, listener: Listener, heardAt?: number): Serving {
    this.replace(request.workerId)
    const serving = new Serving(this, this.#needs, request, held, listener)
    this.#byWorker.set(request.workerId, serving)
    if (heardAt !== undefined) {
      serving.heardAt = heardAt
      this.#needs.tellServed(request.workerId, heardAt)
    }
    this.woke(serving)
    return serving
  }

  /** Another connection is about to serve the worker. */
  replace(workerId: string): void {
    this.#byWorker.get(workerId)?.replace()
  }

  /** To be told of runs that whoever holds them under that lease has given up or ended itself. */
  gaveUp(runId: string, lease: number): void {
    const holder = this.#holders.get(runId)
    if (holder?.holds(runId, lease)) holder.drop(runId)
  }

  /** Whether a run is held, so that it can't have ended. */
  isHeld(namespace: string, runId: string): boolean {
    return this.#holders.get(runId)?.request.namespace === namespace
  }

  /** Everything that is held. */
  held(): ReadonlyArray<Held> {
    return Array.from(this.#byWorker.values(), (serving) => serving.held()).flat()
  }

  /** Of that, what is held of one run. */
  heldOf(runId: string): Held | undefined {
    return this.#holders.get(runId)?.heldOf(runId)
  }

  workerIds(): Iterable<string> {
    return this.#byWorker.keys()
  }

  find(workerId: string): Serving | undefined {
    return this.#byWorker.get(workerId)
  }

  /** To be told of a run that others may have taken away or ended. */
  runChanged(run: RunRecord): void {
    this.#holders.get(run.runId)?.runChanged(run)
  }

  /**
   * Another server serves the worker since that time. What it is sent here since then does not arrive: its connection
   * may be gone without a word.
   */
  servedElsewhere(workerId: string, at: number): void {
    const serving = this.#byWorker.get(workerId)
    if (serving !== undefined && (serving.heardAt ?? Number.NEGATIVE_INFINITY) < at) serving.replace()
  }

  /**
   * Ends the connections over which their workers have been silent for so long, or longer if they may be. They may have
   * gone on to another server, which hears of them, so that nothing else tells that what they are sent here is lost.
   */
  replaceSilent(staleMillis: number, now: number): void {
    for (const serving of [...this.#byWorker.values()]) {
      serving.heardAt ??= now
      if (serving.heardAt <= now - Math.max(staleMillis, serving.patienceMillis)) serving.replace()
    }
  }

  /** To be told of what the next transaction is to carry out, before it begins; claims may join it. */
  preparing(commands: Iterable<{ readonly command: Command }>): void {
    if (this.#byWorker.size === 0) return
    this.#committing = true
    for (const { command } of commands) if (command._tag === "StartRun") this.#needs.waiters.starting(command)
    this.#committing = false
    this.#pump()
  }

  /** To be told of claims that are about to be carried out, beside others that are. */
  begun(commands: Iterable<{ readonly command: Command }>): void {
    for (const { command } of commands) if (command._tag === "ClaimRun") this.#byWorker.get(command.workerId)?.begun()
  }

  /** To be told when the answers to what was committed are about to be given. */
  answering(): void {
    this.#committing = true
  }

  /** To be told of everything that was written, when everybody has their answers; `announce` tells others of it. */
  committed({ updateRuns, updateWorkers }: Pick<Changes, "updateRuns" | "updateWorkers">, announce: () => void): void {
    try {
      const answered = this.#answered
      this.#answered = []
      for (const serving of answered) serving.claimed()
      announce()
      for (const run of updateRuns) this.#holders.get(run.runId)?.runChanged(run)
      for (const worker of updateWorkers) this.#byWorker.get(worker.workerId)?.workerChanged(worker)
    } finally {
      this.#committing = false
      this.#pump()
    }
  }

  /** A serving has room, or reason to ask. */
  woke(serving: Serving): void {
    this.#woken.add(serving)
    if (!this.#committing) this.#pump()
  }

  /** The claim of a serving was answered. */
  answered(serving: Serving): void {
    this.#answered.push(serving)
  }

  hold(runId: string, serving: Serving): void {
    const other = this.#holders.get(runId)
    this.#holders.set(runId, serving)
    if (other !== undefined && other !== serving) other.displaced(runId)
  }

  release(runId: string, serving: Serving): void {
    if (this.#holders.get(runId) === serving) this.#holders.delete(runId)
  }

  remove(serving: Serving): void {
    this.#woken.delete(serving)
    const { workerId } = serving.request
    if (this.#byWorker.get(workerId) === serving) this.#byWorker.delete(workerId)
  }

  #pump(): void {
    for (const serving of this.#woken) {
      this.#woken.delete(serving)
      serving.pump()
    }
  }
}
