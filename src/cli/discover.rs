//! `iogate discover`: which devices answer in the local network, and what profile fits each.
//!
//! Asks by the broadcast of Wiesemann & Theis, whose devices tell who they are without being configured. Absent: other
//! makers' devices (Modbus has no such question), and changing anything.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::{Exit, complain, print};
use crate::config::{self, SYSTEM_PROFILES, Surroundings};
use crate::driver::http::wut::discovery::{self, Found};

/// How many devices are listened to.
const MAX_FOUND: usize = 1000;

/// The longest wait for answers.
const MAX_WAIT: u64 = 60_000;

/// The vendor that profiles of these devices name.
const VENDOR: &str = "Wiesemann & Theis";

/// What `discover` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Whom to ask: everybody in the network, or one device, also in another network.
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::BROADCAST))]
    address: IpAddr,
    /// The port at which devices listen.
    #[arg(long, default_value_t = discovery::PORT)]
    port: u16,
    /// How many milliseconds to wait for answers.
    #[arg(long, value_name = "MS", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=MAX_WAIT))]
    wait: u64,
    /// Do not wait any longer when this many devices have answered.
    #[arg(long, value_name = "NUMBER", default_value_t = MAX_FOUND)]
    count: usize,
}

/// Asks, waits and tells.
pub(super) async fn run(arguments: Arguments) -> Exit {
    match ask(&arguments).await {
        Ok(found) => print(&table(&found)),
        Err(error) => {
            complain(&format!("{}:{} cannot be asked: {error}", arguments.address, arguments.port));
            Exit::Failed
        }
    }
}

type Devices = BTreeMap<IpAddr, Found>;

async fn ask(arguments: &Arguments) -> std::io::Result<Devices> {
    let everywhere: IpAddr = match arguments.address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind(SocketAddr::new(everywhere, 0)).await?;
    if arguments.address.is_ipv4() {
        socket.set_broadcast(true)?;
    }
    socket.send_to(discovery::REQUEST, SocketAddr::new(arguments.address, arguments.port)).await?;
    let mut found = Devices::new();
    let wait = Duration::from_millis(arguments.wait);
    // That the time is over is how it usually ends.
    match timeout(wait, listen(&socket, arguments, &mut found)).await {
        Ok(Err(error)) => Err(error),
        Ok(Ok(())) | Err(_) => Ok(found),
    }
}

async fn listen(socket: &UdpSocket, arguments: &Arguments, found: &mut Devices) -> std::io::Result<()> {
    let mut answer = [0; 65_536];
    while found.len() < arguments.count.min(MAX_FOUND) {
        let (length, from) = socket.recv_from(&mut answer).await?;
        if from.port() != arguments.port {
            continue;
        }
        match discovery::parse(&answer[..length]) {
            Some(device) => {
                found.insert(from.ip(), device);
            }
            None => complain(&format!("{from} answers in another protocol")),
        }
    }
    Ok(())
}

/// One line for each device, with the profiles of its article number.
fn table(found: &Devices) -> String {
    let mut around = Surroundings::none();
    around.profile_dirs = vec![SYSTEM_PROFILES.into()];
    let profiles: Vec<_> = config::profile_names(&around)
        .into_iter()
        .filter_map(|name| config::profile_summary(&name, &around).ok())
        .filter(|profile| profile.vendor == VENDOR)
        .collect();
    let mut out = String::new();
    for (address, device) in found {
        let unknown = || "?".to_owned();
        let port = device.port.map_or_else(unknown, |port| port.to_string());
        let scheme = if device.https { "https" } else { "http" };
        let (mac, name) =
            (device.mac.as_deref().unwrap_or("?"), device.name.as_deref().unwrap_or("(no name)"));
        let product = device.product.as_deref().or(device.product_id.as_deref()).unwrap_or("?");
        let articles = |profile: &config::ProfileSummary| {
            profile.models.iter().any(|model| {
                model.split(' ').next().is_some_and(|article| !article.is_empty() && device.is(article))
            })
        };
        let fits: Vec<&str> = profiles
            .iter()
            .filter(|profile| articles(profile))
            .map(|profile| profile.name.as_str())
            .collect();
        let fits = if fits.is_empty() { "no profile".to_owned() } else { fits.join(", ") };
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{address}  {scheme}, port {port}  {mac}  {name}  {product}: {fits}");
    }
    let _ = writeln!(out, "{} devices", found.len());
    out
}
