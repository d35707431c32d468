/** What a worker tells of the machine it runs on. */
import { hostname as osHostname } from "node:os"
import { pid as processId } from "node:process"

export const hostname: () => string = osHostname
export const pid: number = processId
