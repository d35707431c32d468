/** Pages of listings, between the domain's data and the messages of the contract. */
import { Effect, Result } from "effect"
import type { KagziError } from "../KagziError.ts"
import * as codec from "./codec.ts"
import type { Page, PageRequest } from "./Protocol.ts"

export const pageRequest = (page: PageRequest) => ({
  pageSize: codec.int32(page.size ?? 0),
  pageToken: page.token ?? "",
  includeTotalCount: page.includeTotal ?? false
})

export const readPage = <A, M>(
  messages: ReadonlyArray<M>,
  read: (message: M) => codec.Read<A>,
  request: PageRequest,
  info: { readonly nextPageToken: string; readonly totalCount: bigint } | undefined
): Effect.Effect<Page<A>, KagziError> =>
  Effect.map(codec.answered(Result.all(messages.map(read))), (items) => ({
    items,
    ...(info === undefined || info.nextPageToken === "" ? {} : { next: info.nextPageToken }),
    ...(info === undefined || request.includeTotal !== true ? {} : { total: Number(info.totalCount) })
  }))
