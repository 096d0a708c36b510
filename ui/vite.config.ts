import { defineConfig } from "vitest/config";

// Where the daemon listens that the development server passes requests on to.
const daemon = process.env.LEAKWATCH ?? "http://127.0.0.1:7411";

const proxy = {
  target: daemon,
  changeOrigin: true,
  // The daemon refuses requests of pages that it did not serve itself.
  headers: { origin: daemon },
};

export default defineConfig({
  base: "./",
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    target: "es2022",
    outDir: "dist",
    cssCodeSplit: false,
    modulePreload: false,
    reportCompressedSize: false,
    rolldownOptions: {
      output: {
        codeSplitting: false,
        entryFileNames: "leakwatch.js",
        assetFileNames: "leakwatch[extname]",
      },
    },
  },
  server: { proxy: { "/api": proxy, "/pprof": proxy, "/metrics": proxy } },
  test: { environment: "happy-dom", include: ["test/**/*.test.{ts,tsx}"] },
});
