/**
 * Calls over HTTP: gRPC, gRPC-Web, Connect and JSON.
 *
 * The protocols are those of connect-es. Responses are written here, so that every error is complete and a handler
 * learns when its answer could not be delivered.
 */
import { ServerResponse } from "node:http"
import {
  Code,
  ConnectError,
  type ConnectRouterOptions,
  createConnectRouter,
  createContextKey,
  createContextValues,
  type HandlerContext
} from "@connectrpc/connect"
import {
  createAsyncIterable,
  readAllBytes,
  type UniversalHandler,
  type UniversalServerResponse
} from "@connectrpc/connect/protocol"
import { compressionBrotli, compressionGzip, universalRequestFromNodeRequest } from "@connectrpc/connect-node"
import { Cause, Effect, Exit, type Fiber, FiberSet, Result, type Scope } from "effect"
import { SessionService } from "../../gen/kagzi/v1/session_pb.ts"
import * as KagziError from "../KagziError.ts"
import { refusal, toHandlerError } from "../protocol/errors.ts"
import { answeredByCors } from "./cors.ts"
import { dispatch } from "./dispatch.ts"
import { type Answer, complete, maxMessageBytes, wireProtocol } from "./errorEncoding.ts"
import type { Entry, Needs } from "./Handler.ts"
import type { Request, Response } from "./listener.ts"
import { contentType, metricsPath, scrape } from "./metrics.ts"
import { readBody } from "./readBody.ts"
import { makeSessionHandler, type SessionCall } from "./session/handler.ts"
import { type StandardEntry, serveStandard, standardHandlers } from "./standard.ts"

interface Delivery {
  undo: Effect.Effect<void, never, Needs>
  succeeded: boolean
}

const newDelivery = (): Delivery => ({ undo: Effect.void, succeeded: false })

const Delivery = createContextKey<Delivery>(newDelivery())

type Run = <A, E>(effect: Effect.Effect<A, E, Needs>, options?: Effect.RunOptions) => Fiber.Fiber<A, E>

const exitOf = <A, E>(fiber: Fiber.Fiber<A, E>): Promise<Exit.Exit<A, E>> =>
  new Promise((resolve) => fiber.addObserver(resolve))

/** What a caller is told whose call was cut short: its own deadline has passed, or the server goes down. */
const cutShort = (context: HandlerContext): KagziError.Detail => {
  const reason: unknown = context.signal.reason
  return refusal(
    reason instanceof ConnectError && reason.code === Code.DeadlineExceeded
      ? new KagziError.Timeout({ message: "The deadline of the call has passed" })
      : new KagziError.Unavailable({ message: "The call was cut short" })
  )
}

const options: ConnectRouterOptions = {
  acceptCompression: [compressionGzip, compressionBrotli],
  readMaxBytes: maxMessageBytes,
  // compressed requests are understood; responses are sent as they are, because their cost is time and not bytes
  compressMinBytes: 0xff_ff_ff_ff
}

const implemented = (
  entries: ReadonlyArray<Entry>,
  draining: Effect.Effect<void>,
  run: Run
): ReadonlyMap<string, UniversalHandler> => {
  const router = createConnectRouter(options)
  for (const entry of entries) {
    router.rpc(entry.method, (request, context: HandlerContext) => {
      const delivery = context.values.get(Delivery)
      const call = {
        header: (name: string) => context.requestHeader.get(name),
        draining,
        streams: true,
        ifUndelivered: (undo: Delivery["undo"]) => {
          delivery.undo = undo
        }
      }
      return exitOf(run(dispatch(entry, request, call), { signal: context.signal })).then((exit) => {
        if (Exit.isSuccess(exit)) {
          delivery.succeeded = true
          return exit.value
        }
        const detail = Result.getOrUndefined(Cause.findError(exit.cause)) ?? cutShort(context)
        return Promise.reject(toHandlerError(detail, context))
      })
    })
  }
  return new Map(router.handlers.map((handler) => [handler.requestPath, handler]))
}

/** Refuses whatever it is asked, in the protocol of the caller and without reading the message. */
const unimplemented = (entry: Entry): UniversalHandler => {
  const router = createConnectRouter({
    ...options,
    requestGate: (context) =>
      Promise.reject(
        new ConnectError(`${new URL(context.url).pathname.slice(1)} is not implemented`, Code.Unimplemented)
      )
  })
  router.rpc(entry.method, () => Promise.reject(new ConnectError("", Code.Unimplemented)))
  return router.handlers[0] as UniversalHandler
}

const sessionPath = `/${SessionService.typeName}/${SessionService.method.openSession.name}`

/** Streams both ways need HTTP/2; their messages are written as bytes. */
const isSession = (call: { readonly request: Request; readonly response: Response }): call is SessionCall =>
  call.request.httpVersionMajor === 2 &&
  /^application\/grpc(\+proto)?($|;)/.test(call.request.headers["content-type"] ?? "")

const rpcContent = /^application\/(grpc|grpc-web|json|proto|connect\+json|connect\+proto)($|[+; ])/

/** Both kinds of response have the methods of the one, with overloads that TypeScript can't unite. */
const sinkOf = (response: Response) => response as ServerResponse

const plain = (response: Response, status: number, text: string, type = "text/plain; charset=utf-8"): void => {
  sinkOf(response).writeHead(status, { "content-type": type }).end(text)
}

/** Writes the answer. True when it went out, as far as can be known here. */
const write = (response: Response, answer: Answer): Effect.Effect<boolean> =>
  Effect.callback((resume) => {
    const http1 = response instanceof ServerResponse
    const gone = http1 ? response.destroyed : response.stream.destroyed
    if (gone) {
      resume(Effect.succeed(false))
      return
    }
    if (http1) {
      response.once("finish", () => resume(Effect.succeed(true)))
      response.once("close", () => resume(Effect.succeed(response.writableFinished)))
    } else {
      const { stream } = response
      stream.once("close", () => resume(Effect.succeed(stream.rstCode === 0 && stream.writableFinished)))
    }
    response.once("error", () => resume(Effect.succeed(false)))
    if (!http1 && answer.body.byteLength === 0 && answer.trailer === undefined) {
      // In one frame that also ends the stream: gRPC clients take headers alone for the status only then.
      response.stream.respond({ ":status": answer.status, ...Object.fromEntries(answer.header) }, { endStream: true })
      return
    }
    const sink = sinkOf(response)
    sink.writeHead(answer.status, Object.fromEntries(answer.header))
    if (answer.body.byteLength > 0) sink.write(answer.body)
    if (answer.trailer !== undefined) sink.addTrailers(Object.fromEntries(answer.trailer))
    sink.end()
  })

const whole = ({ body, header = new Headers(), status, trailer }: UniversalServerResponse): Promise<Answer> =>
  (body === undefined ? Promise.resolve(new Uint8Array(0)) : readAllBytes(body, 0xff_ff_ff_ff)).then((bytes) => ({
    status,
    header,
    body: bytes,
    // read after the body, with which it is completed
    ...(trailer === undefined ? {} : { trailer })
  }))

/** A stream that is answered to the end is over, even if its caller goes on talking. */
const endWithAnswer = (response: Response): void => {
  if (response instanceof ServerResponse) return
  const { stream } = response
  // the trailers are the last of an answer; whoever sends them listens for the same event, and was there before
  stream.once("wantTrailers", () => setImmediate(() => stream.close()))
}

/** Answers HTTP requests with the handlers until the scope closes. */
export const makeRequestHandler = Effect.fnUntraced(function* (
  entries: ReadonlyArray<Entry>,
  draining: Effect.Effect<void>,
  standard: ReadonlyArray<StandardEntry> = []
): Effect.fn.Return<(request: Request, response: Response) => void, never, Needs | Scope.Scope> {
  const fibers = yield* FiberSet.make<unknown, unknown>()
  const run: Run = yield* FiberSet.runtime(fibers)<Needs>()
  const handlers = implemented(entries, draining, run)
  const standards = standardHandlers(standard, draining, yield* Effect.context<Needs>())
  const sessions = yield* makeSessionHandler(draining, run)
  const unknown = entries[0] === undefined ? undefined : unimplemented(entries[0])

  const serve = Effect.fnUntraced(function* (
    handler: UniversalHandler,
    request: Request,
    response: Response,
    delivery: Delivery
  ) {
    const values = createContextValues().set(Delivery, delivery)
    const universal = yield* Effect.try(() => universalRequestFromNodeRequest(request, response, undefined, values))
    const body = yield* readBody(request)
    if (body === undefined) return false
    const answer = yield* Effect.tryPromise(() =>
      handler({ ...universal, body: createAsyncIterable([body]) }).then(whole)
    )
    const delivered = yield* write(response, complete(wireProtocol(request.headers["content-type"]), answer))
    return delivered && delivery.succeeded
  })

  return (request, response) => {
    // a broken connection shows in what becomes of the response
    const streams: ReadonlyArray<NodeJS.EventEmitter> = [request, response]
    for (const stream of streams) stream.on("error", () => {})
    if (answeredByCors(request, response)) return
    const path = (request.url ?? "").split("?", 1)[0] ?? ""
    if (path === metricsPath && request.method === "GET") {
      run(Effect.map(scrape, (text) => plain(response, 200, text, contentType)))
      return
    }
    const failed = Effect.catchCause((cause: Cause.Cause<unknown>) =>
      Effect.andThen(
        Effect.logError("A request could not be answered", cause),
        Effect.sync(() => response.destroy())
      )
    )
    const call = { request, response }
    if (path === sessionPath && isSession(call)) {
      endWithAnswer(response)
      sessions(call)
      return
    }
    const other = standards.get(path)
    if (other !== undefined) {
      endWithAnswer(response)
      run(failed(serveStandard(other, request, response)))
      return
    }
    const handler = handlers.get(path) ?? (rpcContent.test(request.headers["content-type"] ?? "") ? unknown : undefined)
    if (handler === undefined) return plain(response, 404, "Not found\n")
    const delivery = newDelivery()
    run(
      serve(handler, request, response, delivery).pipe(
        Effect.onExit((exit) => (Exit.isSuccess(exit) && exit.value ? Effect.void : delivery.undo)),
        failed
      )
    )
  }
})
