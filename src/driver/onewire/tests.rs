//! Files as the kernel writes them, right and wrong.

use proptest::prelude::*;

use super::*;
use crate::model::Reason;

const GOOD: &str = "57 01 4b 46 7f ff 09 10 d4 : crc=d4 YES\n57 01 4b 46 7f ff 09 10 d4 t=21437\n";
const POWER_ON: &str = "50 05 4b 46 7f ff 0c 10 1c : crc=1c YES\n50 05 4b 46 7f ff 0c 10 1c t=85000\n";

fn sensors(root: &Path, yaml: &str) -> Sensors {
    let own: DeviceConfig = serde_yaml::from_str(yaml).unwrap();
    assert_eq!(own.validate(), Vec::<String>::new());
    let device = Attached::plain(own, [Quantity::Temperature, Quantity::ExternalPower]);
    Sensors::new(&OneWireConfig { path: root.to_path_buf() }, &[device])
}

fn read(sensors: &mut Sensors) -> Raw {
    let Step::Done(mut results) = sensors.read(0, &[0]) else { panic!("one step") };
    results.remove(0)
}

#[test]
fn a_temperature_is_read_and_a_wrong_checksum_never_is() {
    assert_eq!(parse(GOOD, None), Ok(21.437));
    let below = "ff fe 4b 46 7f ff 01 10 aa : crc=aa YES\nff fe 4b 46 7f ff 01 10 aa t=-16062\n";
    assert_eq!(parse(below, None), Ok(-16.062));
    for (text, part) in [
        (GOOD.replace("YES", "NO"), "checksum"),
        ("00 00 00 00 00 00 00 00 00 : crc=00 YES\n00 00 00 00 00 00 00 00 00 t=0\n".into(), "shorted"),
        (GOOD.replace("t=21437", "t="), "no temperature"),
        (GOOD.replace("t=21437", "t=200000"), "outside"),
        ("57 01 4b".into(), "two lines"),
        ("57 01 4b\nt=1".into(), "nine bytes"),
        (String::new(), "two lines"),
    ] {
        let fault = parse(&text, Some(21.0)).unwrap_err();
        assert!(matches!(&fault, Fault::Malformed(why) if why.contains(part)), "{text:?}: {fault:?}");
    }
}

#[test]
fn the_power_on_value_is_no_temperature_unless_it_was_that_warm_before() {
    let power_on = Err(Fault::NoValue(Reason::NotAvailable));
    assert_eq!(parse(POWER_ON, None), power_on);
    assert_eq!(parse(POWER_ON, Some(-18.5)), power_on);
    assert_eq!(parse(POWER_ON, Some(84.5)), Ok(85.0));
}

#[test]
fn a_sensor_that_goes_and_comes_back_is_missing_meanwhile_and_set_up_again() {
    let root = tempfile::tempdir().unwrap();
    let mut sensors = sensors(root.path(), "{ onewire-id: 28-0000051a4b3c, onewire-resolution: 10 }");
    let folder = root.path().join("28-0000051a4b3c");
    assert!(matches!(read(&mut sensors), Err(Fault::Absent(why)) if why.contains("28-0000051a4b3c")));
    let plug_in = || {
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("w1_slave"), GOOD).unwrap();
        fs::write(folder.join("resolution"), "12\n").unwrap();
        fs::write(folder.join("ext_power"), "1\n").unwrap();
    };
    for _ in 0..2 {
        plug_in();
        assert_eq!(read(&mut sensors), Ok(Value::Float(21.437)));
        assert_eq!(fs::read_to_string(folder.join("resolution")).unwrap(), "10");
        let Step::Done(both) = sensors.read(0, &[0, 1]) else { panic!("one step") };
        assert_eq!(both, [Ok(Value::Float(21.437)), Ok(Value::Bool(true))]);
        fs::remove_dir_all(&folder).unwrap();
        assert!(matches!(read(&mut sensors), Err(Fault::Absent(_))));
    }
    // As the kernel shows it: nothing at all, and why only by the question for the supply.
    plug_in();
    fs::write(folder.join("w1_slave"), "").unwrap();
    assert!(matches!(read(&mut sensors), Err(Fault::Malformed(_))));
    fs::write(folder.join("ext_power"), "-19\n").unwrap();
    assert!(matches!(read(&mut sensors), Err(Fault::Absent(_))));
    let Step::Done(power) = sensors.read(0, &[1]) else { panic!("one step") };
    assert!(matches!(power[0], Err(Fault::Absent(_))));
    // What it says first after that may be the power-on value, though 85 °C lies near nothing any more.
    plug_in();
    fs::write(folder.join("w1_slave"), POWER_ON).unwrap();
    assert_eq!(read(&mut sensors), Err(Fault::NoValue(Reason::NotAvailable)));
    drop(root);
    assert!(matches!(read(&mut sensors), Err(Fault::Bus(why)) if why.contains("w1-gpio")));
}

#[test]
fn sections_that_make_no_sense_are_refused_with_a_remedy() {
    for (yaml, part) in [
        ("{}", "onewire-id is missing"),
        ("{ onewire-id: 28-0000051A4B3C }", "small letters"),
        ("{ onewire-id: ../../etc }", "twelve hexadecimal digits"),
        ("{ onewire-id: 01-0000051a4b3c }", "family 01"),
        ("{ onewire-id: 28-0000051a4b3c, onewire-resolution: 16 }", "9 … 12"),
    ] {
        let config: DeviceConfig = serde_yaml::from_str(yaml).unwrap();
        let problems = config.validate().join("; ");
        assert!(problems.contains(part), "{yaml}: {problems}");
    }
    assert!(PointConfig::default().quantity().is_err());
    assert_eq!(OneWireConfig { path: "w1".into() }.validate().len(), 1);
}

proptest! {
    #[test]
    fn no_text_panics_or_gives_an_impossible_temperature(text in "[0-9a-f :=tYESNO\\n-]{0,120}", last in proptest::option::of(-60.0..130.0)) {
        if let Ok(celsius) = parse(&text, last) {
            prop_assert!((-55.0..=125.0).contains(&celsius));
        }
    }

    #[test]
    fn every_temperature_of_the_chip_is_read_as_it_is(milli in -55_000_i64..=125_000) {
        let text = GOOD.replace("t=21437", &format!("t={milli}"));
        let near = milli as f64 / 1000.0;
        prop_assert_eq!(parse(&text, Some(near)), Ok(near));
    }
}
