/** Lets pages of any origin call the server, as the contract has it; what they may send or read is listed by protocol. */
import type { ServerResponse } from "node:http"
import { cors } from "@connectrpc/connect"
import { leaseHeader } from "../protocol/extensions.ts"
import type { Request, Response } from "./listener.ts"

const preflightSeconds = 7_200

const allowedHeaders = [...cors.allowedHeaders, leaseHeader, "traceparent", "tracestate"].join(", ")

const exposedHeaders = cors.exposedHeaders.join(", ")

/** Adds what a browser wants to see of every response, and answers a preflight request: then true. */
export const answeredByCors = (request: Request, response: Response): boolean => {
  if (request.headers.origin === undefined) return false
  response.setHeader("access-control-allow-origin", "*")
  if (request.method !== "OPTIONS") {
    response.setHeader("access-control-expose-headers", exposedHeaders)
    return false
  }
  response.setHeader("access-control-allow-methods", cors.allowedMethods.join(", "))
  response.setHeader(
    "access-control-allow-headers",
    request.headers["access-control-request-headers"] ?? allowedHeaders
  )
  response.setHeader("access-control-max-age", `${preflightSeconds}`)
  // the methods of the other kind of response are the same
  ;(response as ServerResponse).writeHead(204).end()
  return true
}
