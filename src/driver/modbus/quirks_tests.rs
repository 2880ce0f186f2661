//! Tests of probes and fixed writes.

use super::*;

fn device(yaml: &str) -> DeviceConfig {
    serde_yaml::from_str(yaml).unwrap()
}

#[test]
fn a_probe_names_both_devices() {
    let config = device(
        "{ probe: [{ input: 5000, type: text, length: 20, contains: E1210 }, { holding: 0x2002, is: [0x1234] }] }",
    );
    let probes = config.probes().unwrap();
    let text = |text: &str| Some(Value::Text(text.into()));
    assert_eq!(probes[0].complaint("moxa/e1210", text("ioLogik E1210").as_ref()), None);
    assert_eq!(
        probes[0].complaint("moxa/e1210", text("E1240\u{1}").as_ref()).unwrap(),
        "wrong device: moxa/e1210 has `E1210` in input 5000, this one has `E1240`"
    );
    assert_eq!(probes[1].complaint("wago/750", Some(&Value::Int(0x1234))), None);
    assert_eq!(
        probes[1].complaint("wago/750", Some(&Value::Int(0))).unwrap(),
        "wrong device: wago/750 has 4660 in holding 8194, this one has 0"
    );
    for probe in &probes {
        let words = probe.example().unwrap();
        let mut padded = words.clone();
        padded.resize(usize::from(probe.register.width()), 0);
        let shown = probe.register.decode(&padded).ok();
        assert_eq!(probe.complaint("m", shown.as_ref()), None, "{probe:?}");
    }
}

#[test]
fn mistakes_are_named_with_their_remedy() {
    for (section, words) in [
        ("{ probe: [{ input: 1, type: text, length: 4 }] }", "needs contains"),
        ("{ probe: [{ input: 1 }] }", "needs is"),
        ("{ probe: [{ is: [1] }] }", "probe: name where"),
        ("{ setup: [{ holding: 1 }] }", "needs words"),
        ("{ setup: [{ words: [1] }] }", "either coil or holding"),
        ("{ setup: [{ coil: 1, words: [2] }] }", "1 for on"),
        ("{ address-base: 1, setup: [{ holding: 0, words: [2] }] }", "start at 1"),
        ("{ address-offset: 65530, setup: [{ holding: 10, words: [2] }] }", "address-offset"),
    ] {
        let problems = device(section).validate();
        assert!(problems.iter().any(|problem| problem.contains(words)), "{section}: {problems:?}");
    }
}

#[test]
fn fixed_writes_become_the_functions_that_fit_them() {
    let config = device(
        "{ address-offset: 100, setup: [{ holding: 1, words: [7] }, { holding: 2, words: [7], multiple: true }, { coil: 3, words: [1] }, { coil: 4, words: [1, 0] }] }",
    );
    assert_eq!(
        config.writes(&config.setup, "setup").unwrap(),
        [
            Ask::WriteRegister { address: 101, word: 7 },
            Ask::WriteRegisters { address: 102, words: vec![7] },
            Ask::WriteCoil { address: 103, on: true },
            Ask::WriteCoils { address: 104, states: vec![true, false] },
        ]
    );
}
