//! The page of what profiles can express names only tests, profiles and cases that exist.

use std::collections::HashSet;

use crate::root;

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Where the tests of a module of the page are.
fn source(module: &str) -> String {
    match module {
        "functions" | "rules" | "pymodbus" | "profiles" => format!("tests/modbus/{module}.rs"),
        "validate" | "planner" | "codec" | "quirks" | "function" => {
            format!("src/driver/modbus/{module}_tests.rs")
        }
        "confirm" | "counter" | "modules" => format!("src/driver/modbus/{module}.rs"),
        "beside" => "src/driver/modbus/beside/tests.rs".to_owned(),
        "outputs" => "src/driver/modbus/owner/tests/outputs.rs".to_owned(),
        "frame" | "link" => format!("src/driver/modbus/wire/{module}_tests.rs"),
        "conversion" => "src/model/conversion/tests.rs".to_owned(),
        "schedule" => "src/driver/schedule_tests.rs".to_owned(),
        "extract" => "src/driver/text/extract_tests.rs".to_owned(),
        "number" => "src/driver/text/number.rs".to_owned(),
        "request" => "src/driver/http/request.rs".to_owned(),
        "discovery" => "src/driver/http/wut/discovery.rs".to_owned(),
        "cli" => "tests/cli.rs".to_owned(),
        "generic" | "web_io" => format!("tests/http/{module}.rs"),
        "http_faults" => "tests/http/faults.rs".to_owned(),
        "instruments" => "tests/ascii/instruments.rs".to_owned(),
        "mqtt" => "tests/mqtt_devices.rs".to_owned(),
        "snmp" => "tests/snmp/peers.rs".to_owned(),
        "snmp_writes" => "tests/snmp/writes.rs".to_owned(),
        "hil_i2c" | "hil_iio" | "hil_onewire" => format!("tests/hil/{}.rs", &module[4..]),
        "profile" => "tests/profiles.rs".to_owned(),
        "config_schema" => "tests/config_schema.rs".to_owned(),
        other => panic!("the page names `{other}`, which this test does not know"),
    }
}

fn exists(name: &str) -> bool {
    if let Some(folder) = name.strip_prefix("case ") {
        return root().join("tests/config-cases").join(folder).is_dir();
    }
    match name.split_once("::") {
        Some((module, test)) => {
            let head = format!("fn {test}(");
            let text = read(&source(module));
            let mut lines = text.lines().map(|line| line.trim_start().trim_start_matches("async "));
            lines.any(|line| line.starts_with(&head))
        }
        None => root().join("config/profiles").join(format!("{name}.yaml")).is_file(),
    }
}

#[test]
fn every_item_is_expressed_and_names_what_shows_it() {
    let page = read("docs/profile-coverage.md");
    let (mut problems, mut seen) = (Vec::new(), HashSet::new());
    let mut sections = 0;
    for line in page.lines() {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let [_, item, key, shown, _] = cells[..] else { continue };
        if item == "Item" || item.starts_with("--") {
            continue;
        }
        if item.starts_with("**") {
            sections += 1;
            continue;
        }
        if key.is_empty() || !seen.insert((sections, item)) {
            problems.push(format!("{item}: without a key, or there twice"));
        }
        let named: Vec<_> = shown.split('`').skip(1).step_by(2).collect();
        if named.is_empty() && !key.starts_with("not expressed: ") {
            problems.push(format!("{item}: nothing shows it"));
        }
        problems.extend(
            named.iter().filter(|name| !exists(name)).map(|name| format!("{item}: there is no {name}")),
        );
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert_eq!(sections, 16, "the parts of the list");
}
