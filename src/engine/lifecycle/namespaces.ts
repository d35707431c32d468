/** Namespaces: they are created, or come into being with the first run or worker that names them. */
import { Result } from "effect"
import * as KagziError from "../../KagziError.ts"
import type { NamespaceRecord } from "../../store/Store.ts"
import type { CreateNamespace, UpdateNamespace } from "../Command.ts"
import { type Decision, invalid, notFound, refused } from "./failures.ts"
import type { WorkingSet } from "./WorkingSet.ts"

/** The namespace, made with that id if there is none. */
export const ensure = (set: WorkingSet, namespace: string, id: string, now: number): Decision<NamespaceRecord> => {
  if (namespace === "") return invalid("namespace must not be empty")
  return Result.succeed(
    set.namespace(namespace) ??
      set.putNamespace({
        id,
        namespace,
        displayName: namespace,
        description: "",
        enabled: true,
        createdAt: now,
        updatedAt: now
      })
  )
}

export const createNamespace = (
  set: WorkingSet,
  command: CreateNamespace,
  at: { readonly now: number }
): Decision<NamespaceRecord> => {
  const { description, displayName, namespace, namespaceId } = command
  if (set.namespace(namespace) !== undefined) {
    return Result.fail(
      KagziError.make("Conflict", `There is already a namespace ${namespace}`, {
        subject: "namespace",
        subjectId: namespace
      })
    )
  }
  return Result.map(ensure(set, namespace, namespaceId, at.now), (made) =>
    set.putNamespace({ ...made, description, displayName: displayName === "" ? namespace : displayName })
  )
}

export const updateNamespace = (
  set: WorkingSet,
  command: UpdateNamespace,
  at: { readonly now: number }
): Decision<NamespaceRecord> => {
  const { _tag, namespace, ...given } = command
  const found = set.namespace(namespace)
  return found === undefined
    ? notFound("namespace", namespace)
    : Result.succeed(set.putNamespace({ ...found, ...given, updatedAt: at.now }))
}

/** Refuses what a disabled namespace does not do: start runs and hand out tasks. */
export const requireEnabled = (namespace: NamespaceRecord): Decision<NamespaceRecord> =>
  namespace.enabled ? Result.succeed(namespace) : refused(`Namespace ${namespace.namespace} is disabled`)
