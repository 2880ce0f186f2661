//! A simulation driven by hand: lines at the keyboard and over the control port, values, dependencies.

use std::time::{Duration, Instant};

use iogate::model::Value;
use iogate::simulate::{Options, RunOptions, Simulation, StartError, run};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio_util::sync::CancellationToken;

use super::plant::{Plant, connect, exchange};

fn obey(simulation: &Simulation, line: &str) -> Result<String, String> {
    simulation.execute(&line.parse()?)
}

#[tokio::test(flavor = "multi_thread")]
async fn values_are_set_held_and_released() {
    let simulation = Plant::new().start().await;
    let mut stream = connect(&simulation, "plc");
    let mut temperature = || exchange(&mut stream, &[0, 1, 0, 0, 0, 6, 1, 4, 0, 0, 0, 1], 11)[9..].to_vec();
    obey(&simulation, "set press/temperature 75").unwrap();
    assert_eq!(temperature(), [0x02, 0xee]);
    obey(&simulation, "raw press/temperature 0x7fff").unwrap();
    assert_eq!(temperature(), [0x7f, 0xff]);
    obey(&simulation, "release press/temperature").unwrap();
    assert_eq!(temperature(), [0, 215]);
    assert_eq!(obey(&simulation, "get press/temperature").unwrap(), "press/temperature = 21.5 (raw 215)\n");
    for (line, part) in [
        ("set press/temperature warm", "warm"),
        ("set press/temprature 1", "no point"),
        ("set press/h10 70000", "65535"),
        ("fault pres dead", "no device or channel"),
        ("fault press/temperature dead", "name its device"),
        ("unplug press", "plc, line, server, old"),
    ] {
        let error = obey(&simulation, line).unwrap_err();
        assert!(error.contains(part), "{line}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_responds_to_an_output_on_another_channel() {
    let simulation = Plant::new().start().await;
    let heat = || simulation.value("climate/heat").unwrap().and_then(|value| value.as_f64()).unwrap();
    assert_eq!(heat(), 90.0);
    let mut stream = connect(&simulation, "plc");
    exchange(&mut stream, &[0, 1, 0, 0, 0, 6, 1, 5, 0, 0, 0xff, 0], 12);
    assert_eq!(simulation.value("press/c0"), Ok(Some(Value::Bool(true))));
    let deadline = Instant::now() + Duration::from_secs(10);
    while heat() > 31.0 {
        assert!(Instant::now() < deadline, "it does not cool");
    }
    obey(&simulation, "set press/c0 off").unwrap();
    while heat() < 89.0 {
        assert!(Instant::now() < deadline, "it does not warm up again");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_and_counters_tell_what_is_going_on() {
    let simulation = Plant::new().start().await;
    obey(&simulation, "fault line dead").unwrap();
    obey(&simulation, "unplug plc").unwrap();
    let list = obey(&simulation, "list").unwrap();
    assert_eq!(list.lines().filter(|line| line.ends_with("dead")).count(), 2, "{list}");
    assert!(list.lines().any(|line| line.starts_with("plc") && line.ends_with("UNPLUGGED")), "{list}");
    obey(&simulation, "clear all").unwrap();
    let list = obey(&simulation, "list").unwrap();
    assert!(!list.contains("dead") && !list.contains("UNPLUGGED"), "{list}");
    let mut stream = connect(&simulation, "server");
    exchange(&mut stream, &super::plant::rtu(&[5, 4, 0, 0, 0, 1]), 7);
    let stats = obey(&simulation, "stats").unwrap();
    assert!(stats.contains("valve requests=1 answers=1 exceptions=0 writes=0"), "{stats}");
    assert!(obey(&simulation, "list press").unwrap().contains("press/level = 3.25"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_prints_endpoints_and_obeys_keyboard_and_control_port() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("endpoints.json");
    let options = RunOptions {
        devices: Options { links: Some(directory.path().join("ports")), ..Options::default() },
        control: Some("127.0.0.1:0".parse().unwrap()),
        endpoints: Some(file.clone()),
    };
    let (keyboard, input) = tokio::io::duplex(4096);
    let (output, screen) = tokio::io::duplex(65536);
    let task = tokio::spawn(async move {
        let plant = Plant::new();
        let shutdown = CancellationToken::new();
        let input = BufReader::new(input);
        run(&plant.points, &plant.plans, &plant.behaviours, &options, input, output, shutdown).await
    });
    let mut screen = BufReader::new(screen).lines();
    let mut control = None;
    let mut shown = Vec::new();
    while let Some(line) = screen.next_line().await.unwrap() {
        if let Some(address) = line.strip_prefix("control  ") {
            control = Some(address.to_owned());
        }
        let last = line.contains("help");
        shown.push(line);
        if last {
            break;
        }
    }
    let endpoints: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(endpoints["line"], directory.path().join("ports/line").display().to_string());
    assert_eq!(shown[0], format!("plc  modbus-tcp  {}", endpoints["plc"].as_str().unwrap()));

    let mut keyboard = keyboard;
    keyboard.write_all(b"set press/temperature 33\nnonsense\n").await.unwrap();
    assert_eq!(screen.next_line().await.unwrap().unwrap(), "ok");
    assert!(screen.next_line().await.unwrap().unwrap().starts_with("error: `nonsense`"));

    let mut control = tokio::net::TcpStream::connect(control.unwrap()).await.unwrap();
    let (answers, mut orders) = control.split();
    let mut answers = BufReader::new(answers).lines();
    orders.write_all(b"get press/temperature\nquit\n").await.unwrap();
    assert_eq!(answers.next_line().await.unwrap().unwrap(), "press/temperature = 33 (raw 330)");
    assert_eq!(answers.next_line().await.unwrap().unwrap(), "ok");
    assert_eq!(answers.next_line().await.unwrap().unwrap(), "ok");
    task.await.unwrap().unwrap();
    assert!(!directory.path().join("ports/line").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_served_is_said() {
    let mut plant = Plant::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let options = Options { port_base: Some(port), ..Options::default() };
    let start = |plant: &Plant, options: &Options| {
        let (points, plans, behaviours) =
            (plant.points.clone(), plant.plans.clone(), plant.behaviours.clone());
        let options = options.clone();
        async move { Simulation::start(&points, &plans, &behaviours, &options).await }
    };
    let error = start(&plant, &options).await.unwrap_err();
    assert_eq!(error.to_string(), format!("channel plc: cannot serve it at 127.0.0.1:{port}"));
    let behaviour = serde_yaml::from_str("follows: { to: press/fan }").unwrap();
    let coil = plant.points.by_name("press/c1").unwrap().id;
    plant.behaviours.insert(coil, behaviour);
    let error = start(&plant, &Options::default()).await.unwrap_err();
    assert!(
        matches!(error, StartError::Behaviour { .. }) && error.to_string().contains("press/fan"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn channels_with_like_names_have_links_of_their_own() {
    use iogate::driver::{DriverPlan, modbus};
    let plant = Plant::new();
    let line: &modbus::Plan = plant.plans[1].get().unwrap();
    let named = |name: &str| {
        let mut plan = line.clone();
        plan.name = name.into();
        plan.devices.clear();
        DriverPlan::new(plan)
    };
    let plans = [named("line 1"), named("line/1")];
    let options = Options::default();
    let simulation = Simulation::start(&plant.points, &plans, &plant.behaviours, &options).await.unwrap();
    let (one, other) = (simulation.endpoint("line 1").unwrap(), simulation.endpoint("line/1").unwrap());
    assert!(one.ends_with("/line_1") && other.ends_with("/line_1-2"), "{one} {other}");
    assert_ne!(std::fs::read_link(one).unwrap(), std::fs::read_link(other).unwrap());
}
