//! Trees of files as the kernel lays them out.

use std::fs;
use std::os::unix::fs::symlink;

use proptest::prelude::*;

use super::*;

/// A tree as under `/sys`: devices below their buses, links to them in one folder.
struct Tree(tempfile::TempDir);

impl Tree {
    fn new() -> Self {
        let tree = Self(tempfile::tempdir().unwrap());
        fs::create_dir_all(tree.root()).unwrap();
        tree
    }

    fn root(&self) -> PathBuf {
        self.0.path().join("bus")
    }

    fn plug_in(&self, number: u32, at: &str, files: &[(&str, &str)]) -> PathBuf {
        let folder = self.0.path().join(format!("devices/{at}/iio:device{number}"));
        fs::create_dir_all(&folder).unwrap();
        for (name, text) in files {
            fs::write(folder.join(name), format!("{text}\n")).unwrap();
        }
        symlink(&folder, self.root().join(format!("iio:device{number}"))).unwrap();
        folder
    }

    fn unplug(&self, number: u32, at: &str) {
        fs::remove_file(self.root().join(format!("iio:device{number}"))).unwrap();
        fs::remove_dir_all(self.0.path().join("devices").join(at)).unwrap();
    }
}

fn files(tree: &Tree, yaml: &str, channels: &[&str]) -> Files {
    let own: DeviceConfig = serde_yaml::from_str(yaml).unwrap();
    assert_eq!(own.validate(), Vec::<String>::new());
    let device = Attached::plain(own, channels.iter().map(|channel| Input::new(channel).unwrap()));
    Files::new(&IioConfig { path: tree.root() }, &[device])
}

fn read(files: &mut Files, count: usize) -> Vec<Raw> {
    let points: Vec<usize> = (0..count).collect();
    let Step::Done(results) = files.read(0, &points) else { panic!("one step") };
    results
}

fn numbers(results: &[Raw]) -> Vec<f64> {
    results.iter().map(|raw| raw.as_ref().unwrap().as_f64().unwrap()).collect()
}

#[test]
fn raw_offset_and_scale_own_or_shared_come_to_values_in_base_units() {
    let tree = Tree::new();
    tree.plug_in(
        3,
        "1-0048",
        &[
            ("name", "ads1015"),
            ("in_voltage0_raw", "1000"),
            ("in_voltage0_scale", "3"),
            ("in_voltage1_raw", "-200"),
            ("in_voltage_scale", "2"),
            ("in_voltage0-voltage1_raw", "10"),
            ("in_voltage-voltage_scale", "0.5"),
            ("in_temp_raw", "200"),
            ("in_temp_offset", "-50"),
            ("in_temp_scale", "100"),
            ("in_humidityrelative_input", "45123"),
            ("in_pressure_input", "101.325"),
            ("in_proximity_raw", "7"),
        ],
    );
    let names =
        ["voltage0", "voltage1", "voltage0-voltage1", "temp", "humidityrelative", "in_pressure", "proximity"];
    let mut files = files(&tree, "{ iio-name: ads1015 }", &names);
    let found = numbers(&read(&mut files, names.len()));
    let expected = [3.0, -0.4, 0.005, 15.0, 45.123, 101.325, 7.0];
    for ((name, found), expected) in names.iter().zip(&found).zip(expected) {
        assert!((found - expected).abs() < 1e-9, "{name}: {found}");
    }
    assert_eq!(Input::new("voltage0").unwrap().form().unit, Some("V"));
    assert_eq!(Input::new("proximity").unwrap().form().unit, None);
}

#[test]
fn a_device_is_found_by_its_name_wherever_it_turns_up_again() {
    let tree = Tree::new();
    let mut files = files(&tree, "{ iio-name: bme280 }", &["temp"]);
    assert!(matches!(&read(&mut files, 1)[0], Err(Fault::Absent(why)) if why.contains("there are: none")));
    tree.plug_in(0, "1-0076", &[("name", "bme280"), ("in_temp_input", "21500")]);
    assert_eq!(numbers(&read(&mut files, 1)), [21.5]);
    // It is replugged and gets another number, and its old one goes to another chip.
    tree.unplug(0, "1-0076");
    assert!(matches!(&read(&mut files, 1)[0], Err(Fault::Absent(_))));
    tree.plug_in(0, "1-0044", &[("name", "sht3x"), ("in_temp_input", "99000")]);
    assert!(matches!(&read(&mut files, 1)[0], Err(Fault::Absent(why)) if why.contains("there are: sht3x")));
    tree.plug_in(1, "1-0076", &[("name", "bme280"), ("in_temp_input", "22500")]);
    assert_eq!(numbers(&read(&mut files, 1)), [22.5]);
}

#[test]
fn of_two_equal_devices_none_is_taken_until_it_is_said_which() {
    let tree = Tree::new();
    tree.plug_in(0, "1-0076", &[("name", "bme280"), ("in_temp_input", "1000")]);
    tree.plug_in(1, "1-0077", &[("name", "bme280"), ("in_temp_input", "2000"), ("label", "outside")]);
    let mut any = files(&tree, "{ iio-name: bme280 }", &["temp"]);
    let results = read(&mut any, 1);
    assert!(
        matches!(&results[0], Err(Fault::Absent(why)) if why.contains("iio-at, with 1-0076 or outside")),
        "{results:?}"
    );
    for (at, expected) in [("1-0076", 1.0), ("1-0077", 2.0), ("outside", 2.0)] {
        let mut one = files(&tree, &format!("{{ iio-name: bme280, iio-at: {at} }}"), &["temp"]);
        assert_eq!(numbers(&read(&mut one, 1)), [expected], "{at}");
    }
}

#[test]
fn files_that_cannot_be_read_or_hold_no_number_give_no_value() {
    let tree = Tree::new();
    tree.plug_in(
        0,
        "a",
        &[("name", "chip"), ("in_temp_raw", "x1"), ("in_voltage0_raw", "1"), ("in_voltage0_scale", "inf")],
    );
    let mut files = files(&tree, "{ iio-name: chip }", &["temp", "voltage0", "current7"]);
    let results = read(&mut files, 3);
    assert!(matches!(&results[0], Err(Fault::Malformed(why)) if why.contains("`x1`")));
    assert!(matches!(&results[1], Err(Fault::Malformed(_))));
    assert!(matches!(&results[2], Err(Fault::Absent(why)) if why.contains("in_current7_raw")));
    fs::remove_dir_all(tree.root()).unwrap();
    assert!(matches!(&read(&mut files, 1)[0], Err(Fault::Bus(_))));
}

#[test]
fn sections_that_make_no_sense_are_refused_with_a_remedy() {
    for (name, part) in
        [("in_temp_raw", "temp"), ("", "file"), ("../x", "file"), ("Temp", "file"), ("0volt", "file")]
    {
        let message = Input::new(name).unwrap_err();
        assert!(message.contains(part), "{name}: {message}");
    }
    let device = |yaml: &str| serde_yaml::from_str::<DeviceConfig>(yaml).unwrap().validate().join("; ");
    assert!(device("{}").contains("iio-name is missing"));
    assert!(device("{ iio-name: \" \" }").contains("empty"));
    assert!(device("{ iio-name: a, iio-at: \"\" }").contains("iio-at"));
    assert!(PointConfig::default().input().is_err());
    assert_eq!(IioConfig { path: "iio".into() }.validate().len(), 1);
}

proptest! {
    #[test]
    fn no_name_and_no_text_panics(name in "\\PC{0,24}", text in "\\PC{0,24}") {
        if let Ok(input) = Input::new(&name) {
            let _ = input.read(|_| Ok(Some(text.clone())));
        }
    }

    #[test]
    fn the_formula_holds(raw in -32768_i32..32768, offset in -1000_i32..1000, scale in 0.001_f64..10.0) {
        let input = Input::new("current3").unwrap();
        let value = input.read(|name| Ok(match name {
            "in_current3_raw" => Some(raw.to_string()),
            "in_current_offset" => Some(offset.to_string()),
            "in_current_scale" => Some(scale.to_string()),
            _ => None,
        }));
        let expected = f64::from(raw + offset) * scale;
        prop_assert!((value.unwrap().as_f64().unwrap() - expected).abs() < 1e-6);
    }
}
