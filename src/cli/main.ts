#!/usr/bin/env node
/** Where the process begins: most of a start is compiling, and so this comes before anything else is loaded. */
import { enableCompileCache } from "node:module"

// Compiled code is kept in the folder for temporary files, or where NODE_COMPILE_CACHE says.
enableCompileCache()

void import("./run.ts").then(({ run }) => run())
