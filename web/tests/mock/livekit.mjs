// A LiveKit server of our own on loopback, for as long as a test runs.
import { spawn } from "node:child_process";
import { createServer } from "node:net";

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

const SECRET = "a-secret-for-tests-that-is-long-enough";

/** Starts `binary`; `undefined` without one. */
export async function startLiveKit(binary) {
  if (!binary) return undefined;
  const [port, udp, tcp] = [await freePort(), await freePort(), await freePort()];
  const config = [
    `port: ${port}`, "bind_addresses: [127.0.0.1]", `rtc: {udp_port: ${udp}, tcp_port: ${tcp}, use_external_ip: false, node_ip: 127.0.0.1, enable_loopback_candidate: true, ips: {includes: [127.0.0.1/32]}, stun_servers: ['127.0.0.1:3478']}`,
    `keys: {testkey: ${SECRET}}`, "logging: {level: error}",
  ].join("\n");
  const child = spawn(binary, ["--config-body", config], { stdio: "ignore" });
  // It does not outlive whoever started it, however that ends.
  process.on("exit", () => child.kill("SIGTERM"));
  for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(1));
  const url = `ws://127.0.0.1:${port}`;
  for (let attempt = 0; ; attempt += 1) {
    const answer = await fetch(`http://127.0.0.1:${port}`, { signal: AbortSignal.timeout(2_000) }).catch(() => undefined);
    if (answer?.ok) break;
    if (attempt > 50 || child.exitCode !== null) throw new Error("livekit-server does not answer");
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return { url, key: "testkey", secret: SECRET, close: () => child.kill("SIGTERM") };
}
