// MQTT.js as a client over WebSocket: usage: node broker_mqttjs.mjs URL VERSION MODULES [CA]
// Every QoS, retained messages, a payload of many frames, a will. Prints "all passed" at the end.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { strict as assert } from "node:assert";

const [url, version, modules, authority] = process.argv.slice(2);
const mqtt = createRequire(modules + "/")("mqtt");
const protocolVersion = Number(version);
const common = {
  protocolVersion,
  reconnectPeriod: 0,
  // MQTT 3.1 has a name of its own.
  ...(protocolVersion === 3 ? { protocolId: "MQIsdp" } : {}),
  ...(authority ? { ca: readFileSync(authority) } : {}),
};

function next(client) {
  return new Promise((resolve) => client.once("message", (topic, payload, packet) => resolve({ topic, payload, packet })));
}

const client = await mqtt.connectAsync(url, { ...common, clientId: "js-1" });
for (const qos of [0, 1, 2]) {
  await client.subscribeAsync(`js/${qos}/+`, { qos });
  const arrives = next(client);
  await client.publishAsync(`js/${qos}/a`, `hello ${qos}`, { qos });
  const { topic, payload, packet } = await arrives;
  assert.equal(topic, `js/${qos}/a`);
  assert.equal(payload.toString(), `hello ${qos}`);
  assert.equal(packet.qos, qos);
}

const large = Buffer.alloc(900_000, "0123456789");
await client.subscribeAsync("js/large", { qos: 1 });
const arrives = next(client);
await client.publishAsync("js/large", large, { qos: 1 });
assert.ok((await arrives).payload.equals(large));

await client.publishAsync("js/kept", "kept", { qos: 1, retain: true });
const watcher = await mqtt.connectAsync(url, { ...common, clientId: "js-2" });
const kept = next(watcher);
await watcher.subscribeAsync("js/kept", { qos: 1 });
assert.equal((await kept).packet.retain, true);

const dying = await mqtt.connectAsync(url, {
  ...common,
  clientId: "js-3",
  will: { topic: "js/will", payload: Buffer.from("gone"), qos: 1, retain: false },
});
await watcher.subscribeAsync("js/will", { qos: 1 });
const will = next(watcher);
dying.stream.destroy();
assert.equal((await will).payload.toString(), "gone");

await client.endAsync();
await watcher.endAsync();
console.log("all passed");
