// How many alarms there are and were (EEMUA 191), which come most often, and what came first of a group.

import { h } from "./dom.js";
import { clockText, count, dateTimeText, spanText } from "./format.js";
import { request } from "./mqtt.js";

const EVERY_MS = 10_000;
const GATHER_MS = 500;

export class FloodCard {
  constructor(root) {
    this.asked = -Infinity;
    this.figures = h("dl", { class: "figures" });
    this.lists = h("div", { class: "flood-lists" });
    this.card = h("section", { class: "card flood", "aria-label": "How many alarms there are", hidden: true }, this.figures, this.lists);
    root.append(this.card);
  }

  visible(visible) {
    this.shown = visible;
    if (visible) this.refresh();
  }

  tick() {
    if (this.shown && performance.now() - this.asked > EVERY_MS) this.refresh();
  }

  /** Alarms have changed: looks again, once for many changes. */
  changed() {
    if (!this.shown) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.refresh(), GATHER_MS);
  }

  async refresh() {
    this.asked = performance.now();
    const answer = await request("alarms/rates", {});
    if (!answer.problem) this.show(answer);
  }

  show(now) {
    this.card.hidden = false;
    const flood = now.last10Minutes > now.floodLimit;
    const figures = [
      ["Last 10 min", now.last10Minutes, flood ? "flood" : ""], ["Last hour", now.lastHour, ""], ["Last day", now.lastDay, ""],
      ["Most in 10 min", now.peak10Minutes, now.peak10Minutes > now.floodLimit ? "warn" : ""],
      ["In floods", spanText(now.floodedMinutes * 60_000), now.floodedMinutes ? "warn" : ""],
      ["Standing", now.standing, ""], ["Shelved", now.shelved, ""], ["Chattering", now.chattering, now.chattering ? "warn" : ""],
    ];
    this.figures.replaceChildren(...figures.map(([name, value, kind]) =>
      h("div", { class: kind }, h("dt", {}, name), h("dd", { class: "num" }, typeof value === "number" ? count(value) : value))));
    const frequent = now.mostFrequent.map((one) => h("li", {}, h("span", {}, one.alarm), h("span", { class: "num muted" }, `${count(one.count)}×`)));
    const groups = now.groups.filter((group) => group.firstOut).map((group) => {
      const at = new Date(group.firstOut.at);
      return h("li", {}, h("span", {}, h("span", { class: "muted" }, `${group.name}: `), group.firstOut.alarm),
        h("span", { class: "num muted", title: dateTimeText(at) }, clockText(at)));
    });
    const notifiers = now.notifiers.map((one) => h("li", { class: one.trouble ? "notifier warn" : "notifier" },
      h("span", {}, one.name, one.trouble ? h("span", { class: "said" }, one.trouble) : null),
      h("span", { class: "num muted" }, `${count(one.sent)} sent${one.waiting ? `, ${count(one.waiting)} waiting` : ""}`)));
    const lists = [list("Came first", groups), list("Most frequent in a day", frequent), list("People are told by", notifiers)];
    this.lists.replaceChildren(...lists.filter(Boolean));
  }
}

function list(title, items) {
  return items.length ? h("div", {}, h("h3", { class: "muted" }, title), h("ul", {}, ...items)) : null;
}
