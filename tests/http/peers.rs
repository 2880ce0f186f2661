//! The simulated devices against a client that is not ours: curl, where it is installed.

use std::process::Command;

use super::bench::Double;

const PLANT: &str = r"
site: plant
channels:
  io: { http: { address: 192.0.2.30 } }
  locked: { http: { address: 192.0.2.31, login: { user: admin, password: secret } } }
devices:
  io: { channel: io, profile: wut/57734, wut-password: pw }
  locked: { channel: locked, points: { state: { get: /state, json: /on, as: state } } }
";

fn curl(arguments: &[&str]) -> Option<String> {
    let output = Command::new("curl").args(["--silent", "--max-time", "10"]).args(arguments).output();
    match output {
        Ok(output) => Some(String::from_utf8_lossy(&output.stdout).into_owned()),
        Err(_) => {
            eprintln!("not run: curl is not installed");
            None
        }
    }
}

#[test]
fn curl_reads_writes_and_logs_in() {
    let double = Double::start(PLANT);
    let io = |path: &str| curl(&[&format!("http://{}{path}", double.endpoint("io"))]);
    let Some(allout) = io("/allout?PW=pw&") else { return };
    assert!(allout.starts_with("input;0000;output;0000;counter;"), "{allout}");
    assert_eq!(io("/outputaccess3?PW=pw&State=ON&").unwrap(), "output;0008");
    assert_eq!(io("/output3?PW=pw&").unwrap(), "output3;ON");
    let list = io("/portinfo").unwrap();
    assert!(list.starts_with("1.0|") && list.contains("output-3"), "{list}");
    let code =
        |arguments: &[&str]| curl(&[&["-o", "/dev/null", "-w", "%{http_code}"], arguments].concat()).unwrap();
    let at = |channel: &str, path: &str| format!("http://{}{path}", double.endpoint(channel));
    assert_eq!(code(&[&at("io", "/allout?PW=wrong&")]), "403");
    assert_eq!(code(&[&at("io", "/nothing")]), "404");
    let state = at("locked", "/state");
    assert_eq!(code(&["--digest", "-u", "admin:wrong", &state]), "401");
    assert_eq!(curl(&["--digest", "-u", "admin:secret", &state]).unwrap(), r#"{"on":false}"#);
}
