/** Sits between the SDK and the way to the server, and between a body and its steps, and notes what it sees. */
import { Effect, Option } from "effect"
import type * as KagziError from "../../KagziError.ts"
import { leaseMark } from "../../marks.ts"
import type { BeginStep, Held, Shape as Protocol, WorkerLink } from "../../protocol/Protocol.ts"
import type { Step } from "../../Run.ts"
import type * as Workflow from "../../Workflow.ts"
import { CurrentStep, WorkflowRun } from "../../worker/WorkflowRun.ts"
import type { Failed, Notes, Sighting } from "./Ledger.ts"
import type { Trace } from "./Trace.ts"

const text = (bytes: Uint8Array | undefined): string =>
  bytes === undefined ? "" : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1")

/** What makes two ends of a step the same. */
export const outcomeOf = ({ error, output, status }: Pick<Step, "error" | "output" | "status">): string =>
  JSON.stringify([status, text(output?.data), output?.metadata ?? {}, error ?? null])

/** What makes two ends of a run the same. */
export const resultOf = ({
  error,
  output,
  status
}: {
  readonly status: string
  readonly output?: { readonly data: Uint8Array }
  readonly error?: KagziError.Detail
}): string => JSON.stringify([status, text(output?.data), error ?? null])

/** Whether a step has ended for good. */
export const hasEnded = (step: Step): boolean =>
  step.sequence !== undefined && (step.status === "COMPLETED" || step.status === "FAILED") && !step.cancelled

/** Where a witness sits, with the true time. */
export interface Post {
  readonly name: string
  readonly loop: { readonly now: number }
}

export class Witness {
  readonly #ledger: Notes
  readonly #machine: Post
  readonly #trace: Pick<Trace, "add">
  /** When the beginning of a step was asked for last. */
  readonly #begun = new Map<string, number>()
  /** Attempts that were begun, by their ids. */
  readonly #attempts = new Map<string, Pick<Failed, "runId" | "name" | "attempt" | "policy">>()

  constructor(ledger: Notes, machine: Post, trace: Pick<Trace, "add">) {
    this.#ledger = ledger
    this.#machine = machine
    this.#trace = trace
  }

  get #now(): number {
    return this.#machine.loop.now
  }

  #note(what: string): void {
    this.#trace.add(this.#machine.name, what)
  }

  #saw(step: Step, where: string): Sighting | undefined {
    if (!hasEnded(step)) return undefined
    const { name, runId } = step
    const sighting = {
      runId,
      name,
      outcome: outcomeOf(step),
      order: this.#ledger.next(),
      at: this.#now,
      where: `${this.#machine.name}, ${where}`
    }
    this.#ledger.sightings.push(sighting)
    return sighting
  }

  /** The protocol with everything noted that comes of it. */
  protocol(of: Protocol): Protocol {
    const ledger = this.#ledger
    const stops = <A, E>(scheduleId: string, effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
      Effect.suspend(() => {
        ledger.stopped.push({ scheduleId, at: this.#now })
        return effect
      })
    return {
      ...of,
      start: (request) =>
        Effect.suspend(() => {
          const askedAt = this.#now
          const { externalId, ifExists, namespace } = request
          return Effect.map(of.start(request), (started) => {
            ledger.starts.push({ namespace, externalId, ifExists, askedAt, ackedAt: this.#now, ...started })
            this.#note(`started ${externalId}: ${started.runId}${started.alreadyExists ? ", as before" : ""}`)
            return started
          })
        }),
      awaitRun: (namespace, runId) =>
        Effect.tap(of.awaitRun(namespace, runId), (run) =>
          Effect.sync(() => {
            ledger.results.push({ runId, status: run.status, outcome: resultOf(run), at: this.#now })
            this.#note(`hears of the end of ${runId}: ${run.status}`)
          })
        ),
      retryRun: (namespace, runId) =>
        Effect.tap(of.retryRun(namespace, runId), (made) =>
          Effect.sync(() => ledger.made.push({ runId: made, how: `retry of ${runId}` }))
        ),
      triggerSchedule: (namespace, scheduleId) =>
        Effect.tap(of.triggerSchedule(namespace, scheduleId), (made) =>
          Effect.sync(() => ledger.made.push({ runId: made, how: `trigger of ${scheduleId}` }))
        ),
      createSchedule: (request) =>
        Effect.tap(of.createSchedule(request), ({ cronExpr: cron, enabled, maxCatchup, overlap, scheduleId }) =>
          Effect.sync(() => {
            // others may leave out some of their times
            if (!enabled || maxCatchup >= 0 || overlap !== "allow") return
            ledger.scheduled.push({ scheduleId, cron, at: this.#now })
          })
        ),
      pauseSchedule: (namespace, scheduleId) => stops(scheduleId, of.pauseSchedule(namespace, scheduleId)),
      updateSchedule: (namespace, scheduleId, changes) =>
        stops(scheduleId, of.updateSchedule(namespace, scheduleId, changes)),
      deleteSchedule: (namespace, scheduleId) => stops(scheduleId, of.deleteSchedule(namespace, scheduleId)),
      connect: (options) => Effect.map(of.connect(options), (link) => this.#link(link))
    }
  }

  /** A write that counts when it is acknowledged. */
  #write<A>(
    what: string,
    held: Held,
    effect: Effect.Effect<A, KagziError.KagziError>
  ): Effect.Effect<A, KagziError.KagziError> {
    return Effect.suspend(() => {
      const order = this.#ledger.next()
      const { lease, runId } = held
      const worker = this.#machine.name
      return effect.pipe(
        Effect.tap(() =>
          Effect.sync(() => {
            const ackedOrder = this.#ledger.next()
            this.#ledger.writes.push({ what, runId, lease, order, ackedOrder, worker })
            this.#note(`${what} of ${runId}/${lease} is acknowledged`)
          })
        ),
        Effect.tapError(({ metadata }) =>
          Effect.sync(() => {
            if (metadata[leaseMark] !== undefined) this.#ledger.refused.push({ what, runId, lease, worker })
          })
        )
      )
    })
  }

  #begins(runId: string, name: string): void {
    this.#begun.set(`${runId} ${name}`, this.#ledger.next())
  }

  #began({ attempt, name, runId, stepId }: Step, { retryPolicy: policy }: BeginStep): void {
    this.#attempts.set(stepId, { runId, name, attempt, policy })
  }

  #link(link: WorkerLink): WorkerLink {
    const ledger = this.#ledger
    const ended = (step: Step, where: string): void => {
      const sighting = this.#saw(step, where)
      if (sighting !== undefined) ledger.acknowledged.push(sighting)
    }
    return {
      ...link,
      poll: Effect.tap(link.poll, (task) =>
        Effect.sync(() => {
          if (Option.isNone(task)) return
          const { history, lease, runId } = task.value
          this.#note(`is given ${runId}/${lease}`)
          ledger.claims.push({ runId, lease, known: history.length, order: ledger.next(), worker: this.#machine.name })
          for (const step of history) this.#saw(step, `history under lease ${lease}`)
        })
      ),
      beginStep: (held, step) =>
        Effect.suspend(() => {
          this.#begins(held.runId, step.name)
          if (step.sleep !== undefined) {
            ledger.sleeps.push({ runId: held.runId, name: step.name, at: this.#now, wait: step.sleep })
          }
          return Effect.tap(this.#write(`begin "${step.name}"`, held, link.beginStep(held, step)), (reply) =>
            Effect.sync(() => {
              this.#began(reply.step, step)
              this.#saw(reply.step, `begin under lease ${held.lease}`)
            })
          )
        }),
      beginAhead: (held, step) => {
        this.#begins(held.runId, step.name)
        const begun = link.beginAhead(held, step)
        if (begun !== undefined) this.#began(begun, step)
        return begun
      },
      completeStep: (held, stepId, output) =>
        Effect.tap(this.#write("complete", held, link.completeStep(held, stepId, output)), ({ step }) =>
          Effect.sync(() => ended(step, `completed under lease ${held.lease}`))
        ),
      failStep: (held, stepId, error) =>
        Effect.suspend(() => {
          const attempt = this.#attempts.get(stepId)
          if (attempt !== undefined) ledger.failures.push({ ...attempt, error, at: this.#now })
          return Effect.tap(this.#write("fail", held, link.failStep(held, stepId, error)), ({ step }) =>
            Effect.sync(() => ended(step, `failed under lease ${held.lease}`))
          )
        }),
      cancelStep: (held, stepId) => this.#write("cancel", held, link.cancelStep(held, stepId)),
      suspend: (held) => this.#write("suspend", held, link.suspend(held)),
      completeRun: (held, output) => this.#write("completion", held, link.completeRun(held, output)),
      failRun: (held, error) => this.#write("failure", held, link.failRun(held, error))
    }
  }

  /** The workflow with every execution of its steps noted. */
  workflow<W extends Workflow.Implementation.Any>(workflow: W): W {
    const executes = Effect.withFiber((fiber) => {
      const step = fiber.getRef(CurrentStep)
      if (step === undefined) return Effect.void
      const { attempt, name, runId } = step
      this.#note(`executes "${name}" (${attempt}) of ${runId}`)
      this.#ledger.executions.push({
        runId,
        name,
        attempt,
        begunOrder: this.#begun.get(`${runId} ${name}`) ?? 0,
        order: this.#ledger.next(),
        at: this.#now,
        worker: this.#machine.name
      })
      return Effect.void
    })
    return {
      ...workflow,
      run: (input) =>
        Effect.updateService(workflow.run(input), WorkflowRun, (own) => ({
          ...own,
          step: (spec) => own.step({ ...spec, execute: Effect.andThen(executes, spec.execute) })
        }))
    }
  }
}
