// Alarms, those that matter first, and what people do about them.

import { attribute, h, memory, text } from "./dom.js";
import { FloodCard } from "./flood.js";
import { dateTimeText, sinceText, spanText, valueText } from "./format.js";
import { Journal } from "./journal.js";

const STATES = {
  "active-unacknowledged": "Active", "latched": "Latched", "returned-unacknowledged": "Returned",
  "active-acknowledged": "Acknowledged", "shelved": "Shelved", "suppressed": "Suppressed",
  "out-of-service": "Out of service", "normal": "Normal",
};
const SEVERITIES = { critical: "Critical", high: "High", warning: "Warning", info: "Info" };
const STATE_ORDER = Object.keys(STATES);
const SEVERITY_ORDER = Object.keys(SEVERITIES);
const SHELF = "1h";
const WAIT_MS = 15000;

/** Whether an alarm is active and told to people. */
export const isActive = (alarm) => alarm.state.startsWith("active");

/** Whether somebody has to acknowledge the alarm. */
export const isOpen = (alarm) => ["active-unacknowledged", "returned-unacknowledged", "latched"].includes(alarm.state);

export class AlarmsView {
  constructor(root, showPoint) {
    this.showPoint = showPoint;
    this.ages = [];
    this.control = true;
    this.korean = (navigator.language ?? "").startsWith("ko");
    this.user = h("input", { type: "text", autocomplete: "name", maxLength: 80, value: memory.get("user") ?? "", on: { change: () => memory.set("user", this.user.value.trim() || null) } });
    this.comment = h("input", { type: "text", maxLength: 200 });
    this.outcome = h("span", { class: "outcome", role: "status" });
    this.tools = h("div", { class: "alarm-tools", hidden: true },
      h("label", {}, "Your name ", this.user), h("label", {}, "Comment ", this.comment), this.outcome);
    this.list = h("div", {}, h("p", { class: "empty" }, "Waiting for the gateway…"));
    const now = h("div", {});
    const past = h("div", { hidden: true });
    this.flood = new FloodCard(now);
    now.append(this.tools, this.list);
    this.journal = new Journal(past);
    this.parts = { now: [now, this.flood], journal: [past, this.journal] };
    this.part = "now";
    this.choices = h("div", { class: "choices alarm-views", role: "group", "aria-label": "Alarms now, or what has happened" },
      this.choice("now", "Now"), this.choice("journal", "Journal"));
    root.append(this.choices, now, past);
  }

  choice(name, words) {
    return h("button", { type: "button", "data-part": name, "aria-pressed": String(name === this.part), on: { click: () => this.choose(name) } }, words);
  }

  choose(name) {
    this.part = name;
    for (const button of this.choices.children) attribute(button, "aria-pressed", button.dataset.part === name);
    this.visible(this.shown);
  }

  visible(visible) {
    this.shown = visible;
    for (const [name, [root, content]] of Object.entries(this.parts)) {
      root.hidden = name !== this.part;
      content.visible(visible && name === this.part);
    }
  }

  setControl(control) {
    if (this.control === control) return;
    this.control = control;
    if (this.alarms) this.update(this.alarms);
  }

  tick(now) {
    this.flood.tick();
    for (const [element, since] of this.ages) text(element, `${sinceText(since, now)} (${spanText(Math.max(0, now - since))})`);
  }

  update(alarms) {
    this.alarms = alarms;
    this.journal.setAlarms(alarms);
    this.flood.changed();
    this.ages = [];
    this.list.replaceChildren();
    this.tools.hidden = alarms.length === 0 || !this.control;
    if (alarms.length === 0) {
      this.list.append(h("p", { class: "empty" }, "No alarms are configured. Limits are set under `alarms:` in the configuration."));
      return;
    }
    if (alarms.every((alarm) => alarm.state === "normal" && !alarm.pending)) {
      const words = alarms.length === 1 ? "The alarm is normal." : `All ${alarms.length} alarms are normal.`;
      this.list.append(h("p", { class: "calm" }, words));
    }
    const rows = [...alarms].sort(order).map((alarm) => this.row(alarm));
    const columns = [["State", ""], ["Severity", ""], ["Alarm", ""], ["Point", ""], ["Value", "num"], ["Since", ""], ["", ""]];
    const head = h("tr", {}, ...columns.map(([name, kind]) => h("th", { scope: "col", class: kind }, name)));
    this.list.append(h("div", { class: "card scroll" }, h("table", { class: "alarms" }, h("thead", {}, head), h("tbody", {}, ...rows))));
  }

  row(alarm) {
    const since = h("span", { class: "num" });
    if (alarm.since) {
      const at = new Date(alarm.since);
      since.title = dateTimeText(at);
      this.ages.push([since, at]);
      text(since, sinceText(at, at));
    } else {
      text(since, "–");
    }
    const value = alarm.value === null ? "–" : valueText({ kind: "float" }, alarm.value);
    const unit = alarm.unit && alarm.value !== null ? ` ${alarm.unit}` : "";
    const point = alarm.topic
      ? h("button", { class: "link", type: "button", title: "Show this point", on: { click: () => this.showPoint(alarm.topic) } }, alarm.point)
      : h("span", {}, alarm.device ?? "–");
    const kind = isActive(alarm) || alarm.state === "latched" ? "active" : alarm.pending ? "pending" : alarm.state === "normal" ? "normal" : "aside";
    const chip = h("span", { class: "chip chip-state" }, alarm.pending && alarm.state === "normal" ? "Pending" : STATES[alarm.state] ?? alarm.state);
    return h("tr", { class: `alarm ${kind} severity-${alarm.severity}`, "data-alarm": alarm.name, "data-state": alarm.state },
      h("td", { "data-label": "State" }, chip),
      h("td", { "data-label": "Severity" }, h("span", { class: "severity" }, SEVERITIES[alarm.severity] ?? alarm.severity)),
      h("td", { class: "what" }, h("strong", {}, alarm.name), ...marks(alarm), ...this.words(alarm)),
      h("td", { "data-label": "Point" }, point),
      h("td", { class: "num", "data-label": "Value" }, value + unit),
      h("td", { "data-label": "Since" }, since),
      h("td", { class: "acts" }, ...this.acts(alarm)));
  }

  /** What is told about an alarm below its name, in the language of the browser where that is there. */
  words(alarm) {
    const own = (texts) => (this.korean ? texts.ko ?? texts.en : texts.en ?? texts.ko);
    const condition = alarm.condition ? `${alarm.condition} – ` : "";
    const lines = [h("span", { class: "muted" }, `${condition}${own(alarm.messages) ?? alarm.message}`)];
    if (alarm.blind) lines.push(h("span", { class: "trouble" }, "Its input is bad: it keeps its state."));
    if (isOpen(alarm) && own(alarm.help)) lines.push(h("span", { class: "muted" }, own(alarm.help)));
    if (alarm.by) {
      const until = alarm.shelvedUntil ? ` until ${dateTimeText(new Date(alarm.shelvedUntil))}` : "";
      lines.push(h("span", { class: "muted" }, `${STATES[alarm.state]} by ${alarm.by}${until}${alarm.comment ? `: ${alarm.comment}` : ""}`));
    }
    return lines;
  }

  acts(alarm) {
    if (!this.control) return [];
    const act = (action, words, more) => h("button", { type: "button", class: "set", "data-action": action, on: { click: () => this.act(alarm, action, more) } }, words);
    const acts = [];
    if (isOpen(alarm)) acts.push(act("acknowledge", "Acknowledge"));
    if (alarm.state === "out-of-service") return [act("put-back", "Put back")];
    if (alarm.state === "shelved") acts.push(act("unshelve", "Unshelve"));
    else {
      const time = alarm.shelveOffer ?? SHELF;
      acts.push(act("shelve", `Shelve ${time}`, { for: time }));
    }
    acts.push(act("take-out", "Take out"));
    return acts;
  }

  async act(alarm, action, more) {
    const say = (kind, words) => { this.outcome.dataset.kind = kind; text(this.outcome, words); };
    say("busy", `${alarm.name}…`);
    const body = { alarm: alarm.name, action, ...more };
    if (this.user.value.trim()) body.user = this.user.value.trim();
    if (this.comment.value.trim()) body.comment = this.comment.value.trim();
    try {
      const answer = await fetch("/api/v1/alarms", {
        method: "POST", headers: { "Content-Type": "application/json" }, signal: AbortSignal.timeout(WAIT_MS),
        body: JSON.stringify(body),
      });
      const result = await answer.json();
      say(answer.ok ? "done" : "failed", answer.ok ? `${alarm.name}: ${STATES[result[0].state] ?? result[0].state}` : result.detail);
      if (answer.ok) this.comment.value = "";
    } catch {
      say("failed", "No answer from the gateway; it may or may not have happened.");
    }
  }
}

/** What stands beside its name: that it chatters, and the groups in which it came first. */
function marks(alarm) {
  const marks = alarm.firstOf.map((group) => h("span", { class: "mark-chip first", title: `Of the group ${group} this alarm came first.` }, `first of ${group}`));
  if (alarm.chattering) marks.unshift(h("span", { class: "mark-chip", title: "It comes again and again within a short time." }, "chattering"));
  return marks;
}

function order(a, b) {
  return STATE_ORDER.indexOf(a.state) - STATE_ORDER.indexOf(b.state)
    || Number(b.pending) - Number(a.pending)
    || SEVERITY_ORDER.indexOf(a.severity) - SEVERITY_ORDER.indexOf(b.severity)
    || String(b.since ?? "").localeCompare(String(a.since ?? ""))
    || a.name.localeCompare(b.name);
}
