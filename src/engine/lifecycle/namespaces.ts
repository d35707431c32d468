/** Namespaces come into being with the first run or worker that names them. */
import { Result } from "effect"
import type { NamespaceRecord } from "../../store/Store.ts"
import { type Decision, invalid, refused } from "./failures.ts"
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

/** Refuses what a disabled namespace does not do: start runs and hand out tasks. */
export const requireEnabled = (namespace: NamespaceRecord): Decision<NamespaceRecord> =>
  namespace.enabled ? Result.succeed(namespace) : refused(`Namespace ${namespace.namespace} is disabled`)
