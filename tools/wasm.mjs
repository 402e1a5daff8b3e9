// Run unit tests on CPython 3.14 in WebAssembly; tools/wasm.sh calls this.
//
//     node tools/wasm.mjs <folder with node_modules and wheels> <argument of pytest>...
import { readFileSync, readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const folder = resolve(process.argv[2]);
const pyodidePath = join(folder, "node_modules", "pyodide", "pyodide.mjs");
const { loadPyodide } = await import(pathToFileURL(pyodidePath));
const python = await loadPyodide();
for (const name of readdirSync(join(folder, "wheels")).filter((name) => name.endsWith(".whl"))) {
  const bytes = new Uint8Array(readFileSync(join(folder, "wheels", name)));
  python.unpackArchive(bytes, "wheel", { extractDir: "/wheels" });
}
python.FS.mkdir("/lembro");
python.mountNodeFS("/lembro", process.cwd());
python.globals.set("arguments", python.toPy(process.argv.slice(3)));
process.exitCode = python.runPython(`
import mmap, os, sys
mmap.PAGESIZE = 4096  # not 64 KiB, of which the small stores of the tests have few
os.chdir("/lembro")
sys.path[:0] = ["/lembro/src", "/lembro", "/wheels"]
sys.dont_write_bytecode = True
import pytest
print("wasm: CPython", sys.version.split()[0], "on", sys.platform)
int(pytest.main(arguments))
`);
