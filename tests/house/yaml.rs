//! Whether shipped YAML loads, without a warning.

use iogate::config::{self, Plan, Report, Surroundings};

use crate::tree::{self, File};

/// What is wrong with a configuration.
pub(crate) fn configuration_fault(file: &File) -> Option<String> {
    if file.path == "config/access.yaml" {
        let checked = iogate::broker::access::check_access_file(&tree::root().join(&file.path));
        return checked.err().map(|error| format!("{}: {error:?}", file.path));
    }
    let around = Surroundings::of(&tree::root().join(&file.path));
    fault(&file.path, config::load_str(&file.text, &file.path, &around))
}

/// What is wrong with a profile, used as it stands by a configuration of one device.
pub(crate) fn profile_fault(file: &File) -> Option<String> {
    let name = file.path.trim_start_matches("config/profiles/").trim_end_matches(".yaml");
    let around = Surroundings::of(&tree::root().join("config/any.yaml"));
    fault(&file.path, config::profile_device(name, &around))
}

fn fault(path: &str, loaded: Result<Plan, Report>) -> Option<String> {
    match loaded {
        Ok(plan) => plan.warnings.first().map(|warning| format!("{path}: {warning}")),
        Err(report) => Some(format!("{path}: {report}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File { path: path.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn a_misspelt_key_and_a_missing_profile_are_found() {
        let found = configuration_fault(&file("config/x.yaml", "site: test\ndevises: {}\n")).unwrap();
        assert!(found.contains("devises"), "{found}");
        let found = profile_fault(&file("config/profiles/nobody/nothing.yaml", "")).unwrap();
        assert!(found.contains("nobody/nothing"), "{found}");
    }
}
