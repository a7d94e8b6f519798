import { defineConfig } from "vitest/config";
import react from "@vitejs/plugin-react";

/** Where `greffier serve` answers while the pages are being written. */
const server = process.env["GREFFIER_URL"] ?? "http://127.0.0.1:8000";

export default defineConfig({
  plugins: [react()],
  build: {
    target: "es2022",
    // Everything is a file of our own origin: the content security policy allows no `data:` scripts or fonts.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 700,
    manifest: true,
  },
  server: {
    host: "127.0.0.1",
    port: 5173,
    proxy: { "/api": server, "/docs": server },
  },
  test: {
    environment: "node",
    // A busy machine is not a fault of the pages.
    testTimeout: 30_000,
    include: ["src/**/*.test.{ts,tsx}"],
  },
});
