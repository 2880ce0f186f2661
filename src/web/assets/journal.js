// The journal of the alarms: what has happened, the newest first, by alarm, kind and time.

import { attribute, h, text } from "./dom.js";
import { dateTimeText, valueText } from "./format.js";
import { debounced, request } from "./mqtt.js";

const PAGE = 50;
const KINDS = [
  "raised", "escalated", "eased", "returned", "acknowledged", "shelved", "unshelved", "chattering", "calmed",
  "suppressed", "unsuppressed", "taken-out", "put-back",
];
const COLUMNS = ["Time", "Alarm", "Event", "State", "Value", "By"];

/** A kind or a state as people read it. */
const words = (word) => word.replaceAll("-", " ");

export class Journal {
  constructor(root) {
    // The ids before which the pages so far began; the last one is that of the page shown.
    this.pages = [null];
    const again = debounced(() => this.restart());
    this.names = h("datalist", { id: "journal-alarms" });
    this.alarm = h("input", { class: "search", type: "search", placeholder: "All alarms", "aria-label": "Alarm", autocapitalize: "off", on: { input: again } });
    this.alarm.setAttribute("list", "journal-alarms");
    this.kind = h("select", { class: "search", "aria-label": "Kind of event", on: { change: again } },
      h("option", { value: "" }, "All events"), ...KINDS.map((kind) => h("option", { value: kind }, words(kind))));
    this.from = h("input", { class: "search", type: "datetime-local", on: { change: again } });
    this.to = h("input", { class: "search", type: "datetime-local", on: { change: again } });
    this.export = h("a", { class: "quiet export", download: "alarms.csv" }, "CSV");
    this.newer = this.button("‹ Newer", () => this.pages.pop());
    this.older = this.button("Older ›", () => this.pages.push(this.oldest));
    this.look = this.button("Look again", () => {});
    this.notice = h("p", { class: "empty", role: "status" }, "Waiting for the gateway…");
    this.body = h("tbody");
    const head = h("tr", {}, ...COLUMNS.map((name) => h("th", { scope: "col" }, name)));
    this.card = h("div", { class: "card scroll", hidden: true }, h("table", { class: "journal" }, h("thead", {}, head), this.body));
    root.append(this.names,
      h("div", { class: "tools journal-tools" }, this.alarm, this.kind, h("label", { class: "muted" }, "From ", this.from), h("label", { class: "muted" }, "To ", this.to)),
      h("div", { class: "tools" }, this.newer, this.older, this.look, this.export), this.notice, this.card);
  }

  button(label, act) {
    return h("button", { type: "button", class: "quiet", on: { click: () => { act(); this.refresh(); } } }, label);
  }

  /** The alarms that can be chosen. */
  setAlarms(alarms) {
    const names = alarms.map((alarm) => alarm.name);
    if (names.join("\n") === this.known) return;
    this.known = names.join("\n");
    this.names.replaceChildren(...names.map((name) => h("option", { value: name })));
  }

  visible(visible) {
    this.shown = visible;
    if (visible) this.refresh();
  }

  restart() {
    this.pages = [null];
    this.refresh();
  }

  get wanted() {
    const wanted = {};
    if (this.alarm.value.trim()) wanted.alarm = this.alarm.value.trim();
    if (this.kind.value) wanted.event = this.kind.value;
    for (const [key, input] of [["from", this.from], ["to", this.to]]) {
      if (input.value) wanted[key] = new Date(input.value).toISOString();
    }
    return wanted;
  }

  async refresh() {
    const turn = this.turn = (this.turn ?? 0) + 1;
    const wanted = this.wanted;
    this.export.href = `/api/v1/alarms/journal?${new URLSearchParams({ ...wanted, format: "csv" })}`;
    const before = this.pages.at(-1);
    if (before !== null) wanted.before = before;
    // One more than is shown tells whether there is another page.
    const answer = await request(`alarms/journal?${new URLSearchParams({ ...wanted, limit: PAGE + 1 })}`, {});
    if (turn !== this.turn || !this.shown) return;
    const events = answer.problem ? [] : answer.slice(0, PAGE);
    this.oldest = events.at(-1)?.id;
    this.newer.disabled = this.pages.length === 1;
    this.older.disabled = answer.problem || answer.length <= PAGE;
    this.card.hidden = events.length === 0;
    this.notice.hidden = events.length > 0;
    attribute(this.export, "aria-disabled", events.length === 0 ? "true" : null);
    text(this.notice, answer.problem ?? "Nothing of that has happened.");
    this.body.replaceChildren(...events.map((event) => this.row(event)));
  }

  row(event) {
    const value = event.value === null ? "–" : valueText({ kind: "text" }, event.value);
    const who = event.by ? [h("span", {}, event.by)] : [h("span", { class: "muted" }, "–")];
    if (event.comment) who.push(h("span", { class: "muted said" }, event.comment));
    const told = event.message && event.message !== event.alarm ? h("span", { class: "muted said" }, event.message) : null;
    const state = event.from === event.to ? words(event.to) : `${words(event.from)} → ${words(event.to)}`;
    return h("tr", { class: `severity-${event.severity}`, "data-event": event.event },
      h("td", { class: "num", "data-label": "Time" }, dateTimeText(new Date(event.time))),
      h("td", { class: "what" }, h("strong", {}, event.alarm), told),
      h("td", { "data-label": "Event" }, h("span", { class: "chip chip-state" }, words(event.event))),
      h("td", { "data-label": "State" }, state),
      h("td", { class: "num", "data-label": "Value" }, value),
      h("td", { class: "who-did", "data-label": "By" }, h("div", {}, ...who)));
  }
}
