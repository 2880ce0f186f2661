// The page's frame: navigation, header, status bar; hands events to the views.

import { attribute, h, memory, text } from "./dom.js";
import { clockText, count, rate, spanText } from "./format.js";
import { AlarmsView, isActive, isOpen } from "./alarms.js";
import { AuditView } from "./audit.js";
import { BridgesView } from "./bridges.js";
import { BrokerView } from "./broker.js";
import { DevicesView } from "./devices.js";
import { LiveView } from "./live.js";
import { openStream } from "./stream.js";

const element = (id) => document.getElementById(id);
const views = {
  live: new LiveView(element("view-live")),
  devices: new DevicesView(element("view-devices")),
  alarms: new AlarmsView(element("view-alarms"), (topic) => {
    location.hash = "live";
    views.live.show(topic);
  }),
  clients: new BrokerView(element("view-clients")),
  bridges: new BridgesView(element("view-bridges"), (down) => badge("badge-bridges", down, "bridges without a link")),
  audit: new AuditView(element("view-audit")),
};
const THEMES = { "": "as the system", light: "light", dark: "dark" };
const CLOCK_TOLERANCE_MS = 10_000;
let status = null;
let statusAt = 0;
let alarmsActive = 0;
let current = "live";

function navigate() {
  const wanted = location.hash.slice(1);
  if (wanted in views) current = wanted;
  for (const [name, view] of Object.entries(views)) {
    element(`view-${name}`).hidden = name !== current;
    view.visible(name === current);
  }
  for (const link of document.querySelectorAll("[data-view]")) {
    attribute(link, "aria-current", link.dataset.view === current ? "page" : null);
  }
}

function title() {
  const site = status ? `${status.site} – iogate` : "iogate";
  document.title = alarmsActive ? `(${alarmsActive}) ${site}` : site;
}

function badge(id, number, words) {
  const badge = element(id);
  badge.hidden = number === 0;
  text(badge, number);
  attribute(badge, "aria-label", `${number} ${words}`);
}

function showStatus(news) {
  status = news;
  statusAt = performance.now();
  text(element("site"), status.site);
  views.live.setControl(status.control);
  views.alarms.setControl(status.control);
  title();
  tick();
}

/** The gateway's time now, by its last word and what has passed since. */
function gatewayNow() {
  return status ? new Date(Date.parse(status.time) + performance.now() - statusAt) : new Date();
}

function tick() {
  const now = gatewayNow();
  if (status) {
    text(element("clock"), clockText(now));
    showBar(now);
  }
  for (const view of Object.values(views)) view.tick(now);
}

const bar = {
  version: h("span", { class: "item" }),
  uptime: h("span", { class: "item" }),
  points: h("span", { class: "item" }),
  readings: h("span", { class: "item" }),
  broker: h("span", { class: "item" }),
  skew: h("span", { class: "item warn" }),
};
element("bar").append(...Object.values(bar));

function showBar(now) {
  const { points, broker } = status;
  text(bar.version, `iogate ${status.version}`);
  text(bar.uptime, `up ${spanText(status.uptimeSeconds * 1000 + performance.now() - statusAt)}`);
  const troubled = [["bad", points.bad], ["uncertain", points.uncertain], ["not read yet", points.notYetRead]]
    .filter(([, number]) => number > 0)
    .map(([words, number]) => `, ${count(number)} ${words}`);
  text(bar.points, `${count(points.total)} points: ${count(points.good)} good${troubled.join("")}`);
  text(bar.readings, `${rate(status.readingsPerSecond)} readings/s`);
  const clients = `${count(broker.clients)} ${broker.clients === 1 ? "client" : "clients"}`;
  const where = broker.listen ? `MQTT ${broker.listen}` : "MQTT";
  text(bar.broker, `${where}: ${clients}, ${rate(status.messagesPerSecond)} msg/s`);
  const skew = now.getTime() - Date.now();
  const apart = Math.abs(skew) > CLOCK_TOLERANCE_MS;
  bar.skew.hidden = !apart;
  if (apart) text(bar.skew, `gateway clock ${spanText(Math.abs(skew))} ${skew < 0 ? "behind" : "ahead of"} this browser`);
}

function showConnection(live, since) {
  document.body.dataset.stream = live ? "live" : "lost";
  text(element("stream-text"), live ? "Live" : "Reconnecting");
  const notice = element("lost");
  notice.hidden = live;
  if (!live) {
    const as = since ? `Values are as of ${clockText(since)}.` : "No values have arrived yet.";
    text(notice, `No connection to the gateway. ${as} Trying again…`);
  }
}

function showAlarms(alarms) {
  alarmsActive = alarms.filter((alarm) => isActive(alarm) || isOpen(alarm)).length;
  badge("badge-alarms", alarmsActive, "alarms that are active or not acknowledged");
  views.alarms.update(alarms);
  views.live.setAlarms(alarms);
  title();
}

function showDevices(news) {
  views.live.setOutputs(news.outputs);
  badge("badge-devices", views.devices.update(news), "devices or channels offline");
}

function chooseTheme() {
  const names = Object.keys(THEMES);
  const now = document.documentElement.dataset.theme ?? "";
  const next = names[(names.indexOf(now) + 1) % names.length];
  if (next) document.documentElement.dataset.theme = next;
  else delete document.documentElement.dataset.theme;
  memory.set("theme", next || null);
  showTheme();
}

function showTheme() {
  const words = `Colours: ${THEMES[document.documentElement.dataset.theme ?? ""]}`;
  element("theme").title = words;
  attribute(element("theme"), "aria-label", words);
}

element("theme").addEventListener("click", chooseTheme);
addEventListener("hashchange", navigate);
showTheme();
navigate();
setInterval(tick, 1000);
openStream({
  state: showConnection,
  snapshot(everything) {
    // A broker that runs alone has nothing else to show.
    if (!location.hash && everything.devices.channels.length === 0 && everything.points.length === 0) location.replace("#clients");
    views.live.reset(everything.points, everything.status.site);
    views.audit.setPoints(everything.points);
    showStatus(everything.status);
    showDevices(everything.devices);
    showAlarms(everything.alarms);
  },
  readings: (readings) => views.live.update(readings),
  devices: showDevices,
  status: showStatus,
  alarms: showAlarms,
});
