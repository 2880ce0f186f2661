// The view of bridges: one card for each link to an upstream broker.

import { attribute, h, text } from "./dom.js";
import { count, rate, spanText } from "./format.js";
import { bytesText } from "./mqtt.js";

const REFRESH_MS = 2000;
const HIDDEN_REFRESH_MS = 10_000;
const WAIT_MS = 10_000;
const STATES = { connected: "Connected", connecting: "Connecting", waiting: "Waiting to try again", stopped: "Stopped" };
const LAMPS = { connected: "online", connecting: "unknown", waiting: "offline", stopped: "unknown" };
const WHY = {
  "dropped": "the buffer was full or they were too old", "refused": "the buffer was full", "thinned": "the buffer was filling up",
  "damaged": "the buffer was damaged on the disk", "power-loss": "the power failed", "dead-letter": "the upstream broker does not take them",
};
const NEARLY_FULL = 0.8;
// Name, whether it is a trouble when it is not zero, and how it is read.
const FACTS = [
  ["Waiting", false, (b) => `${count(b.queued)} ${b.queued === 1 ? "message" : "messages"}`],
  ["Size", false, (b) => `${bytesText(b.queuedBytes)} of ${bytesText(b.capacityBytes)}`],
  ["Oldest", false, (b) => (b.queued ? spanText(b.oldestSeconds * 1000) : "–")],
  ["Taken in", false, (b) => `${count(b.takenIn)} (${rate(b.takenInPerSecond)}/s)`],
  ["Acknowledged", false, (b) => `${count(b.acknowledged)} (${rate(b.acknowledgedPerSecond)}/s)`],
  ["Sent again", false, (b) => count(b.resent)],
  ["From upstream", false, (b) => count(b.accepted)],
  ["Refused from upstream", true, (b) => count(b.refused)],
  ["Connections", false, (b) => count(b.connections)],
  ["Gaps declared", true, (b) => (b.gaps ? `${count(b.gaps)}, ${count(b.missing)} ${b.missing === 1 ? "message" : "messages"}` : "0")],
  ["Left out", true, (b) => count(b.leftOut)],
  ["Dead letters", true, (b) => count(b.deadLetters)],
];

export class BridgesView {
  constructor(root, tell) {
    this.root = root;
    this.tell = tell;
    this.cards = new Map();
    this.empty = h("p", { class: "empty", role: "status" }, "Waiting for the gateway…");
    this.list = h("div", { class: "bridges" });
    root.append(this.empty, this.list);
    this.refresh();
  }

  visible(visible) {
    if (visible === this.shown) return;
    this.shown = visible;
    if (visible) this.refresh();
  }

  tick(now) {
    for (const card of this.cards.values()) card.tick(now);
  }

  /** Asks again; an answer that a later question has overtaken is not shown. */
  async refresh() {
    clearTimeout(this.timer);
    const turn = this.turn = (this.turn ?? 0) + 1;
    const bridges = await ask();
    if (turn !== this.turn) return;
    if (bridges) this.show(bridges);
    this.timer = setTimeout(() => this.refresh(), this.shown ? REFRESH_MS : HIDDEN_REFRESH_MS);
  }

  show(bridges) {
    this.empty.hidden = bridges.length > 0;
    text(this.empty, "No bridges are configured. An upstream broker is set under `bridges:` in the configuration.");
    const names = bridges.map((bridge) => bridge.name);
    if (names.join("\n") !== [...this.cards.keys()].join("\n")) {
      this.cards = new Map(names.map((name) => [name, new Card(name)]));
      this.list.replaceChildren(...[...this.cards.values()].map((card) => card.element));
    }
    for (const bridge of bridges) this.cards.get(bridge.name).show(bridge);
    this.tell(bridges.filter((bridge) => bridge.state !== "connected").length);
  }
}

async function ask() {
  try {
    const answer = await fetch("/api/v1/bridges", { signal: AbortSignal.timeout(WAIT_MS) });
    return answer.ok ? await answer.json() : null;
  } catch {
    // That the gateway does not answer stands above the view.
    return null;
  }
}

class Card {
  constructor(name) {
    this.state = h("span");
    this.since = h("span", { class: "muted num" });
    this.url = h("span", { class: "muted address" });
    this.fill = h("span", { class: "fill" });
    this.gauge = h("span", { class: "gauge", role: "img" }, this.fill);
    this.error = h("p", { class: "trouble", role: "status", hidden: true });
    this.warning = h("p", { class: "trouble mild", role: "status", hidden: true });
    this.gap = h("p", { class: "muted gap", hidden: true });
    this.facts = FACTS.map(([name, trouble, words]) => ({ trouble, words, value: h("dd", { class: "num" }), name }));
    const facts = h("dl", { class: "facts" }, ...this.facts.map(({ name, value }) => h("div", {}, h("dt", {}, name), value)));
    this.element = h("section", { class: "card bridge", "aria-label": `Bridge ${name}`, "data-bridge": name },
      h("header", { class: "channel-head" }, h("h2", {}, name), this.state, this.since, this.url, this.gauge),
      this.error, this.warning, facts, this.gap);
  }

  show(news) {
    this.news = news;
    this.state.className = `state state-${LAMPS[news.state] ?? "unknown"}`;
    text(this.state, STATES[news.state] ?? news.state);
    text(this.url, news.url);
    const full = news.capacityBytes ? Math.min(1, news.queuedBytes / news.capacityBytes) : 0;
    this.fill.style.width = `${full * 100}%`;
    this.fill.classList.toggle("high", full > NEARLY_FULL);
    attribute(this.gauge, "aria-label", `The buffer is ${Math.round(full * 100)} % full`);
    attribute(this.gauge, "title", `The buffer is ${Math.round(full * 100)} % full`);
    tell(this.error, news.lastError);
    tell(this.warning, news.warning);
    for (const { trouble, words, value } of this.facts) {
      const shown = words(news);
      text(value, shown);
      value.classList.toggle("zero", /^0( |$)/.test(shown));
      value.classList.toggle("warn", trouble && shown !== "0");
    }
    const gap = news.lastGap;
    this.gap.hidden = !gap;
    if (gap) {
      const numbers = gap.from === gap.to ? `number ${count(gap.from)}` : `numbers ${count(gap.from)} to ${count(gap.to)}`;
      text(this.gap, `Last gap: ${numbers} of stream ${news.stream}, ${WHY[gap.why] ?? gap.why}.`);
    }
  }

  tick(now) {
    if (this.news) text(this.since, `for ${spanText(Math.max(0, now - new Date(this.news.since)))}`);
  }
}

function tell(element, words) {
  element.hidden = !words;
  text(element, words ?? "");
}
