// The live stream: server-sent events, reconnected for as long as the page is open.

// The server sends statistics every 2 s; silence for this long means that the connection is dead.
const SILENCE_MS = 8000;
const RETRY_MS = [500, 1000, 2000, 5000];
const EVENTS = ["snapshot", "readings", "devices", "status", "alarms"];

/** Opens the stream. `handlers` has one function per event, and `state(live, since)` for the connection. */
export function openStream(handlers) {
  let source = null;
  let failures = 0;
  let watchdog = 0;
  let lastSign = null;

  function connect() {
    source = new EventSource("/api/v1/events");
    for (const name of EVENTS) {
      source.addEventListener(name, (event) => {
        heard();
        if (name === "snapshot") {
          failures = 0;
          handlers.state(true, null);
        }
        handlers[name](JSON.parse(event.data));
      });
    }
    source.onerror = lost;
    watch();
  }

  function heard() {
    lastSign = new Date();
    watch();
  }

  function watch() {
    clearTimeout(watchdog);
    watchdog = setTimeout(lost, SILENCE_MS);
  }

  function lost() {
    clearTimeout(watchdog);
    source.close();
    handlers.state(false, lastSign);
    setTimeout(connect, RETRY_MS[Math.min(failures, RETRY_MS.length - 1)]);
    failures += 1;
  }

  connect();
}
