// The journal of the alarms: what has happened, the newest first, by alarm, kind and time.

import { h } from "./dom.js";
import { dateTimeText, valueText } from "./format.js";
import { Log, said, search } from "./log.js";

const KINDS = [
  "raised", "escalated", "eased", "returned", "acknowledged", "shelved", "unshelved", "chattering", "calmed",
  "suppressed", "unsuppressed", "taken-out", "put-back",
];

/** A kind or a state as people read it. */
const words = (word) => word.replaceAll("-", " ");

export class Journal {
  constructor(root) {
    this.alarm = search("alarm", "All alarms", []);
    const event = h("select", { class: "search", "aria-label": "Kind of event" },
      h("option", { value: "" }, "All events"), ...KINDS.map((kind) => h("option", { value: kind }, words(kind))));
    root.append(this.alarm.list);
    this.log = new Log(root, {
      path: "alarms/journal", file: "alarms.csv", columns: ["Time", "Alarm", "Event", "State", "Value", "By"],
      filters: { alarm: this.alarm.input, event }, entries: (answer) => answer, row, nothing: "Nothing of that has happened.",
    });
  }

  /** The alarms that can be chosen. */
  setAlarms(alarms) {
    this.alarm.set(alarms.map((alarm) => alarm.name));
  }

  visible(visible) {
    this.log.visible(visible);
  }
}

function row(event) {
  const value = event.value === null ? "–" : valueText({ kind: "text" }, event.value);
  const who = event.by ? h("span", {}, event.by) : h("span", { class: "muted" }, "–");
  const told = event.message === event.alarm ? null : said(event.message);
  const state = event.from === event.to ? words(event.to) : `${words(event.from)} → ${words(event.to)}`;
  return h("tr", { class: `severity-${event.severity}`, "data-event": event.event },
    h("td", { class: "num", "data-label": "Time" }, dateTimeText(new Date(event.time))),
    h("td", { class: "what" }, h("strong", {}, event.alarm), told),
    h("td", { "data-label": "Event" }, h("span", { class: "chip chip-state" }, words(event.event))),
    h("td", { "data-label": "State" }, state),
    h("td", { class: "num", "data-label": "Value" }, value),
    h("td", { class: "who-did", "data-label": "By" }, h("div", {}, who, said(event.comment))));
}
