#!/usr/bin/env node
/** Where the process begins: what holds for the loading of all other modules, and then the command line. */
import { enableCompileCache } from "node:module"

// Most of a start goes into compiling the same modules again.
enableCompileCache()

void import("./run.ts")
