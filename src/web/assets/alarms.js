// Alarms, those that matter first.

import { h, text } from "./dom.js";
import { dateTimeText, sinceText, spanText, valueText } from "./format.js";

const STATES = { active: "Active", pending: "Pending", normal: "Normal" };
const SEVERITIES = { critical: "Critical", high: "High", warning: "Warning", info: "Info" };
const STATE_ORDER = ["active", "pending", "normal"];
const SEVERITY_ORDER = ["critical", "high", "warning", "info"];

export class AlarmsView {
  constructor(root, showPoint) {
    this.root = root;
    this.showPoint = showPoint;
    this.ages = [];
    root.append(h("p", { class: "empty" }, "Waiting for the gateway…"));
  }

  visible() {}

  tick(now) {
    for (const [element, since] of this.ages) text(element, `${sinceText(since, now)} (${spanText(Math.max(0, now - since))})`);
  }

  update(alarms) {
    this.ages = [];
    this.root.replaceChildren();
    if (alarms.length === 0) {
      this.root.append(h("p", { class: "empty" }, "No alarms are configured. Limits are set under `alarms:` in the configuration."));
      return;
    }
    const raised = alarms.filter((alarm) => alarm.state !== "normal");
    if (raised.length === 0) {
      const words = alarms.length === 1 ? "The alarm is normal." : `All ${alarms.length} alarms are normal.`;
      this.root.append(h("p", { class: "calm" }, words));
    }
    const rows = [...alarms].sort(order).map((alarm) => this.row(alarm));
    const columns = [["State", ""], ["Severity", ""], ["Alarm", ""], ["Point", ""], ["Value", "num"], ["Since", ""]];
    const head = h("tr", {}, ...columns.map(([name, kind]) => h("th", { scope: "col", class: kind }, name)));
    this.root.append(h("div", { class: "card scroll" }, h("table", { class: "alarms" }, h("thead", {}, head), h("tbody", {}, ...rows))));
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
    const point = h("button", { class: "link", type: "button", title: "Show this point", on: { click: () => this.showPoint(alarm.topic) } }, alarm.point);
    const condition = alarm.condition ? `${alarm.condition} – ` : "";
    return h("tr", { class: `alarm ${alarm.state} severity-${alarm.severity}` },
      h("td", { "data-label": "State" }, h("span", { class: "chip chip-state" }, STATES[alarm.state] ?? alarm.state)),
      h("td", { "data-label": "Severity" }, h("span", { class: "severity" }, SEVERITIES[alarm.severity] ?? alarm.severity)),
      h("td", { class: "what" }, h("strong", {}, alarm.name), h("span", { class: "muted" }, `${condition}${alarm.message}`)),
      h("td", { "data-label": "Point" }, point),
      h("td", { class: "num", "data-label": "Value" }, value + unit),
      h("td", { "data-label": "Since" }, since));
  }
}

function order(a, b) {
  return STATE_ORDER.indexOf(a.state) - STATE_ORDER.indexOf(b.state)
    || SEVERITY_ORDER.indexOf(a.severity) - SEVERITY_ORDER.indexOf(b.severity)
    || String(b.since ?? "").localeCompare(String(a.since ?? ""))
    || a.name.localeCompare(b.name);
}
