/**
 * The trace of a run, and what its log lines say of it.
 *
 * One trace holds all of a run, over days and processes: every span descends from the one that started the run, whose
 * ids are stored beside the run's input. A span is exported when it ends, and one that is open is lost with its process,
 * so none that others descend from is left open longer than it must: the span of an activation ends as soon as the worker
 * has taken the run, and the span of the run as a whole is made when the run has ended.
 */
import { Cause, Clock, Context, Effect, Exit, Fiber, Logger, Option, References, Tracer } from "effect"
import * as KagziError from "../KagziError.ts"
import type { Task } from "../protocol/Protocol.ts"
import type { Payload, Run, Step } from "../Run.ts"
import * as TraceContext from "../TraceContext.ts"
import * as Branch from "./Branch.ts"
import type { StepInfo } from "./WorkflowRun.ts"

/** What all spans and log lines of a run have in common. */
export interface RunTrace {
  readonly runId: string
  readonly root: Tracer.ExternalSpan
  readonly workflowType: string
  readonly attributes: Readonly<Record<string, unknown>>
  readonly annotations: Readonly<Record<string, unknown>>
}

export const ofRun = (run: Run): RunTrace => {
  const root = TraceContext.ofRun(run)
  const attributes = { run_id: run.runId, workflow_type: run.workflowType, namespace: run.namespace }
  return {
    runId: run.runId,
    root,
    workflowType: run.workflowType,
    attributes,
    annotations: { correlation_id: TraceContext.correlationOf(run), trace_id: root.traceId, ...attributes }
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Spans
// ---------------------------------------------------------------------------------------------------------------------

/** Its ids alone. An open span knows those that it links to, and a chain of those would grow with every activation. */
const idsOf = ({ sampled, spanId, traceId }: Tracer.AnySpan): Tracer.ExternalSpan =>
  Tracer.externalSpan({ traceId, spanId, sampled })

const linkTo = (span: Tracer.AnySpan | undefined): ReadonlyArray<Tracer.SpanLink> =>
  span === undefined ? [] : [{ span, attributes: {} }]

/** The activation that began the latest of the steps on record that tell. */
const recordedActivation = (history: ReadonlyArray<Step>): Tracer.ExternalSpan | undefined => {
  const marked = history.findLast(({ input }) => input.metadata[TraceContext.traceparentHeader] !== undefined)
  return TraceContext.parse(marked?.input.metadata[TraceContext.traceparentHeader])
}

/** Puts the activation beside the input of a step that it begins, so that a later one can link to it. */
export const marked = <A extends { readonly input: Payload }>(begin: A, activation: Tracer.AnySpan): A => {
  const text = TraceContext.format(activation)
  return text === undefined
    ? begin
    : {
        ...begin,
        input: { ...begin.input, metadata: { ...begin.input.metadata, [TraceContext.traceparentHeader]: text } }
      }
}

/**
 * The span of one activation, which is over when this succeeds. It is the parent of what the worker does with the run
 * from now on, and links to the activation before it: the given one, else the one on record.
 */
export const activation = Effect.fnUntraced(function* (
  { attributes, root, workflowType }: RunTrace,
  { history, lease }: Task,
  previous: Tracer.AnySpan | undefined
) {
  const span = yield* Effect.makeSpan(`Workflow ${workflowType}`, {
    parent: root,
    kind: "consumer",
    links: linkTo(previous === undefined ? recordedActivation(history) : idsOf(previous)),
    attributes: { ...attributes, lease }
  })
  span.end(yield* Clock.currentTimeNanos, Exit.void)
  return span
})

/**
 * The span of one attempt of a step, to be ended with `endStep`. It links to the one that the body has opened around the
 * step: `caller` is what the body runs in there, and `first` what it began in.
 */
export const step = (
  { attributes }: RunTrace,
  spans: {
    readonly caller: Context.Context<never> | undefined
    readonly first: Tracer.AnySpan
    readonly present: Tracer.AnySpan
  },
  { attempt, name }: StepInfo
) => {
  const around = spans.caller === undefined ? spans.first : Context.getOrUndefined(spans.caller, Tracer.ParentSpan)
  return Effect.makeSpan(`Step ${name}`, {
    parent: spans.present,
    links: linkTo(around === spans.first ? undefined : around),
    attributes: { ...attributes, step: name, attempt }
  })
}

/** Failures of steps are plain data; exporters understand errors. */
const readable = (exit: Exit.Exit<Payload, KagziError.Detail>): Exit.Exit<unknown, unknown> =>
  Exit.isSuccess(exit) ? exit : Exit.failCause(Cause.map(exit.cause, KagziError.fromDetail))

export const endStep = (span: Tracer.Span, now: bigint, exit: Exit.Exit<Payload, KagziError.Detail>): void =>
  span.end(now, readable(exit))

/** A span whose whole time, in milliseconds since the epoch, is past. */
const past = (
  context: Context.Context<never>,
  parent: Tracer.AnySpan,
  name: string,
  attributes: Readonly<Record<string, unknown>>,
  time: { readonly from: number; readonly to: number }
): void => {
  const tracer = Context.get(context, Tracer.Tracer)
  // Those of the native tracer go nowhere, and the span of the parent is none where tracing is off.
  if (tracer === Tracer.nativeTracer) return
  if (!parent.sampled || TraceContext.format(parent) === undefined) return
  const span = tracer.span({
    name,
    parent: Option.some(parent),
    annotations: Context.empty(),
    links: [],
    startTime: nanos(time.from),
    kind: "internal",
    root: false,
    sampled: true
  })
  for (const [key, value] of Object.entries(attributes)) span.attribute(key, value)
  span.end(nanos(Math.max(time.from, time.to)), Exit.void)
}

const nanos = (millis: number) => BigInt(Math.round(millis)) * 1_000_000n

/** The span of a sleep that ended while the run was held; what ended earlier has had its span. */
export const sleep = (
  context: Context.Context<never>,
  { attributes }: RunTrace,
  parent: Tracer.AnySpan,
  { finishedAt, kind, name, startedAt }: Step,
  claimedAt: number
): void => {
  if (kind !== "SLEEP" || startedAt === undefined || finishedAt === undefined || finishedAt < claimedAt) return
  past(context, parent, `Sleep ${name}`, { ...attributes, step: name }, { from: startedAt, to: finishedAt })
}

/** The span of a run that this worker has brought to its end, from its start on. */
export const run = (
  context: Context.Context<never>,
  { attributes, workflowType }: RunTrace,
  parent: Tracer.AnySpan,
  { createdAt, outcome, now }: { readonly createdAt: number; readonly outcome: string; readonly now: number }
): void => past(context, parent, `Run ${workflowType}`, { ...attributes, outcome }, { from: createdAt, to: now })

// ---------------------------------------------------------------------------------------------------------------------
// Contexts
// ---------------------------------------------------------------------------------------------------------------------

/** A context whose log lines carry these annotations beside those it has. */
const annotated = <R>(context: Context.Context<R>, annotations: Readonly<Record<string, unknown>>) =>
  Context.add(context, References.CurrentLogAnnotations, {
    ...Context.get(context, References.CurrentLogAnnotations),
    ...annotations
  })

/** What a run's own context is for the code of its steps: their log lines say which run they belong to. */
export const ofSteps = (context: Context.Context<never>, { annotations }: RunTrace): Context.Context<never> =>
  annotated(context, annotations)

/** What a body runs in: its spans descend from its first activation. */
export const inBody = (
  context: Context.Context<never>,
  { annotations }: RunTrace,
  activation: Tracer.AnySpan,
  tracer: Tracer.Tracer | undefined
): Context.Context<never> => {
  const own = annotated(Context.add(context, Tracer.ParentSpan, activation), annotations)
  return tracer === undefined ? own : Context.add(own, Tracer.Tracer, tracer)
}

/** What one attempt of a step runs in. */
export const inStep = (
  context: Context.Context<never>,
  span: Tracer.Span,
  { attempt, name }: StepInfo
): Context.Context<never> => annotated(Context.add(context, Tracer.ParentSpan, span), { step: name, attempt })

/**
 * A context whose loggers leave out what a body says while it does again what was recorded before. The lines of bodies
 * have the real time, not the run's.
 */
export const withoutRepeats = (context: Context.Context<never>): Context.Context<never> => {
  const loggers = Context.get(context, Logger.CurrentLoggers)
  const clock = Context.get(context, Clock.Clock)
  const logger = Logger.make<unknown, void>((options) => {
    const branch = options.fiber.getRef(Branch.CurrentBranch)
    if (branch !== undefined && Branch.isBehind(branch)) return
    const line = branch === undefined ? options : { ...options, date: new Date(clock.currentTimeMillisUnsafe()) }
    for (const other of loggers) other.log(line)
  })
  return Context.add(context, Logger.CurrentLoggers, new Set([logger]))
}

/**
 * The tracer of a body: its spans have the run's time. One that ends while the body is behind has been exported by an
 * earlier pass. As one that is open is lost with the process, none is a parent: all descend from the activation, and
 * link to the one around them. None where spans go nowhere.
 */
export const ofBody = (
  context: Context.Context<never>,
  activation: () => Tracer.AnySpan
): Tracer.Tracer | undefined => {
  const base = Context.get(context, Tracer.Tracer)
  if (base === Tracer.nativeTracer) return undefined
  const own = new WeakSet<Tracer.AnySpan>()
  return {
    ...(base.context === undefined ? {} : { context: base.context.bind(base) }),
    span: (options) => {
      const branch = Fiber.getCurrent()?.getRef(Branch.CurrentBranch)
      if (branch === undefined) return base.span(options)
      const around = Option.getOrUndefined(options.parent)
      const span =
        around === undefined || !own.has(around)
          ? base.span(options)
          : base.span({ ...options, parent: Option.some(activation()), links: [...options.links, ...linkTo(around)] })
      own.add(span)
      const end = span.end.bind(span)
      span.end = (time, exit) => {
        if (!Branch.isBehind(branch)) end(time, exit)
      }
      return span
    }
  }
}

/** The worker's own context, in which no span is open: what it does for a run belongs to the run's trace. */
export const rootless = (context: Context.Context<never>): Context.Context<never> =>
  Context.omit(Tracer.ParentSpan)(context)

/** The log line of an attempt's start. */
export const executing = Effect.logDebug("Executing step")
