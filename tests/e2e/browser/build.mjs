// Bundles the page into the folder given as first argument: one HTML file, one script.
import { copyFile, mkdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { join } from "node:path";
import { build } from "esbuild";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const target = process.argv[2];
if (!target) throw new Error("usage: node build.mjs DIRECTORY");

await mkdir(target, { recursive: true });
await build({
    entryPoints: [here("src/page.js")],
    outfile: join(target, "page.js"),
    bundle: true,
    format: "iife",
    target: "chrome110",
    define: { global: "window" },
    // Rooms with ghosts are not encrypted, so the SDK never loads its 10 MB of encryption.
    external: ["@matrix-org/matrix-sdk-crypto-wasm"],
    logLevel: "warning",
});
await copyFile(here("src/index.html"), join(target, "index.html"));
