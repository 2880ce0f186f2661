// How values, times and reasons are written for people.

const REASONS = {
  "not-yet-read": "not read yet",
  "timeout": "no answer in time",
  "no-connection": "line or connection down",
  "malformed-reply": "reply did not fit the request",
  "out-of-range": "outside its range",
  "sensor-under": "signal below live zero",
  "sensor-over": "signal above its span",
  "sensor-fault": "sensor reports a fault",
  "not-available": "not available",
  "undecodable": "cannot be decoded",
  "stale": "no good reading for too long",
  "saturated": "signal at the edge of its span",
  "unverified": "written, not read back",
};

// Modbus Application Protocol 1.1b3, section 7.
const EXCEPTIONS = {
  1: "illegal function",
  2: "illegal data address",
  3: "illegal data value",
  4: "device failure",
  5: "acknowledged, in progress",
  6: "device busy",
  8: "memory parity error",
  10: "gateway path unavailable",
  11: "gateway target did not answer",
};

/** A reason in words. */
export function reasonWords(reason) {
  if (!reason) return "";
  const status = /^http-status (\d+)$/.exec(reason);
  if (status) return `refused with HTTP status ${status[1]}`;
  const exception = /^device-exception (\d+)$/.exec(reason);
  if (!exception) return REASONS[reason] ?? reason;
  const name = EXCEPTIONS[exception[1]];
  return name ? `device exception ${exception[1]}: ${name}` : `device exception ${exception[1]}`;
}

// What a 32-bit register holds; the digits beyond are noise of the conversion.
const SIGNIFICANT = 7;

/** A value as shown; a point keeps the most decimals it has had, so that digits do not jump. */
export function valueText(point, value) {
  if (value === null || value === undefined) return "–";
  if (typeof value === "boolean") return value ? "On" : "Off";
  if (typeof value !== "number" || point.kind !== "float") return String(value);
  const short = String(Number(value.toPrecision(SIGNIFICANT)));
  if (short.includes("e")) return short;
  const [whole, decimals = ""] = short.split(".");
  point.decimals = Math.max(point.decimals ?? 0, decimals.length);
  const room = Math.max(decimals.length, SIGNIFICANT - whole.replace("-", "").length);
  return Number(short).toFixed(Math.max(0, Math.min(point.decimals, room)));
}

/** A number with at most three significant digits, for rates. */
export function rate(value) {
  if (value >= 100) return String(Math.round(value));
  return String(Number(value.toPrecision(2)));
}

/** A whole number with thin spaces between thousands. */
export function count(value) {
  return String(value).replace(/\B(?=(\d{3})+$)/g, "\u2009");
}

/** How long ago, short. */
export function ageText(ms) {
  if (ms === null) return "never";
  if (ms < 1000) return "now";
  return spanText(ms);
}

/** A span of time in at most two units. */
export function spanText(ms) {
  const s = Math.floor(ms / 1000);
  if (s < 60) return `${s} s`;
  const min = Math.floor(s / 60);
  if (min < 60) return min < 10 && s % 60 ? `${min} min ${s % 60} s` : `${min} min`;
  const hours = Math.floor(min / 60);
  if (hours < 24) return min % 60 ? `${hours} h ${min % 60} min` : `${hours} h`;
  const days = Math.floor(hours / 24);
  return hours % 24 && days < 10 ? `${days} d ${hours % 24} h` : `${days} d`;
}

/** A round trip. */
export function roundTrip(us) {
  if (us === null) return "–";
  if (us < 1000) return `${us} µs`;
  const ms = us / 1000;
  return ms < 1000 ? `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

const TIME = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
const DATE_TIME = new Intl.DateTimeFormat("en-CA", {
  year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false,
});

/** The time of day. */
export function clockText(date) {
  return TIME.format(date);
}

/** Date and time. */
export function dateTimeText(date) {
  return DATE_TIME.format(date).replace(",", "");
}

/** The time of day, with the date when it is another day. */
export function sinceText(date, now) {
  return date.toDateString() === now.toDateString() ? clockText(date) : dateTimeText(date);
}
