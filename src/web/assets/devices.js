// Channels and devices with their counters.

import { attribute, h, svg, text } from "./dom.js";
import { count, roundTrip, sinceText, spanText } from "./format.js";

const STATES = { online: "Online", offline: "Offline", unknown: "Not tried yet" };
const COLUMNS = [
  ["Device", ""], ["State", ""], ["Points", "num"], ["Requests", "num"], ["Timeouts", "num"], ["Exceptions", "num"],
  ["Malformed", "num"], ["Writes", "num"], ["Round trip", "num"], ["Distribution", ""], ["Last answer", "num"],
];
const BAR = { width: 5, gap: 1, height: 20 };
const HIGH_LOAD = 0.9;

export class DevicesView {
  constructor(root) {
    this.root = root;
    this.channels = new Map();
    this.shape = null;
    this.empty = h("p", { class: "empty" }, "Waiting for the gateway…");
    root.append(this.empty);
  }

  visible() {}

  tick(now) {
    for (const channel of this.channels.values()) {
      for (const { parts, news } of channel.devices.values()) showAnswer(parts, news, now);
    }
  }

  /** Takes news in; returns how many channels and devices are offline. */
  update(news) {
    const shape = JSON.stringify(news.channels.map((c) => [c.name, c.devices.map((d) => d.name)]));
    if (shape !== this.shape) {
      this.shape = shape;
      this.build(news);
    }
    let offline = 0;
    for (const channel of news.channels) {
      const known = this.channels.get(channel.name);
      showChannel(known.parts, channel);
      const dead = channel.devices.filter((device) => device.state === "offline").length;
      offline += dead || (channel.state === "offline" ? 1 : 0);
      for (const device of channel.devices) {
        const entry = known.devices.get(device.name);
        entry.news = device;
        showDevice(entry.parts, device, news.roundTripEdgesUs);
      }
    }
    return offline;
  }

  build(news) {
    this.channels.clear();
    this.root.replaceChildren();
    if (news.channels.length === 0) {
      this.root.append(h("p", { class: "empty" }, "No channels are configured. Add one under `channels:` and a device under `devices:`."));
    }
    for (const channel of news.channels) {
      const parts = { state: h("span"), load: h("span", { class: "num" }), fill: h("span", { class: "fill" }), more: h("span", { class: "muted" }) };
      const devices = new Map(channel.devices.map((device) => [device.name, { parts: deviceRow(device), news: device }]));
      this.channels.set(channel.name, { parts, devices });
      const head = h("header", { class: "channel-head" },
        h("h2", {}, channel.name), parts.state,
        h("span", { class: "load" }, h("span", { class: "muted" }, "Load"), h("span", { class: "gauge", "aria-hidden": "true" }, parts.fill), parts.load),
        parts.more);
      const rows = [...devices.values()].map((entry) => entry.parts.row);
      const table = h("table", { class: "devices" },
        h("thead", {}, h("tr", {}, ...COLUMNS.map(([name, kind]) => h("th", { scope: "col", class: kind }, name)))),
        h("tbody", {}, ...rows));
      const body = rows.length ? h("div", { class: "scroll" }, table) : h("p", { class: "empty" }, "No devices on this channel.");
      this.root.append(h("section", { class: "card", "aria-label": `Channel ${channel.name}` }, head, body));
    }
  }
}

function deviceRow(device) {
  const parts = { state: h("span"), notice: h("span", { class: "notice warn" }) };
  const cells = COLUMNS.map(([name, kind], index) => {
    if (index === 0) return h("th", { scope: "row" }, device.name, parts.notice);
    const cell = h("td", { class: kind, "data-label": name });
    parts[name] = cell;
    return cell;
  });
  parts.State.append(parts.state);
  parts.bars = [];
  parts.row = h("tr", {}, ...cells);
  return parts;
}

function showState(element, state) {
  element.className = `state state-${state}`;
  text(element, STATES[state] ?? state);
}

function showChannel(parts, news) {
  showState(parts.state, news.state);
  text(parts.load, `${(news.load * 100).toFixed(news.load < 0.1 ? 1 : 0)} %`);
  parts.fill.style.width = `${Math.min(100, news.load * 100)}%`;
  parts.fill.classList.toggle("high", news.load > HIGH_LOAD);
  const more = [[news.reconnects, "reconnects"], [news.missedPolls, "missed polls"]].filter(([number]) => number > 0);
  text(parts.more, more.map(([number, words]) => `${count(number)} ${words}`).join(" · "));
}

function showDevice(parts, news, edges) {
  showState(parts.state, news.state);
  text(parts.notice, news.notice ?? "");
  text(parts.Points, news.pointsNotGood ? `${count(news.points)} (${count(news.pointsNotGood)} not good)` : count(news.points));
  parts.Points.classList.toggle("warn", news.pointsNotGood > 0);
  text(parts.Requests, count(news.requests));
  for (const [name, number] of [["Timeouts", news.timeouts], ["Exceptions", news.exceptions], ["Malformed", news.malformed]]) {
    text(parts[name], count(number));
    parts[name].classList.toggle("warn", number > 0);
    parts[name].classList.toggle("zero", number === 0);
  }
  text(parts.Writes, count(news.writes));
  parts.Writes.classList.toggle("zero", news.writes === 0);
  text(parts["Round trip"], roundTrip(news.meanRoundTripUs));
  showHistogram(parts, news.roundTrips, edges);
}

/** Small bars, one per class; the words stand in the label, so nothing depends on seeing them. */
function showHistogram(parts, classes, edges) {
  if (parts.bars.length !== classes.length) {
    parts.bars = classes.map((_, i) => svg("rect", { x: i * (BAR.width + BAR.gap), width: BAR.width, rx: 1 }));
    const width = classes.length * (BAR.width + BAR.gap) - BAR.gap;
    parts.drawing = svg("svg", { class: "histogram", role: "img", width, height: BAR.height, viewBox: `0 0 ${width} ${BAR.height}` }, ...parts.bars);
    parts.Distribution.replaceChildren(parts.drawing);
  }
  const most = Math.max(1, ...classes);
  classes.forEach((number, i) => {
    const height = number === 0 ? 1 : Math.max(2, Math.round((number / most) * BAR.height));
    attribute(parts.bars[i], "height", height);
    attribute(parts.bars[i], "y", BAR.height - height);
    attribute(parts.bars[i], "class", number === 0 ? "none" : null);
  });
  const words = classes
    .map((number, i) => [number, i < edges.length ? `up to ${roundTrip(edges[i])}` : `over ${roundTrip(edges.at(-1))}`])
    .filter(([number]) => number > 0)
    .map(([number, label]) => `${label}: ${count(number)}`);
  const label = words.length ? `Round trips, ${words.join(", ")}` : "No answers yet";
  attribute(parts.drawing, "aria-label", label);
  attribute(parts.Distribution, "title", label);
}

function showAnswer(parts, news, now) {
  if (!news.lastAnswer) {
    text(parts["Last answer"], "never");
    return;
  }
  const at = new Date(news.lastAnswer);
  const age = now - at;
  text(parts["Last answer"], age < 10_000 ? sinceText(at, now) : `${spanText(age)} ago`);
}
