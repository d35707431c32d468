/**
 * What runs, steps, leases and timers are, in a few plain maps: an independent statement of the rules, to hold the
 * engine's and the stores' against. It knows one queue and one type, and peers that name their leases.
 */

export type Status = "PENDING" | "RUNNING" | "SLEEPING" | "COMPLETED" | "FAILED" | "CANCELLED"

export interface Attempt {
  readonly stepId: string
  status: "PENDING" | "RUNNING" | "COMPLETED" | "FAILED"
  dueAt?: number
  output?: string
}

export interface Step {
  readonly name: string
  readonly kind: "FUNCTION" | "SLEEP"
  readonly attempts: Array<Attempt>
  /** Its place in the order of ends. */
  sequence?: number
  cancelled: boolean
}

export interface Run {
  readonly runId: string
  readonly externalId: string
  readonly createdAt: number
  status: Status
  lease: number
  dueAt: number | undefined
  expiries: number
  holder: string | undefined
  claimedAt: number
  stopped: boolean
  output: string | undefined
  readonly steps: Map<string, Step>
}

/** What a command is answered with: what counts of it, or the code of the refusal. */
export type Answer = Readonly<Record<string, unknown>> | "NotFound" | "PreconditionFailed" | "Conflict"

export const leaseMillis = 60_000
export const stepPolicy = { maximumAttempts: 3, initialInterval: 100, backoffCoefficient: 2 }
const maximumExpiries = 10
const handOverMillis = 5_000

const hasEnded = ({ status }: Run) => status === "COMPLETED" || status === "FAILED" || status === "CANCELLED"

const latest = (step: Step): Attempt => step.attempts.at(-1)!

export class Model {
  now = 0
  /** In the order in which they were made. */
  readonly runs: Array<Run> = []

  run(runId: string): Run | undefined {
    return this.runs.find((run) => run.runId === runId)
  }

  start(externalId: string, runId: string, ifExists: "use-active" | "reject" | "return-finished"): Answer {
    const earlier = this.runs.findLast((run) => run.externalId === externalId)
    if (earlier !== undefined && ifExists === "reject") return "Conflict"
    if (earlier !== undefined && (!hasEnded(earlier) || ifExists === "return-finished")) {
      return { runId: earlier.runId, alreadyExists: true }
    }
    this.#add(externalId, runId)
    return { runId, alreadyExists: false }
  }

  retry(runId: string, newRunId: string): Answer {
    const run = this.run(runId)
    if (run === undefined) return "NotFound"
    if (!hasEnded(run)) return "PreconditionFailed"
    this.#add(`${run.externalId.replace(/~.*$/, "")}~${newRunId}`, newRunId)
    return { newRunId }
  }

  stop(runId: string, status: "CANCELLED" | "FAILED"): Answer {
    const run = this.run(runId)
    if (run === undefined) return "NotFound"
    if (hasEnded(run)) return "PreconditionFailed"
    this.#end(run, status)
    run.stopped = true
    return { status }
  }

  claim(worker: string, limit: number): Answer {
    const due = this.runs
      .filter((run) => run.dueAt !== undefined && run.dueAt <= this.now)
      .sort((a, b) => a.dueAt! - b.dueAt! || a.createdAt - b.createdAt || (a.runId < b.runId ? -1 : 1))
    const given: Array<string> = []
    for (const run of due) {
      if (given.length === limit) break
      if (run.status === "RUNNING") run.expiries++
      if (run.expiries >= maximumExpiries) {
        this.#end(run, "FAILED")
        continue
      }
      run.status = "RUNNING"
      run.lease++
      run.dueAt = this.now + leaseMillis
      run.claimedAt = this.now
      run.holder = worker
      for (const step of this.#waits(run)) {
        if (step.kind === "SLEEP" && latest(step).dueAt! <= this.now) this.#endStep(run, step, "COMPLETED")
      }
      given.push(`${run.runId} ${run.lease}`)
    }
    return { given }
  }

  heartbeat(worker: string, held: ReadonlyArray<{ readonly runId: string; readonly lease: number }>): Answer {
    const lost: Array<string> = []
    const cancelled: Array<string> = []
    const reached = new Set<Run>()
    for (const { lease, runId } of held) {
      const run = this.run(runId)
      if (run?.status === "RUNNING" && run.lease === lease) {
        run.dueAt = this.now + leaseMillis
        reached.add(run)
      } else if (run?.stopped === true) cancelled.push(runId)
      else lost.push(runId)
    }
    for (const run of this.runs) {
      const isOnItsWay = this.now - run.claimedAt <= handOverMillis
      if (run.status === "RUNNING" && run.holder === worker && !reached.has(run) && !isOnItsWay) this.#release(run)
    }
    return { lost, cancelled }
  }

  begin(
    runId: string,
    lease: number,
    name: string,
    kind: Step["kind"],
    stepId: string,
    sleepMillis: number | undefined
  ): Answer {
    return this.#held(runId, lease, (run) => {
      let step = run.steps.get(name)
      if (step === undefined) {
        step = { name, kind, attempts: [{ stepId, status: "RUNNING" }], cancelled: false }
        run.steps.set(name, step)
      }
      if (step.kind !== kind) return "PreconditionFailed"
      const attempt = latest(step)
      const answer = (execute: boolean) => ({ stepId: attempt.stepId, status: attempt.status, execute })
      if (step.cancelled || attempt.status === "COMPLETED" || attempt.status === "FAILED") return answer(false)
      if (attempt.status === "PENDING") {
        if (attempt.dueAt! > this.now) return answer(false)
        attempt.status = "RUNNING"
        delete attempt.dueAt
        return answer(true)
      }
      if (kind === "FUNCTION") return answer(true)
      if (sleepMillis !== undefined) attempt.dueAt ??= this.now + sleepMillis
      if (attempt.dueAt !== undefined && attempt.dueAt <= this.now) this.#endStep(run, step, "COMPLETED")
      return answer(attempt.status === "RUNNING" && attempt.dueAt === undefined)
    })
  }

  complete(runId: string, lease: number, stepId: string, output: string): Answer {
    return this.#held(runId, lease, (run) => {
      const found = this.#attempt(run, stepId)
      if (found === undefined) return "NotFound"
      const { attempt, step } = found
      if (attempt.status !== "COMPLETED") {
        if (step.cancelled || attempt.status !== "RUNNING") return "PreconditionFailed"
        if (step.kind === "SLEEP" && !(attempt.dueAt !== undefined && attempt.dueAt <= this.now)) {
          return "PreconditionFailed"
        }
        this.#endStep(run, step, "COMPLETED", output)
      }
      return { output: attempt.output }
    })
  }

  fail(runId: string, lease: number, stepId: string, final: boolean, nextStepId: string): Answer {
    return this.#held(runId, lease, (run) => {
      const found = this.#attempt(run, stepId)
      if (found === undefined) return "NotFound"
      const { attempt, step } = found
      if (step.cancelled && attempt === latest(step)) return "PreconditionFailed"
      if (attempt.status === "FAILED") return { retry: attempt !== latest(step) }
      if (attempt.status !== "RUNNING" || step.kind === "SLEEP") return "PreconditionFailed"
      const made = step.attempts.length
      if (final || made >= stepPolicy.maximumAttempts) {
        this.#endStep(run, step, "FAILED")
        return { retry: false }
      }
      attempt.status = "FAILED"
      const delay = stepPolicy.initialInterval * stepPolicy.backoffCoefficient ** (made - 1)
      step.attempts.push({ stepId: nextStepId, status: "PENDING", dueAt: this.now + delay })
      return { retry: true }
    })
  }

  cancelStep(runId: string, lease: number, stepId: string): Answer {
    return this.#held(runId, lease, (run) => {
      const found = this.#attempt(run, stepId)
      if (found === undefined) return "NotFound"
      const attempt = latest(found.step)
      if (attempt.status === "PENDING" || attempt.status === "RUNNING") {
        attempt.status = "FAILED"
        delete attempt.dueAt
      }
      found.step.cancelled = true
      return {}
    })
  }

  suspend(runId: string, lease: number): Answer {
    const run = this.run(runId)
    if (run?.status === "SLEEPING" && run.lease === lease) return { suspended: true }
    return this.#held(runId, lease, (held) => {
      const wait = this.#waits(held)[0]
      if (wait === undefined) return "PreconditionFailed"
      const { dueAt } = latest(wait)
      const suspended = dueAt! > this.now
      if (suspended) {
        held.status = "SLEEPING"
        held.dueAt = dueAt
      }
      return { suspended }
    })
  }

  release(runId: string, lease: number): Answer {
    const run = this.run(runId)
    if (run !== undefined && !hasEnded(run) && run.status !== "RUNNING" && run.lease === lease) return {}
    return this.#held(runId, lease, (held) => {
      this.#release(held)
      return {}
    })
  }

  completeRun(runId: string, lease: number, output: string): Answer {
    const run = this.run(runId)
    if (run?.status === "COMPLETED" && run.lease === lease) return {}
    return this.#held(runId, lease, (held) => {
      held.output = output
      this.#end(held, "COMPLETED")
      return {}
    })
  }

  failRun(runId: string, lease: number): Answer {
    const run = this.run(runId)
    if (run?.status === "FAILED" && !run.stopped && run.lease === lease) return {}
    return this.#held(runId, lease, (held) => {
      this.#end(held, "FAILED")
      return {}
    })
  }

  #add(externalId: string, runId: string): void {
    this.runs.push({
      runId,
      externalId,
      createdAt: this.now,
      status: "PENDING",
      lease: 0,
      dueAt: this.now,
      expiries: 0,
      holder: undefined,
      claimedAt: 0,
      stopped: false,
      output: undefined,
      steps: new Map()
    })
  }

  /** Only who holds the latest lease of a run that is executed may write. */
  #held(runId: string, lease: number, write: (run: Run) => Answer): Answer {
    const run = this.run(runId)
    if (run === undefined) return "NotFound"
    return run.status === "RUNNING" && run.lease === lease ? write(run) : "PreconditionFailed"
  }

  #end(run: Run, status: Status): void {
    run.status = status
    run.dueAt = undefined
  }

  #release(run: Run): void {
    run.status = "PENDING"
    run.dueAt = this.now
  }

  #endStep(run: Run, step: Step, status: "COMPLETED" | "FAILED", output = "null"): void {
    const attempt = latest(step)
    attempt.status = status
    if (status === "COMPLETED") attempt.output = output
    step.sequence = Math.max(0, ...[...run.steps.values()].map(({ sequence }) => sequence ?? 0)) + 1
    run.expiries = 0
  }

  /** Steps that wait for a time, the earliest first. */
  #waits(run: Run): ReadonlyArray<Step> {
    return [...run.steps.values()]
      .filter((step) => {
        const { dueAt, status } = latest(step)
        return !step.cancelled && dueAt !== undefined && (status === "PENDING" || status === "RUNNING")
      })
      .sort((a, b) => latest(a).dueAt! - latest(b).dueAt!)
  }

  #attempt(run: Run, stepId: string): { readonly step: Step; readonly attempt: Attempt } | undefined {
    for (const step of run.steps.values()) {
      const attempt = step.attempts.find((candidate) => candidate.stepId === stepId)
      if (attempt !== undefined) return { step, attempt }
    }
    return undefined
  }
}
