//! The conformance table names every statement that concerns a server, each once, and only tests that exist.

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
        "bridge" => "src/bridge/client/packet.rs".to_owned(),
        "links" => "tests/bridge/links.rs".to_owned(),
        module => format!("tests/broker/{module}.rs"),
    }
}

/// The sections of 5.0 with normative statements (appendix B), and the number of the last one of each.
const OF_5_0: &str = "1.5.4-3 1.5.5-1 1.5.7-1 2.1.3-1 2.2.1-6 2.2.2-1 3.1.0-2 3.1.2-30 3.1.3-12 3.1.4-6 3.2.0-2 3.2.2-22 \
    3.3.1-13 3.3.2-20 3.3.4-10 3.4.2-3 3.5.2-3 3.6.1-1 3.6.2-3 3.7.2-3 3.8.1-1 3.8.3-5 3.8.4-8 3.9.2-2 3.9.3-2 3.10.1-1 \
    3.10.3-2 3.10.4-6 3.11.2-2 3.11.3-2 3.12.4-1 3.14.0-1 3.14.1-1 3.14.2-4 3.14.4-3 3.15.1-1 3.15.2-3 4.1.0-2 4.2-1 \
    4.3.1-1 4.3.2-5 4.3.3-13 4.4.0-2 4.5.0-2 4.6.0-6 4.7.0-1 4.7.1-2 4.7.2-1 4.7.3-4 4.8.2-6 4.9.0-3 4.12.0-7 4.12.1-2 \
    4.13.1-1 4.13.2-1 6.0.0-4";

/// Those of them that are not there (2.2.1-1), or bind clients alone in what no server can notice.
const ELSEWHERE_5_0: &str = "2.2.1-1 3.1.2-20 3.1.2-21 3.2.2-4 3.2.2-5 3.2.2-14 3.2.2-18 3.2.2-21 3.3.2-10 3.3.4-8 4.5.0-2 \
    4.6.0-1 4.6.0-2 4.6.0-3 4.6.0-4 6.0.0-3";

/// The same of 3.1.1.
const OF_3_1_1: &str = "1.5.3-3 2.2.2-2 2.3.1-7 3.1.0-2 3.1.2-24 3.1.3-11 3.1.4-5 3.2.0-1 3.2.2-6 3.3.1-12 3.3.2-3 3.3.4-1 \
    3.3.5-2 3.6.1-1 3.8.1-1 3.8.3-4 3.8.4-6 3.9.3-2 3.10.1-1 3.10.3-2 3.10.4-6 3.12.4-1 3.14.1-1 3.14.4-3 4.1.0-2 \
    4.3.1-1 4.3.2-2 4.3.3-2 4.4.0-1 4.5.0-2 4.6.0-6 4.7.1-3 4.7.2-1 4.7.3-4 4.8.0-2 6.0.0-4 7.0.0-2 7.1.1-1 7.1.2-1";

const ELSEWHERE_3_1_1: &str = "2.3.1-2 2.3.1-3 3.1.2-23 3.14.4-1 3.14.4-2 4.5.0-2 4.6.0-1 4.6.0-2 4.6.0-3 4.6.0-4 \
    6.0.0-3 7.1.2-1";

/// All statements of sections that are given by their last ones, without those that are elsewhere.
fn expected(last: &str, elsewhere: &str) -> HashSet<String> {
    let elsewhere: HashSet<_> = elsewhere.split_whitespace().collect();
    let all = last.split_whitespace().flat_map(|last| {
        let (section, count) = last.rsplit_once('-').unwrap();
        (1..=count.parse::<u8>().unwrap()).map(move |number| format!("{section}-{number}"))
    });
    all.filter(|statement| !elsewhere.contains(&**statement)).collect()
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
    let mut version = 0;
    let mut seen = HashSet::new();
    for line in table.lines() {
        version += u32::from(line.starts_with("## MQTT "));
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let [_, statement, said, tests, _] = cells[..] else { continue };
        if statement == "Statement" || statement.starts_with("--") {
            continue;
        }
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
    for (version, expected) in
        [(1, expected(OF_5_0, ELSEWHERE_5_0)), (2, expected(OF_3_1_1, ELSEWHERE_3_1_1))]
    {
        let there: HashSet<_> =
            seen.iter().filter(|row| row.0 == version).map(|row| row.1.to_owned()).collect();
        assert_eq!(there.difference(&expected).collect::<Vec<_>>(), [""; 0], "no such statement");
        assert_eq!(expected.difference(&there).collect::<Vec<_>>(), [""; 0], "missing");
    }
}
