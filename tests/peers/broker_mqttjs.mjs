// MQTT.js as a client over WebSocket: usage: node broker_mqttjs.mjs URL VERSION MODULES [CA]
// Prints "all passed" at the end.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { checks } from "./broker_mqttjs_checks.mjs";

const [url, version, modules, authority] = process.argv.slice(2);
const mqtt = createRequire(modules + "/")("mqtt");
await checks(mqtt, url, Number(version), authority ? { ca: readFileSync(authority) } : {});
console.log("all passed");
