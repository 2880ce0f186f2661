// What MQTT.js must find at a broker, in Node as in a browser: every QoS, retained messages, a payload of many
// frames, a session that is resumed, a will, and the properties of version 5.
// Throws where something is amiss; waits for what must come, and its caller limits the time.

const text = (payload) => new TextDecoder().decode(payload);

function same(found, expected, what) {
  if (JSON.stringify(found) !== JSON.stringify(expected)) {
    throw new Error(`${what}: ${JSON.stringify(found)}, expected ${JSON.stringify(expected)}`);
  }
}

// The last argument: a connection that is refused fails, also where the browser says no more than that it is closed.
const connect = (mqtt, url, options) => mqtt.connectAsync(url, options, false);

function next(client) {
  return new Promise((resolve) => client.once("message", (topic, payload, packet) => resolve({ topic, payload, packet })));
}

async function everyQos(mqtt, url, common) {
  const client = await connect(mqtt, url, { ...common, clientId: "js-1" });
  for (const qos of [0, 1, 2]) {
    await client.subscribeAsync(`js/${qos}/+`, { qos });
    const arrives = next(client);
    await client.publishAsync(`js/${qos}/a`, `hello ${qos}`, { qos });
    const { topic, payload, packet } = await arrives;
    same([topic, text(payload), packet.qos], [`js/${qos}/a`, `hello ${qos}`, qos], "message");
  }
  const large = "0123456789".repeat(90_000);
  await client.subscribeAsync("js/large", { qos: 1 });
  const arrives = next(client);
  await client.publishAsync("js/large", large, { qos: 1 });
  same(text((await arrives).payload) === large, true, "large message is what was sent");
  await client.endAsync();
}

async function retained(mqtt, url, common) {
  const client = await connect(mqtt, url, { ...common, clientId: "js-1" });
  await client.publishAsync("js/kept", "kept", { qos: 1, retain: true });
  const watcher = await connect(mqtt, url, { ...common, clientId: "js-2" });
  const kept = next(watcher);
  await watcher.subscribeAsync("js/kept", { qos: 1 });
  const { payload, packet } = await kept;
  same([text(payload), packet.retain], ["kept", true], "retained message");
  await client.publishAsync("js/kept", "", { qos: 1, retain: true });
  await client.endAsync();
  await watcher.endAsync();
}

async function resumed(mqtt, url, common) {
  const keeping = { ...common, clientId: "js-keeper", clean: false, properties: { sessionExpiryInterval: 600 } };
  const first = await connect(mqtt, url, keeping);
  await first.subscribeAsync("js/away", { qos: 2 });
  await first.endAsync();
  const other = await connect(mqtt, url, { ...common, clientId: "js-1" });
  for (const payload of ["1", "2", "3"]) await other.publishAsync("js/away", payload, { qos: 2 });
  await other.endAsync();
  // What waits comes at once, maybe before the promise of a connection is kept.
  const again = mqtt.connect(url, keeping);
  const got = [];
  const all = new Promise((resolve) => again.on("message", (_, payload) => got.push(text(payload)) === 3 && resolve()));
  await all;
  same(got, ["1", "2", "3"], "messages that waited");
  await again.endAsync();
  await (await connect(mqtt, url, { ...common, clientId: "js-keeper" })).endAsync();
}

async function will(mqtt, url, common) {
  const watcher = await connect(mqtt, url, { ...common, clientId: "js-2" });
  await watcher.subscribeAsync("js/will", { qos: 1 });
  const gone = next(watcher);
  const dying = await connect(mqtt, url, {
    ...common,
    clientId: "js-3",
    will: { topic: "js/will", payload: "gone", qos: 1, retain: false },
  });
  dying.stream.destroy();
  same(text((await gone).payload), "gone", "will");
  await watcher.endAsync();
}

async function properties(mqtt, url, common) {
  const client = await connect(mqtt, url, { ...common, clientId: "js-1" });
  await client.subscribeAsync("js/p", { qos: 1, properties: { subscriptionIdentifier: 300 } });
  const arrives = next(client);
  const sent = { contentType: "text/plain", responseTopic: "answers", userProperties: { k: ["1", "2"] } };
  await client.publishAsync("js/p", "x", { qos: 1, properties: sent });
  const found = (await arrives).packet.properties;
  same([found.contentType, found.responseTopic, found.userProperties.k], ["text/plain", "answers", ["1", "2"]], "properties");
  same(found.subscriptionIdentifier, 300, "subscription identifier");
  await client.endAsync();
}

export async function checks(mqtt, url, version, options) {
  const common = {
    protocolVersion: version,
    reconnectPeriod: 0,
    // MQTT 3.1 has a name of its own.
    ...(version === 3 ? { protocolId: "MQIsdp" } : {}),
    ...options,
  };
  for (const check of [everyQos, retained, resumed, will]) await check(mqtt, url, common);
  if (version === 5) await properties(mqtt, url, common);
}
