/** Namespaces: made, described, switched on and off. */
import { Effect } from "effect"
import { NamespaceService } from "../../../gen/kagzi/v1/namespace_pb.ts"
import type { UpdateNamespace } from "../../engine/Command.ts"
import { Engine } from "../../engine/Engine.ts"
import { namespace as namespaceMessage } from "../../protocol/codecAdmin.ts"
import { nonEmpty, storable } from "../checks.ts"
import { entry } from "../Handler.ts"
import * as Pages from "../pages.ts"

const methods = NamespaceService.method

const create = entry(
  methods.createNamespace,
  Effect.fnUntraced(function* (request) {
    const engine = yield* Engine
    const made = yield* engine.execute({
      _tag: "CreateNamespace",
      namespaceId: yield* engine.newId,
      namespace: yield* nonEmpty(request.namespace, "namespace"),
      displayName: yield* storable(request.displayName, "display_name"),
      description: (yield* storable(request.description, "description")) ?? ""
    })
    return { namespace: namespaceMessage(made) }
  })
)

const get = entry(
  methods.getNamespace,
  Effect.fnUntraced(function* (request) {
    const namespace = yield* nonEmpty(request.namespace, "namespace")
    return { namespace: namespaceMessage(yield* (yield* Engine).getNamespace(namespace)) }
  })
)

const sizes: Pages.Sizes = { standard: 20, max: 100 }

const list = entry(
  methods.listNamespaces,
  Effect.fnUntraced(function* (request) {
    const engine = yield* Engine
    const page = yield* Pages.asked("namespaces", request.page, sizes)
    const { info, items } = yield* Pages.readSized(
      "namespaces",
      page,
      (part) => engine.listNamespaces(part),
      ({ namespace }) => Pages.named(namespace),
      ({ description, displayName, namespace }) =>
        4 * (namespace.length + displayName.length + description.length) + 128
    )
    return { namespaces: items.map(namespaceMessage), page: info }
  })
)

const change = Effect.fnUntraced(function* (
  request: { readonly namespace: string },
  fields: Omit<UpdateNamespace, "_tag" | "namespace">
) {
  const namespace = yield* nonEmpty(request.namespace, "namespace")
  const changed = yield* (yield* Engine).execute({ _tag: "UpdateNamespace", namespace, ...fields })
  return { namespace: namespaceMessage(changed) }
})

const update = entry(
  methods.updateNamespace,
  Effect.fnUntraced(function* (request) {
    const displayName = yield* storable(request.displayName, "display_name")
    const description = yield* storable(request.description, "description")
    return yield* change(request, {
      ...(displayName === undefined ? {} : { displayName }),
      ...(description === undefined ? {} : { description })
    })
  })
)

const enable = entry(methods.enableNamespace, (request) => change(request, { enabled: true }))

const disable = entry(methods.disableNamespace, (request) => change(request, { enabled: false }))

export const namespaceService = [create, get, list, update, enable, disable]
