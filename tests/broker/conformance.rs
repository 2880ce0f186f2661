//! The conformance table names only statements of the right form, each once, and only tests that exist.

use std::collections::HashSet;
use std::path::Path;

fn read(path: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// Where the tests of a module of the table are.
fn source(module: &str) -> String {
    match module {
        "codec" => "src/broker/codec/tests.rs".to_owned(),
        "oracle" => "src/broker/codec/oracle.rs".to_owned(),
        "wire" => "src/broker/codec/wire.rs".to_owned(),
        "inflight" => "src/broker/session/inflight.rs".to_owned(),
        module => format!("tests/broker/{module}.rs"),
    }
}

fn is_statement(text: &str) -> bool {
    let numbers = text.split(['.', '-']);
    numbers.clone().count() >= 3 && numbers.into_iter().all(|part| part.parse::<u8>().is_ok())
}

/// Whether a function of this name, marked as a test, stands in the text.
fn has_test(text: &str, name: &str) -> bool {
    let head = format!("fn {name}(");
    text.lines().any(|line| line.trim_start().trim_start_matches("async ").starts_with(&head))
}

#[test]
fn every_statement_of_the_table_names_tests_that_exist() {
    let table = read("docs/mqtt-conformance.md");
    let mut problems = Vec::new();
    let (mut version, mut rows) = (0, 0);
    let mut seen = HashSet::new();
    for line in table.lines() {
        version += u32::from(line.starts_with("## MQTT "));
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let [_, statement, said, tests, _] = cells[..] else { continue };
        if statement == "Statement" || statement.starts_with("--") {
            continue;
        }
        rows += 1;
        if !is_statement(statement) || said.is_empty() || !seen.insert((version, statement)) {
            problems.push(format!("{statement}: malformed, without words, or there twice"));
        }
        let named: Vec<_> = tests.split('`').skip(1).step_by(2).collect();
        if named.is_empty() && !tests.starts_with("not served") && !tests.starts_with("does not arise") {
            problems.push(format!("{statement}: neither a test nor a reason"));
        }
        for name in named {
            let found =
                name.split_once("::").is_some_and(|(module, test)| has_test(&read(&source(module)), test));
            if !found {
                problems.push(format!("{statement}: there is no test {name}"));
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert_eq!((version, rows > 200), (2, true), "{rows} rows");
}
