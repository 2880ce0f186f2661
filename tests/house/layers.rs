//! Which module may use which. ARCHITECTURE.md tells why; this table decides.

use std::collections::BTreeSet;

use crate::paths::{self, Mention};
use crate::tree::Source;

/// From the lowest layer up. A module uses lower layers only, never its own row.
const LAYERS: [&[&str]; 11] = [
    &["model"],
    &["clock", "backoff"],
    &["journal", "sqlite", "bus", "transport"],
    &["driver", "broker"],
    &["command"],
    &["alarm", "audit", "publish", "bridge", "historian", "notify", "web"],
    &["config"],
    &["systemd", "simulate", "import"],
    &["gateway"],
    &["ruletest"],
    &["cli"],
];

/// What the model must not know: runtimes and I/O.
const IMPURE: [&[&str]; 9] = [
    &["tokio"],
    &["tokio_util"],
    &["rustix"],
    &["axum"],
    &["tracing"],
    &["std", "fs"],
    &["std", "net"],
    &["std", "process"],
    &["std", "thread"],
];

/// What reads a clock. The model is handed its times.
const CLOCKS: [&[&str]; 2] = [&["Instant", "now"], &["SystemTime", "now"]];

/// What is wrong with the modules that a file uses.
pub(crate) fn complaints(source: &Source) -> Vec<String> {
    let module = paths::module_of(&source.path);
    // The crate's root only declares the modules, and the program only uses the library.
    let Some(from) = module.first() else { return Vec::new() };
    if layer(from).is_none() {
        return vec![format!("{}: module `{from}` stands in no layer: add it to LAYERS", source.path)];
    }
    let mentions = paths::mentions(source);
    let in_crate = mentions.iter().filter(|mention| mention.in_crate);
    in_crate.filter_map(|mention| complaint(source, from, mention)).collect()
}

fn complaint(source: &Source, from: &str, mention: &Mention) -> Option<String> {
    let at = format!("{}:{}", source.path, mention.line);
    let Some(to) = mention.segments.first() else {
        return Some(format!("{at}: takes in the whole crate; name the module"));
    };
    if to == from {
        return None;
    }
    match (layer(from), layer(to)) {
        (Some(own), Some(other)) if other < own => None,
        (_, None) => {
            Some(format!("{at}: `crate::{to}` is no module of a layer; use the module that defines it"))
        }
        (own, other) if own == other => Some(format!("{at}: `{from}` uses `{to}`, which stands beside it")),
        _ => Some(format!("{at}: `{from}` uses `{to}`, which stands above it")),
    }
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|row| row.contains(&module))
}

/// What a file of the model uses that does I/O or reads a clock.
pub(crate) fn impurities(source: &Source) -> Vec<String> {
    if paths::module_of(&source.path).first().is_none_or(|module| module != "model") {
        return Vec::new();
    }
    let mentions = paths::mentions(source);
    // Tests of the model may take any instant to start from.
    let impure = |mention: &&Mention| {
        let segments: Vec<&str> = mention.segments.iter().map(String::as_str).collect();
        let io = IMPURE.iter().any(|path| segments.starts_with(path));
        !mention.in_crate && !mention.in_tests && (io || CLOCKS.iter().any(|path| segments.ends_with(path)))
    };
    let tell = |mention: &Mention| {
        format!("{}:{}: the model uses `{}`", source.path, mention.line, mention.segments.join("::"))
    };
    mentions.iter().filter(impure).map(tell).collect()
}

/// Modules of `sources` that the page on architecture does not name.
pub(crate) fn undocumented(sources: &[Source], architecture: &str) -> Vec<String> {
    let modules: BTreeSet<String> =
        sources.iter().filter_map(|source| paths::module_of(&source.path).into_iter().next()).collect();
    let named = |module: &String| architecture.contains(&format!("`{module}`"));
    modules
        .iter()
        .filter(|module| !named(module))
        .map(|module| format!("ARCHITECTURE.md does not name `{module}`"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layering(path: &str, text: &str) -> Vec<String> {
        complaints(&Source::parse(path, text))
    }

    #[test]
    fn lower_layers_and_the_own_module_are_free() {
        let text = "use crate::{bus::Bus, command::Arbiter}; use super::rule; use crate::alarm::engine;";
        assert_eq!(layering("src/alarm/engine.rs", text), Vec::<String>::new());
    }

    #[test]
    fn neighbours_are_walled_off() {
        let neighbours = ["alarm", "publish", "web"];
        for (from, to) in neighbours.iter().flat_map(|a| neighbours.map(|b| (*a, b))).filter(|(a, b)| a != b)
        {
            let found = layering(&format!("src/{from}/mod.rs"), &format!("use crate::{to}::X;"));
            assert_eq!(found, [format!("src/{from}/mod.rs:1: `{from}` uses `{to}`, which stands beside it")]);
        }
    }

    #[test]
    fn upward_use_is_found_wherever_it_hides() {
        let wanted = ["src/model/x.rs:2: `model` uses `bus`, which stands above it"];
        assert_eq!(layering("src/model/x.rs", "fn f() {\n crate::bus::go() }"), wanted);
        assert_eq!(layering("src/model/x.rs", "\nuse super::super::bus::Bus;"), wanted);
        assert_eq!(layering("src/model/x.rs", "\nfn f() { select!(crate::bus::go()) }"), wanted);
        assert_eq!(layering("src/model/x.rs", "#[cfg(test)]\nmod tests { use crate::bus::Bus; }"), wanted);
    }

    #[test]
    fn unknown_modules_and_the_whole_crate_are_refused() {
        assert_eq!(
            layering("src/gizmo.rs", ""),
            ["src/gizmo.rs: module `gizmo` stands in no layer: add it to LAYERS"]
        );
        assert_eq!(layering("src/web.rs", "use crate::Gizmo;").len(), 1);
        assert_eq!(
            layering("src/web.rs", "use crate::*;"),
            ["src/web.rs:1: takes in the whole crate; name the module"]
        );
    }

    #[test]
    fn the_model_stays_pure() {
        let io = |text: &str| impurities(&Source::parse("src/model/x.rs", text)).len();
        assert_eq!(io("use std::{fs, net::IpAddr, time::Duration};"), 2);
        assert_eq!(io("fn f() { std::time::Instant::now(); }"), 1);
        assert_eq!(io("async fn f() { tokio::time::sleep(d).await }"), 1);
        assert_eq!(io("fn f() { g!(Instant::now()) }"), 1);
        assert_eq!(io("#[cfg(test)] mod tests { fn f() { Instant::now(); } }"), 0);
        assert_eq!(io("use std::collections::HashMap; use std::time::{Duration, Instant};"), 0);
        assert!(impurities(&Source::parse("src/bus.rs", "use tokio::sync::Notify;")).is_empty());
    }

    #[test]
    fn modules_are_named_in_the_architecture() {
        let sources = ["src/bus.rs", "src/web/mod.rs", "src/lib.rs"].map(|path| Source::parse(path, ""));
        assert!(undocumented(&sources, "| 2 | `bus`, `web` |").is_empty());
        assert_eq!(undocumented(&sources, "| 2 | `bus` |"), ["ARCHITECTURE.md does not name `web`"]);
    }
}
