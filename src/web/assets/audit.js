// The audit log: who changed what, the newest first, by output, origin and time.

import { h } from "./dom.js";
import { dateTimeText } from "./format.js";
import { Log, said, search } from "./log.js";

const ORIGINS = ["web page", "mqtt client", "alarm", "interlock", "gateway", "signal"];
const WELL = ["verified", "confirmed", "done"];

export class AuditView {
  constructor(root) {
    this.subject = search("subject", "All outputs", []);
    const origin = search("origin", "By anybody", ORIGINS);
    root.append(this.subject.list, origin.list);
    this.log = new Log(root, {
      path: "audit", file: "audit.csv", columns: ["Time", "What", "Outcome", "From → to", "By"],
      filters: { subject: this.subject.input, origin: origin.input }, entries: (answer) => answer.records, row,
      nothing: "Nothing of that has been changed.",
    });
  }

  /** The points, of which the outputs can be chosen. */
  setPoints(points) {
    this.subject.set(points.filter((point) => point.access.includes("w")).map((point) => point.name));
  }

  visible(visible) {
    this.log.visible(visible);
  }

  tick() {}
}

const DIGITS = 7;

/** A value as people read it: a digest by its beginning, a number without its last digits. */
function value(record, value) {
  if (value === null) return "–";
  if (record.kind !== "command" && value.length === 64) return `${value.slice(0, 8)}…`;
  const long = value.length > DIGITS + 1 && value.includes(".") && Number.isFinite(Number(value));
  return long ? String(Number(Number(value).toPrecision(DIGITS))) : value;
}

function row(record) {
  const values = record.old === null && record.new === null ? "–" : `${value(record, record.old)} → ${value(record, record.new)}`;
  const kind = record.kind === "command" ? null : said(record.kind);
  const clock = record.clock === "unset" ? said("clock not set") : null;
  const outcome = WELL.includes(record.outcome) ? "chip chip-state" : "chip chip-state failed";
  return h("tr", { "data-outcome": record.outcome },
    h("td", { class: "num", "data-label": "Time" }, dateTimeText(new Date(record.time)), clock),
    h("td", { class: "what" }, h("strong", {}, record.subject), kind),
    h("td", { class: "who-did", "data-label": "Outcome" }, h("div", {}, h("span", { class: outcome }, record.outcome), said(record.detail))),
    h("td", { class: "num", "data-label": "From → to" }, values),
    h("td", { "data-label": "By" }, record.origin));
}
